"""How accurate an attribution is: its rank correlation with the counterfactual, per trajectory.

*Ours.* Only arenas can be replayed, so that there is a contribution to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def spearman(measured: Sequence[float], true: Sequence[float]) -> float | None:
    """Spearman's ρ with tied ranks averaged. None for fewer than two steps, or one side constant.

    Steps that either side does not know (NaN) are left out. Values within 1e-6 count as equal.
    """
    pairs = [
        (round(a, 6), round(b, 6))
        for a, b in zip(measured, true, strict=True)
        if math.isfinite(a + b)
    ]
    if len(pairs) < 2:
        return None
    ranks_2K = np.array([_ranks(side) for side in zip(*pairs, strict=True)])
    centred_2K = ranks_2K - ranks_2K.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred_2K, axis=1)
    if not norms.all():
        return None
    return float(centred_2K[0] @ centred_2K[1] / norms.prod())


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks from 1. Equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[inverse]


def mean_agreement(
    measured: Sequence[Sequence[float]], true: Sequence[Sequence[float]]
) -> tuple[float | None, int]:
    """The mean over the trajectories that have a correlation, and their number."""
    correlations = [spearman(a, b) for a, b in zip(measured, true, strict=True)]
    known = [value for value in correlations if value is not None]
    return (math.fsum(known) / len(known) if known else None), len(known)
