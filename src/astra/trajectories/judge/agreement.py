"""Agreement of several judges.

`difference`: mean absolute difference of two judges on the same point. `alpha`: Krippendorff's
alpha with the interval distance (Krippendorff 2011, "Computing Krippendorff's alpha-reliability"):
1 for full agreement, 0 for chance, None where all verdicts are equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean

from astra.trajectories.records import Judgement, TrajectoryScore
from astra.types import Record

Ratings = Mapping[tuple[str, str, str], Sequence[float]]
"""(rollout, measure, place) -> the value of each judge."""


class JudgeAgreement(Record):
    """Agreement on the points that at least two judges judged."""

    points: int
    difference: float
    """In [0, 1]."""
    alpha: float | None


def ratings(*files: Iterable[Judgement]) -> dict[tuple[str, str, str], list[float]]:
    """The teachers' values by point, over several judgements of the same rollouts."""
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for judgements in files:
        for judgement in judgements:
            for finding in judgement.findings:
                if finding.by == "teacher":
                    key = (judgement.rollout, finding.measure.value, finding.place)
                    values[key].append(finding.value)
    return {key: several for key, several in values.items() if len(several) > 1}


def agreements(rated: Ratings) -> dict[str, JudgeAgreement]:
    """Agreement by measure, and over `all`. Empty if no point was judged twice."""
    by_measure: dict[str, JudgeAgreement] = {}
    for name in [*TrajectoryScore, None]:
        units = [v for key, v in rated.items() if name is None or key[1] == name.value]
        if units:
            by_measure["all" if name is None else name.value] = agreement(units)
    return by_measure


def agreement(units: Sequence[Sequence[float]]) -> JudgeAgreement:
    """Agreement on units that at least two judges rated."""
    difference = fmean(fmean(abs(a - b) for a, b in combinations(values, 2)) for values in units)
    return JudgeAgreement(points=len(units), difference=difference, alpha=alpha(units))


def alpha(units: Sequence[Sequence[float]]) -> float | None:
    """Krippendorff's alpha with the interval distance. None if no two ratings differ."""
    everything = [value for values in units for value in values]
    number, mean = len(everything), fmean(everything)
    # Squared differences over all ordered pairs come to 2n times the squared deviations.
    expected = 2 * sum((value - mean) ** 2 for value in everything) / (number - 1)
    if expected == 0:
        return None
    observed = sum(
        2 * sum((a - b) ** 2 for a, b in combinations(values, 2)) / (len(values) - 1)
        for values in units
    )
    return 1 - observed / number / expected
