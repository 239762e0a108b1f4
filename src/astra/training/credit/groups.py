"""Means over the rollouts of a group. (Advantages in a group: `astra.training.rl.grpo`.)"""

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
