"""GiGPO: the advantage of an episode in its group plus that of each step in its anchor state.

Source: "Group-in-Group Policy Optimization for LLM Agent Training" (arXiv 2505.10978), equations 3
and 5 to 8: A = A^E + ω·A^S. A^E is the episode's group-relative advantage. A^S compares the
discounted returns of all steps of the group that started from the same state. A state that was
visited once has A^S = 0. States are exact here (`anchors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from astra.errors import ConfigError
from astra.training.algorithm import Credit, PolicyAccess, ScoredBatch
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
    """Divide by the deviation of the group (the paper's F_norm = std). False: F_norm = 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise ConfigError(f"discount {self.discount!r} must lie in [0, 1]")


class GiGPO:
    """Group-in-group policy optimization. For single-turn episodes it is GRPO."""

    name = "gigpo"

    def __init__(self, settings: GiGPOSettings | None = None) -> None:
        self.settings = settings or GiGPOSettings()

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        """A^E + ω·A^S on the tokens of each step, A^E on the policy's tokens outside steps."""
        del policy
        settings = self.settings
        episode_B = group_advantages(batch.rewards_B, batch.group_B, scale=settings.scale)
        returns_BK, state_BK = step_returns(batch, settings.discount)
        step_BK = step_advantages(returns_BK, state_BK, scale=settings.scale)
        total_BT = episode_B.unsqueeze(1) + settings.step_weight * spread_BT(
            step_BK, batch.step_BT, 0.0
        )
        _, counts = state_BK[state_BK >= 0].unique(return_counts=True)
        # The share of steps whose state another step started from too: of all others, the step
        # says nothing, and GiGPO is GRPO.
        shared = float(counts[counts > 1].sum() / counts.sum().clamp(min=1))
        metrics = {"states": float(len(counts)), "shared_steps": shared}
        return Credit(advantages_BT=total_BT * batch.policy_mask_BT, metrics=metrics)

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
    """returns_BK (NaN: no such step) and state_BK (number of the anchor state, -1: none).

    A step's reward is its increment of the score. Without a score the last step gets the whole.
    """
    returns: list[list[float]] = []
    for episode in batch.episodes:
        turns = 0 if episode.trajectory is None else episode.trajectory.turns
        rewards = [0.0] * (turns - 1) + [episode.reward] if turns else []
        if episode.score is not None and len(episode.score.increments) == turns:
            rewards = list(episode.score.increments)
        returns.append(discounted(rewards, discount))
    returns_BK = pad_BK(returns, step_count(batch.step_BT), batch.step_BT.device)
    return returns_BK, numbered_states_BK(batch)


def step_advantages(returns_BK: Tensor, state_BK: Tensor, *, scale: bool) -> Tensor:
    """Advantage of each step among those of its state (equations 6 and 7). 0 without a state."""
    exists_BK = state_BK >= 0
    advantages_BK = torch.zeros_like(returns_BK)
    advantages_BK[exists_BK] = group_advantages(
        returns_BK[exists_BK], state_BK[exists_BK], scale=scale
    )
    return advantages_BK
