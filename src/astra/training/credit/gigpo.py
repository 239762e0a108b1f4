"""GiGPO: the advantage of an episode in its group plus that of each step in its anchor state.

Source: "Group-in-Group Policy Optimization for LLM Agent Training" (arXiv 2505.10978), equations 3
and 5 to 8: A = A^E + ω·A^S. A^E is the episode's group-relative advantage. A^S compares the
discounted returns of all steps of the group that started from the same state. A state that was
visited once has A^S = 0. States are exact here (`anchors`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from astra.training.algorithm import Credit, PolicyAccess, ScoredBatch
from astra.training.credit.anchors import numbered_states_BK, shared_BK
from astra.training.credit.steps import pad_BK, step_count
from astra.training.credit.stepwise import StepSettings, episode_and_steps
from astra.training.rl.grpo import group_advantages


def gigpo(batch: ScoredBatch, policy: PolicyAccess, settings: StepSettings) -> Credit:
    """The paper's credit. For single-turn episodes it is GRPO's."""
    del policy
    state_BK = numbered_states_BK(batch)
    returns_BK = step_returns_BK(batch, settings.discount)
    step_BK = step_advantages(returns_BK, state_BK, scale=settings.scale)
    return episode_and_steps(batch, step_BK, settings, state_metrics(state_BK))


def state_metrics(state_BK: Tensor) -> dict[str, float]:
    """Number of states, and share of the steps whose state another step started from too: of all
    others, a comparison by state says nothing."""
    exists_BK = state_BK >= 0
    steps = int(exists_BK.sum())
    return {
        "states": float(len(state_BK[exists_BK].unique())),
        "shared_steps": float(shared_BK(state_BK).sum()) / max(1, steps),
    }


def discounted(rewards: list[float], discount: float) -> list[float]:
    """R_k = r_k + γ·R_{k+1} (equation 5)."""
    returns: list[float] = []
    following = 0.0
    for reward in reversed(rewards):
        following = reward + discount * following
        returns.append(following)
    return returns[::-1]


def step_returns_BK(batch: ScoredBatch, discount: float) -> Tensor:
    """Discounted return of each step. NaN: no such step.

    A step's reward is its increment of the score. Without a score the last step gets the whole.
    """
    returns: list[list[float]] = []
    for episode in batch.episodes:
        turns = 0 if episode.trajectory is None else episode.trajectory.turns
        rewards = [0.0] * (turns - 1) + [episode.reward] if turns else []
        if episode.score is not None and len(episode.score.increments) == turns:
            rewards = list(episode.score.increments)
        returns.append(discounted(rewards, discount))
    return pad_BK(returns, step_count(batch.step_BT), batch.step_BT.device)


def step_advantages(values_BK: Tensor, state_BK: Tensor, *, scale: bool) -> Tensor:
    """Advantage of each step among those of its state (equations 6 and 7).

    0 without a state (-1), and where the value is NaN.
    """
    exists_BK = (state_BK >= 0) & values_BK.isfinite()
    advantages_BK = torch.zeros_like(values_BK)
    advantages_BK[exists_BK] = group_advantages(
        values_BK[exists_BK], state_BK[exists_BK], scale=scale
    )
    return advantages_BK
