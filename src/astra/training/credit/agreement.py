"""Accuracy of credit: its rank correlation with the counterfactual, per trajectory.

*Ours.* For arenas only: other episodes can't be replayed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from astra.training.algorithm import ScoredBatch
from astra.training.credit.steps import sum_BK, tokens_BK


def spearman(measured: Sequence[float], true: Sequence[float]) -> float | None:
    """Spearman's ρ with tied ranks averaged. None for fewer than two steps, or a constant side.

    Steps with a NaN on either side are left out. Values are rounded to 6 digits first.
    """
    # Rounded: contributions that differ by float32's errors alone would be ranked at random.
    pairs = [
        (round(a, 6), round(b, 6))
        for a, b in zip(measured, true, strict=True)
        if math.isfinite(a + b)
    ]
    if len(pairs) < 2:
        return None
    ranks: list[np.ndarray] = []
    for side in zip(*pairs, strict=True):
        _, inverse, counts = np.unique(side, return_inverse=True, return_counts=True)
        # Equal values share the mean of their ranks.
        ranks.append((counts.cumsum() - (counts - 1) / 2)[inverse])
    ranks_2K = np.array(ranks)
    centred_2K = ranks_2K - ranks_2K.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred_2K, axis=1)
    if not norms.all():
        return None
    return float(centred_2K[0] @ centred_2K[1] / norms.prod())


def mean_agreement(
    measured: Sequence[Sequence[float]], true: Sequence[Sequence[float]]
) -> tuple[float | None, int]:
    """The mean over the trajectories that have a correlation, and their number."""
    correlations = [spearman(a, b) for a, b in zip(measured, true, strict=True)]
    known = [value for value in correlations if value is not None]
    return (math.fsum(known) / len(known) if known else None), len(known)


def credit_agreement(
    advantages_BT: Tensor, batch: ScoredBatch, true_BK: Tensor
) -> dict[str, float]:
    """Metrics of an algorithm's credit: a step's mean advantage against its true contribution.

    `agreement/credit` is left out where no trajectory has a correlation.
    """
    count_BK = tokens_BK(batch.step_BT, batch.policy_mask_BT)
    mean_BK = sum_BK(advantages_BT, batch.step_BT, batch.policy_mask_BT) / count_BK.clamp(min=1)
    credit_BK = torch.where(count_BK > 0, mean_BK, torch.nan)
    value, trajectories = mean_agreement(credit_BK.tolist(), true_BK.tolist())
    found = {"agreement/credit_trajectories": float(trajectories)}
    return found if value is None else {"agreement/credit": value, **found}
