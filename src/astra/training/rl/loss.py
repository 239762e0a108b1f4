"""Terms of the loss that TRL does not have: entropy bonus per token, KL with a moving weight.

Both are means over the policy's tokens of the batch, as the policy term is under TRL's `dapo`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def kl_to_reference(logprobs_BT: Tensor, reference_BT: Tensor) -> Tensor:
    """KL(policy || reference) per token: exp(r − p) − (r − p) − 1, never negative."""
    difference_BT = reference_BT - logprobs_BT
    return difference_BT.exp() - difference_BT - 1


def further_loss(
    logprobs_BT: Tensor,
    entropies_BT: Tensor,
    mask_BT: Tensor,
    *,
    bonus_BT: Tensor | None,
    reference_BT: Tensor | None,
    kl_coefficient: float,
    tokens: Tensor,
) -> Tensor:
    """Terms added to the policy loss: −Σ bonus · H / tokens + coefficient · Σ KL / tokens.

    `mask_BT`: the policy's tokens. `tokens`: the number of them that the step's mean is over.
    """
    total = logprobs_BT.new_zeros(())
    if bonus_BT is not None:
        total = total - (bonus_BT * entropies_BT * mask_BT).sum()
    if reference_BT is not None and kl_coefficient:
        kl_BT = kl_to_reference(logprobs_BT, reference_BT)
        total = total + kl_coefficient * (kl_BT * mask_BT).sum()
    return total / tokens.clamp(min=1)


def clipped_objective(
    logprobs_BT: Tensor,
    old_BT: Tensor,
    advantages_BT: Tensor,
    mask_BT: Tensor,
    *,
    low: float = 0.2,
    high: float = 0.2,
) -> Tensor:
    """The paper's objective, to be maximized: the mean over all policy tokens of the batch of
    min(ρ·A, clip(ρ, 1 − low, 1 + high)·A), with ρ = π / π_old.

    Training uses TRL's loss. A test compares the two.
    """
    ratio_BT = (logprobs_BT - old_BT).exp()
    clipped_BT = ratio_BT.clamp(1 - low, 1 + high)
    each_BT = torch.minimum(ratio_BT * advantages_BT, clipped_BT * advantages_BT)
    return (each_BT * mask_BT).sum() / mask_BT.sum().clamp(min=1)
