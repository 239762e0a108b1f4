"""IGPO: turns are rewarded by how much likelier they make the right answer.

Source: "Information Gain-based Policy Optimization" (arXiv 2510.14967). *Given*: the reward of turn
t is r_t = π(a*|q, o_≤t) - π(a*|q, o_<t), and that of the last turn is the outcome; π(a*|·) is the
exponential of the answer's mean token log-probability. Rewards are normalized in the group, and a
token's advantage is the discounted sum of its turn's and later rewards.
*Ours*: gains are normalized over the turns of the group and outcomes over its rollouts (the
authors' code offers this beside both together), ω weighs the gains, and the right answer is
teacher-forced after a cue as for the attribution `likelihood`. A group without a known answer has
no gains.

The mean of a group's gains is subtracted once for every later turn. So an episode that goes on is
charged more often than one that stops: see docs/algorithms.md for what that does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from astra.training.algorithm import Credit, PolicyAccess, ScoredBatch
from astra.training.credit.attribution import likelihood
from astra.training.credit.steps import spread_BT, tokens_BK
from astra.training.credit.stepwise import StepSettings
from astra.training.rl.grpo import group_advantages


def igpo(batch: ScoredBatch, policy: PolicyAccess, settings: StepSettings) -> Credit:
    """Discounted sums of gains, and of the outcome in the last turn. One more pass of the policy.

    Raises what `likelihood` raises.
    """
    gain_BK = likelihood(batch, policy).gain_BK
    exists_BK = tokens_BK(batch.step_BT, batch.policy_mask_BT) > 0
    steps_K = torch.arange(exists_BK.shape[1], device=exists_BK.device)
    last_B1 = (exists_BK * steps_K).amax(1, keepdim=True)
    gains_BK = _normalized_BK(
        gain_BK, exists_BK & (steps_K < last_B1), batch.group_B, scale=settings.scale
    )
    outcome_B = group_advantages(batch.rewards_B, batch.group_B, scale=settings.scale)
    outcomes_BK = outcome_B.unsqueeze(1) * (steps_K == last_B1)
    advantages_BK = discounted_sums_BK(
        settings.step_weight * gains_BK + outcomes_BK, settings.discount
    )
    advantages_BT = spread_BT(advantages_BK, batch.step_BT, 0.0)
    # The policy's tokens outside steps are those of no turn: they get the outcome.
    outside_BT = (batch.step_BT < 0) * outcome_B.unsqueeze(1)
    known_BK = gain_BK.isfinite() & exists_BK
    gain = float(gain_BK[known_BK].mean()) if bool(known_BK.any()) else 0.0
    return Credit(
        advantages_BT=(advantages_BT + outside_BT) * batch.policy_mask_BT,
        metrics={"gain": gain, "unknown_answers": 1 - float(known_BK.any(1).float().mean())},
    )


def discounted_sums_BK(rewards_BK: Tensor, discount: float) -> Tensor:
    """Σ over later steps j ≥ k of γ^(j-k)·r_j."""
    sums_BK = rewards_BK.clone()
    for step in range(sums_BK.shape[1] - 2, -1, -1):
        sums_BK[:, step] += discount * sums_BK[:, step + 1]
    return sums_BK


def _normalized_BK(values_BK: Tensor, chosen_BK: Tensor, group_B: Tensor, *, scale: bool) -> Tensor:
    """The chosen finite values relative to those of their group, 0 elsewhere."""
    chosen_BK = chosen_BK & values_BK.isfinite()
    normalized_BK = torch.zeros_like(values_BK)
    groups_BK = group_B.unsqueeze(1).expand_as(values_BK)
    normalized_BK[chosen_BK] = group_advantages(
        values_BK[chosen_BK], groups_BK[chosen_BK], scale=scale
    )
    return normalized_BK
