"""GRPO: every token of a rollout gets the rollout's advantage in its group (ASTRA 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from astra.training.algorithm import Credit, PolicyAccess, ScoredBatch

EPSILON = 1e-4
"""Added to the standard deviation, as in TRL."""


def group_advantages(rewards_B: Tensor, group_B: Tensor, *, scale: bool = True) -> Tensor:
    """Advantages_B: (R − mean of the group) / (Std + ε), Std with Bessel's correction.

    Exactly 0 in zero-variance groups. `scale`: False omits the division.
    """
    advantages_B = torch.zeros_like(rewards_B)
    for number in group_B.unique():
        members_B = group_B == number
        rewards_G = rewards_B[members_B]
        # Rounding of the mean would leave tiny advantages, which ε alone does not make 0.
        if len(rewards_G) < 2 or bool((rewards_G == rewards_G[0]).all()):
            continue
        centred_G = rewards_G - rewards_G.mean()
        advantages_B[members_B] = centred_G / (rewards_G.std() + EPSILON) if scale else centred_G
    return advantages_B


class GRPO:
    """Group-relative policy optimization, without KL and without entropy bonus."""

    name = "grpo"

    def __init__(self, *, scale: bool = True) -> None:
        self._scale = scale

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        del policy
        advantages_B = group_advantages(batch.rewards_B, batch.group_B, scale=self._scale)
        return Credit.per_episode(batch, advantages_B)
