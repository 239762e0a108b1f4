"""How right an attribution is: its rank correlation with the counterfactual, per trajectory.

*Ours.* Only an arena, which can be replayed, has a contribution to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata


def spearman(told: Sequence[float], true: Sequence[float]) -> float | None:
    """Spearman's ρ, ties at their mean rank; None when fewer than two steps or one side is flat.

    Steps that either side knows nothing of (NaN) are left out. Contributions are differences of
    rewards: what lies within 1e-6 is taken as equal.
    """
    pairs = [
        (round(a, 6), round(b, 6)) for a, b in zip(told, true, strict=True) if math.isfinite(a + b)
    ]
    if len(pairs) < 2:
        return None
    ranks_2K = np.array([rankdata(side) for side in zip(*pairs, strict=True)])
    centred_2K = ranks_2K - ranks_2K.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred_2K, axis=1)
    if not norms.all():
        return None
    return float(centred_2K[0] @ centred_2K[1] / norms.prod())


def mean_agreement(
    told: Sequence[Sequence[float]], true: Sequence[Sequence[float]]
) -> tuple[float | None, int]:
    """The mean over trajectories where there is a correlation, and their number."""
    found = [spearman(a, b) for a, b in zip(told, true, strict=True)]
    known = [value for value in found if value is not None]
    return (math.fsum(known) / len(known) if known else None), len(known)
