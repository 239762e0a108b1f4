"""Two models on the same arenas: the difference per arena, with its uncertainty.

Pairing removes the variation between hard and easy arenas, so that two models can be distinguished
on far fewer arenas than intervals of each model alone suggest.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from astra.core.intervals import Interval, bootstrap
from astra.errors import ConfigError
from astra.evaluation.arenas import PlayedEpisode
from astra.types import Record

ComparedMeasure = Literal["f1", "recall", "precision"]
MEASURES: tuple[ComparedMeasure, ...] = ("f1", "recall", "precision")


class PairedComparison(Record):
    """The first model minus the second, over the arenas that both have scored episodes of."""

    arenas: int
    f1: Interval
    recall: Interval
    precision: Interval
    better: int
    """Arenas on which the first model's mean F1 is higher."""
    worse: int
    only_first: int
    """Arenas that only the first has, which are left out."""
    only_second: int


def compare(
    first: Iterable[PlayedEpisode], second: Iterable[PlayedEpisode], *, seed: int = 0
) -> PairedComparison:
    """Compare two models' episodes; 95 % bootstrap intervals, arenas resampled.

    Raises ConfigError when they have no arena in common.
    """
    mine, other = _means(first), _means(second)
    common = sorted(mine.keys() & other.keys())
    if not common:
        raise ConfigError(
            "the two models have no arena in common: compare episodes of the same run folder, "
            "split and distractors"
        )
    differences = {
        measure: [mine[arena][measure] - other[arena][measure] for arena in common]
        for measure in MEASURES
    }
    intervals = {m: bootstrap([[d] for d in values], seed) for m, values in differences.items()}
    return PairedComparison.model_validate(
        {
            "arenas": len(common),
            **intervals,
            "better": sum(d > 0 for d in differences["f1"]),
            "worse": sum(d < 0 for d in differences["f1"]),
            "only_first": len(mine.keys() - other.keys()),
            "only_second": len(other.keys() - mine.keys()),
        }
    )


def _means(episodes: Iterable[PlayedEpisode]) -> dict[str, dict[ComparedMeasure, float]]:
    """Per arena the mean of each measure over its scored episodes."""
    values: defaultdict[str, list[dict[ComparedMeasure, float]]] = defaultdict(list)
    for episode in episodes:
        score = episode.score
        if score is not None:
            values[episode.trajectory.task].append(
                {"f1": score.f1, "recall": score.recall, "precision": score.precision}
            )
    return {
        arena: {m: math.fsum(row[m] for row in rows) / len(rows) for m in MEASURES}
        for arena, rows in values.items()
    }
