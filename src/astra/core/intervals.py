"""Means with 95 % percentile bootstrap intervals, over arenas or over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from astra.types import Record


class Interval(Record):
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    groups: int
    """Arenas or seeds that were resampled."""


def bootstrap(
    groups: Sequence[Sequence[float]], seed: int, *, resamples: int = 2000
) -> Interval | None:
    """Mean over all values, with an interval that resamples whole groups; None without a value."""
    # Not above: those who only read reports, such as the pages over run folders, start without it.
    import numpy as np

    groups = [group for group in groups if group]
    if not groups:
        return None
    sums = np.array([math.fsum(group) for group in groups])
    counts = np.array([len(group) for group in groups])
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    for i in range(resamples):
        chosen = rng.integers(len(groups), size=len(groups))
        means[i] = sums[chosen].sum() / counts[chosen].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    mean = math.fsum(value for group in groups for value in group) / int(counts.sum())
    return Interval(mean=mean, low=float(low), high=float(high), groups=len(groups))
