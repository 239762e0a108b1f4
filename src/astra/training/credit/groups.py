"""Group-relative advantages: a rollout against the others of its group."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-6


def group_mean_B(values_B: Tensor, group_B: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """To each row the (weighted) mean of its group; 0 where all weights are."""
    weight_B = torch.ones_like(values_B) if weight_B is None else weight_B
    groups, index_B = group_B.unique(return_inverse=True)
    empty_G = torch.zeros(len(groups), dtype=values_B.dtype, device=values_B.device)
    total_G = empty_G.scatter_add(0, index_B, values_B * weight_B)
    count_G = empty_G.scatter_add(0, index_B, weight_B.to(values_B.dtype))
    return (total_G / count_G.clamp(min=EPSILON))[index_B]


def group_relative_B(rewards_B: Tensor, group_B: Tensor, *, scale: bool = True) -> Tensor:
    """(R - mean) / (std + ε) within each group; 0 in groups of one.

    The deviation is the sample's (n - 1). `scale`: False leaves it out, as Dr. GRPO does.
    """
    centred_B = rewards_B - group_mean_B(rewards_B, group_B)
    if not scale:
        return centred_B
    size_B = (group_B.unsqueeze(0) == group_B.unsqueeze(1)).sum(1)
    variance_B = group_mean_B(centred_B.square(), group_B) * size_B / (size_B - 1).clamp(min=1)
    return centred_B / (variance_B.sqrt() + EPSILON)
