"""The two phases of ACPO, exploration and convergence, and their regulation.

*Given*: the first phase regulates the entropy dynamically by attribution and segmentation, so that
it does not collapse. The second has a reference policy (KL) and confidence-weighted rewards.
*Ours*: when the phase changes, how the entropy coefficient follows a target on the tokens of
crucial steps, and the form of the confidence weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from astra.errors import ConfigError
from astra.training.algorithm import group_mean_B


class Phase(StrEnum):
    """Phase of training."""

    exploration = "exploration"
    """No KL. An entropy bonus on crucial steps."""
    convergence = "convergence"
    """KL to the policy at the phase change. No bonus. Confident successes weigh more."""


@dataclass(frozen=True, slots=True)
class PhaseSwitch:
    """Conditions that end exploration. The first one that holds decides."""

    after: int | None = 200
    """Number of steps. None: no limit. 0: no exploration."""
    stalled: int | None = 50
    """Steps without an improvement of the moving reward. None: no limit."""
    smoothing: float = 0.1
    """Weight of the newest batch in the moving reward, in (0, 1]."""
    gain: float = 1e-3
    """Minimum improvement that counts."""

    def __post_init__(self) -> None:
        if not 0 < self.smoothing <= 1:
            raise ConfigError(f"smoothing {self.smoothing!r} must lie in (0, 1]")


class PhaseClock:
    """Counts steps and follows the reward. Convergence never ends."""

    def __init__(self, switch: PhaseSwitch) -> None:
        self._switch = switch
        self.steps = 0
        """Batches seen."""
        self._moving: float | None = None
        self._best = -float("inf")
        self._best_at = 0
        self._changed = switch.after == 0

    @property
    def phase(self) -> Phase:
        return Phase.convergence if self._changed else Phase.exploration

    @property
    def progress(self) -> float:
        """Share of exploration's steps that are done, in [0, 1]. 0 without a limit of steps."""
        if self._changed:
            return 1.0
        return self.steps / self._switch.after if self._switch.after else 0.0

    def advance(self, reward: float) -> None:
        """Count a batch of this mean reward."""
        switch = self._switch
        self.steps += 1
        before = reward if self._moving is None else self._moving
        self._moving = before + switch.smoothing * (reward - before)
        if self._moving > self._best + switch.gain:
            self._best, self._best_at = self._moving, self.steps
        by_number = switch.after is not None and self.steps >= switch.after
        waited = self.steps - self._best_at
        self._changed |= by_number or (switch.stalled is not None and waited >= switch.stalled)

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "moving": self._moving,
            "best": self._best,
            "best_at": self._best_at,
            "changed": self._changed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps, self._moving = state["steps"], state["moving"]
        self._best, self._best_at = state["best"], state["best_at"]
        self._changed = state["changed"]


@dataclass(frozen=True, slots=True)
class EntropyTarget:
    """Regulation of the entropy of crucial steps."""

    target: float | None = None
    """In nats. None: `share` of the first batch's entropy."""
    share: float = 0.5
    """Target as a share of the first batch's entropy. Below 1: a policy that becomes sure of its
    choices is not a collapse."""
    rate: float = 0.002
    """Change of the coefficient per step and nat below the target."""
    largest: float = 0.02
    """Maximum coefficient. 0: no bonus."""


class EntropyControl:
    """The coefficient of the entropy bonus, in [0, largest]."""

    def __init__(self, settings: EntropyTarget) -> None:
        self._settings = settings
        self.target = settings.target
        """In nats. None before the first batch."""
        self.coefficient = 0.0

    def update(self, entropy: float) -> float:
        """The coefficient after a batch with this mean entropy on its crucial tokens."""
        if self.target is None:
            self.target = self._settings.share * entropy
        moved = self.coefficient + self._settings.rate * (self.target - entropy)
        self.coefficient = min(max(moved, 0.0), self._settings.largest)
        return self.coefficient

    def state_dict(self) -> dict[str, Any]:
        return {"target": self.target, "coefficient": self.coefficient}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.target, self.coefficient = state["target"], state["coefficient"]


def crucial_BK(z_BK: Tensor, exists_BK: Tensor) -> Tensor:
    """Steps whose |z| is at least the median of the response's, and not 0."""
    size_BK = z_BK.abs().masked_fill(~exists_BK, torch.nan)
    median_B1 = size_BK.nanquantile(0.5, dim=1, keepdim=True)
    # At least, not above: two steps have equal |z|, and neither would be crucial. The margin is for
    # rounding errors, by which one of them may be larger.
    return exists_BK & (size_BK >= median_B1 - 1e-4) & (size_BK > 1e-4)


def confidence_weights_B(
    confidence_B: Tensor, success_B: Tensor, group_B: Tensor, gamma: float
) -> Tensor:
    """g = 1 + γ·(confidence - mean confidence of the group's successes), within 1 ± γ.

    1 for failures, and where the confidence is not known (NaN).
    """
    if not 0 <= gamma < 1:
        raise ConfigError(f"gamma {gamma!r} must lie in [0, 1)")
    weighted_B = success_B & confidence_B.isfinite()
    known_B = confidence_B.nan_to_num(nan=0.0)
    mean_B = group_mean_B(known_B, group_B, weighted_B.to(known_B.dtype))
    weights_B = (1 + gamma * (known_B - mean_B)).clamp(1 - gamma, 1 + gamma)
    return torch.where(weighted_B, weights_B, 1.0)
