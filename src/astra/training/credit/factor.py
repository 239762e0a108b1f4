"""The factored advantage: the outcome times the contribution of each step.

*Given*: the reward is factored into the outcome and a contribution of each step.
*Ours*: how. Contributions are standardized, z_k, over the steps of the episode or, in an arena,
over the steps of the group that were taken from the same state. The former compares early steps
with late ones: an early call always gains more F1, and the final answer none. The latter compares
a step with what other episodes did in the same state.

A step's weight is w_k = 1 + α·tanh(z_k)·sign(A), divided by the mean of w over the policy's tokens
of the response, and each token of step k gets A·w_k. A helpful step gains more in a success and
loses less in a failure, and

- the sum over the episode's tokens is that of the plain advantage;
- every w_k is positive, so that no token's sign changes: before the division w_k lies within
  1 ± |α|, and so does its mean. After it w_k lies between (1 - |α|) / (1 + |α|) and the inverse
  (from 1/3 to 3 for α = 0.5);
- α = 0, equal z_k or a single step give exactly the plain advantage.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor

from astra.errors import ConfigError
from astra.training.credit.steps import spread_BT, tokens_BK
from astra.training.rl.grpo import group_advantages

EPSILON = 1e-6


class CreditBaseline(StrEnum):
    """What a step's contribution is standardized over."""

    episode = "episode"
    """The steps of the same episode."""
    state = "state"
    """Steps of the group that were taken from the same state of the arena (GiGPO's anchors)."""


class FactoredAdvantages(NamedTuple):
    """Per-token advantages, and the step weights behind them."""

    advantages_BT: Tensor
    """Zero outside the policy's tokens."""
    weights_BK: Tensor
    """After rescaling. Tokens outside steps have the weight of a step with z = 0."""


def standardized_BK(contribution_BK: Tensor, exists_BK: Tensor) -> Tensor:
    """z over the steps that exist. All 0 for an episode with one step, or with a value not finite.

    The population deviation (n) plus 1e-6, so that rounding errors do not become contributions.
    """
    usable_B1 = (contribution_BK.isfinite() | ~exists_BK).all(1, keepdim=True)
    values_BK = torch.where(exists_BK & usable_B1, contribution_BK, 0.0).double()
    count_B1 = exists_BK.sum(1, keepdim=True).clamp(min=1)
    centred_BK = (values_BK - values_BK.sum(1, keepdim=True) / count_B1) * exists_BK
    deviation_B1 = (centred_BK.square().sum(1, keepdim=True) / count_B1).sqrt()
    return (centred_BK / (deviation_B1 + EPSILON)).to(contribution_BK.dtype)


def standardized_by_state_BK(contribution_BK: Tensor, state_BK: Tensor) -> Tensor:
    """z over the steps from the same state. 0 for a state with one step, or a value not finite."""
    known_BK = (state_BK >= 0) & contribution_BK.isfinite()
    z_BK = torch.zeros_like(contribution_BK)
    z_BK[known_BK] = group_advantages(contribution_BK[known_BK], state_BK[known_BK])
    return z_BK


def factored_advantages(
    advantages_B: Tensor, z_BK: Tensor, step_BT: Tensor, policy_mask_BT: Tensor, alpha: float
) -> FactoredAdvantages:
    """Per-token advantages A·w_k. Raises ConfigError unless |α| < 1."""
    if not abs(alpha) < 1:
        raise ConfigError(f"alpha {alpha!r} must lie between -1 and 1, so that no sign changes")
    sign_B1 = advantages_B.sign().unsqueeze(1)
    raw_BK = 1 + alpha * z_BK.tanh() * sign_B1
    outside_B = (policy_mask_BT & (step_BT < 0)).sum(1)
    count_BK = tokens_BK(step_BT, policy_mask_BT)
    total_B = (raw_BK * count_BK).sum(1) + outside_B
    mean_B = total_B / (count_BK.sum(1) + outside_B).clamp(min=1)
    mean_B = torch.where(mean_B > 0, mean_B, 1.0)  # an episode without any token of the policy
    raw_BT = spread_BT(raw_BK, step_BT, 1.0)
    scale_B1 = (advantages_B / mean_B).unsqueeze(1)
    return FactoredAdvantages(raw_BT * scale_B1 * policy_mask_BT, raw_BK / mean_B.unsqueeze(1))
