"""GiGPO: the advantage of an episode in its group plus that of each step in its anchor state.

Source: "Group-in-Group Policy Optimization for LLM Agent Training" (arXiv 2505.10978), equations 3
and 5 to 8: A = A^E + ω·A^S. A^E is the episode's group-relative advantage. A^S compares the
discounted returns of all steps, of any episode of the group, that started from the same state; a
state that was visited once says nothing. The state is exact here (`anchors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from astra.errors import ConfigError
from astra.training.algorithm import Credit, PolicyAccess, SampledEpisode, ScoredBatch
from astra.training.credit.anchors import numbered_states_BK
from astra.training.credit.steps import pad_BK, spread_BT, step_count
from astra.training.rl.grpo import group_advantages


@dataclass(frozen=True, slots=True)
class GiGPOSettings:
    """The paper's defaults."""

    step_weight: float = 1.0
    """ω: weight of the step-level advantage."""
    discount: float = 0.95
    """γ of the returns, in [0, 1]."""
    scale: bool = True
    """Divide by the deviation of the group (the paper's F_norm = std); False: F_norm = 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise ConfigError(f"discount {self.discount!r} must lie in [0, 1]")


class GiGPO:
    """Without a trajectory (single-turn problems) there is no state: the episode's advantage."""

    name = "gigpo"

    def __init__(self, settings: GiGPOSettings | None = None) -> None:
        self.settings = settings or GiGPOSettings()

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        """A^E + ω·A^S on the tokens of each step; A^E on the policy's tokens outside steps."""
        del policy
        settings = self.settings
        episode_B = group_advantages(batch.rewards_B, batch.group_B, scale=settings.scale)
        returns_BK, state_BK = step_returns(batch, settings.discount)
        step_BK = step_advantages(returns_BK, state_BK, scale=settings.scale)
        total_BT = episode_B.unsqueeze(1) + settings.step_weight * spread_BT(
            step_BK, batch.step_BT, 0.0
        )
        return Credit(
            advantages_BT=total_BT * batch.policy_mask_BT,
            metrics={
                "states": float(len(state_BK[state_BK >= 0].unique())),
                "shared_steps": _shared(state_BK),
            },
        )

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        del state


def discounted(rewards: list[float], discount: float) -> list[float]:
    """R_k = r_k + γ·R_{k+1} (equation 5)."""
    returns: list[float] = []
    following = 0.0
    for reward in reversed(rewards):
        following = reward + discount * following
        returns.append(following)
    return returns[::-1]


def step_returns(batch: ScoredBatch, discount: float) -> tuple[Tensor, Tensor]:
    """returns_BK (NaN: no such step) and state_BK (number of the anchor state; -1: none).

    A step's reward is its increment of the score; without a score the last step has all of it.
    """
    state_BK = numbered_states_BK(batch)
    returns = [
        discounted(_rewards(episode, episode.trajectory.turns), discount)
        if episode.trajectory is not None
        else []
        for episode in batch.episodes
    ]
    return pad_BK(returns, step_count(batch.step_BT), batch.step_BT.device), state_BK


def _rewards(episode: SampledEpisode, turns: int) -> list[float]:
    if episode.score is not None and len(episode.score.increments) == turns:
        return list(episode.score.increments)
    return [0.0] * (turns - 1) + [episode.reward] if turns else []


def step_advantages(returns_BK: Tensor, state_BK: Tensor, *, scale: bool) -> Tensor:
    """Each step's return against those of its state (equations 6 and 7); 0 where there is none."""
    exists_BK = state_BK >= 0
    advantages_BK = torch.zeros_like(returns_BK)
    advantages_BK[exists_BK] = group_advantages(
        returns_BK[exists_BK], state_BK[exists_BK], scale=scale
    )
    return advantages_BK


def _shared(state_BK: Tensor) -> float:
    """Share of steps whose state another step started from, too."""
    _, counts = state_BK[state_BK >= 0].unique(return_counts=True)
    total = int(counts.sum())
    return float(counts[counts > 1].sum()) / total if total else 0.0
