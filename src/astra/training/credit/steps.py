"""Sums over steps and back: (B, T) tokens to (B, K) steps. K: one more than the last step."""

from __future__ import annotations

import torch
from torch import Tensor


def step_count(step_BT: Tensor) -> int:
    """K of a batch, at least 1."""
    return int(step_BT.max().item()) + 1 if bool((step_BT >= 0).any()) else 1


def sum_BK(values_BT: Tensor, step_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Sums over the masked tokens of each step. Tokens outside steps (-1) are left out."""
    inside_BT = mask_BT & (step_BT >= 0)
    sums_BK = torch.zeros(
        len(step_BT), step_count(step_BT), dtype=values_BT.dtype, device=values_BT.device
    )
    return sums_BK.scatter_add(1, step_BT.clamp(min=0), values_BT * inside_BT)


def tokens_BK(step_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Number of masked tokens of each step, as float. 0: no such step."""
    return sum_BK(torch.ones_like(step_BT, dtype=torch.get_default_dtype()), step_BT, mask_BT)


def spread_BT(values_BK: Tensor, step_BT: Tensor, outside: float) -> Tensor:
    """Each token's value is that of its step. `outside` for tokens of no step."""
    return values_BK.gather(1, step_BT.clamp(min=0)).masked_fill(step_BT < 0, outside)


def pad_BK(rows: list[list[float]], steps: int, device: torch.device) -> Tensor:
    """Rows of values as one tensor, cut or padded with NaN to `steps`."""
    padded_BK = torch.full((len(rows), steps), torch.nan)
    for values_K, row in zip(padded_BK, rows, strict=True):
        values_K[: len(row[:steps])] = torch.tensor(row[:steps])
    return padded_BK.to(device)
