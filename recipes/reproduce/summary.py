"""Summarizes trials: means, paired differences with intervals, curves; JSON, Markdown, CSV, PNG.

Means have 95 % percentile bootstraps over seeds, which with a few seeds are too narrow rather than
too wide. Differences are paired by seed and have Student's t intervals, which know how few the
seeds are, and beside them what the comparison could have seen at all.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t as student_t

from astra.core.files import write_file
from astra.core.intervals import Interval, bootstrap
from astra.types import Json, Record
from recipes.reproduce.trials import TrialOutcome

COST = "cost/"
"""Prefix of what a run took."""
CONFIDENCE = 0.975
"""Quantile of a two-sided 95 % interval."""
POWER = 0.8
"""Share of such comparisons that find a difference of the size that is called detectable."""


class MeasurementSummary(Record):
    """One measurement of one arm."""

    arm: str
    measure: str
    value: Interval
    difference: Interval | None
    """To the baseline, paired by seed. None for the baseline, and if no seed has both."""
    detectable: float | None = None
    """True difference that four of five such comparisons would tell from 0.
    None: fewer than two pairs."""


class Summary(Record):
    """The final measurements of a comparison."""

    baseline: str
    rows: tuple[MeasurementSummary, ...]
    failures: tuple[dict[str, Json], ...] = ()
    """Trials without an outcome, with their reasons."""


def summarize(
    outcomes: Sequence[TrialOutcome], baseline: str, failures: Sequence[dict[str, Json]] = ()
) -> Summary:
    """Every final measurement and cost of every arm, in the order of the outcomes."""
    # measure → arm → seed → value
    values: dict[str, dict[str, dict[int, float]]] = {}
    for outcome in outcomes:
        costs = {COST + name: value for name, value in outcome.cost.items()}
        for measure, value in {**outcome.final, **costs}.items():
            by_seed = values.setdefault(measure, {}).setdefault(outcome.arm, {})
            by_seed[outcome.seed] = value
    arms = list(dict.fromkeys(outcome.arm for outcome in outcomes))

    def rows() -> Iterator[MeasurementSummary]:
        for measure, by_arm in values.items():
            reference = by_arm.get(baseline, {})
            for arm in sorted(by_arm, key=arms.index):
                own = by_arm[arm]
                value = bootstrap([[each] for each in own.values()], 0, resamples=10_000)
                assert value is not None
                pairs = [own[seed] - reference[seed] for seed in own if seed in reference]
                difference, detectable = paired([] if arm == baseline else pairs)
                yield MeasurementSummary(
                    arm=arm,
                    measure=measure,
                    value=value,
                    difference=difference,
                    detectable=detectable,
                )

    return Summary(baseline=baseline, rows=tuple(rows()), failures=tuple(failures))


def paired(differences: Sequence[float]) -> tuple[Interval | None, float | None]:
    """Mean of paired differences with Student's t interval, and the difference that is detectable.

    The latter is (t_0.975 + t_0.8) standard errors, a usual approximation of the paired t test's
    power. A single difference has neither width nor power.
    """
    count = len(differences)
    if count < 2:
        only = [Interval(mean=value, low=value, high=value, groups=1) for value in differences]
        return (only[0] if only else None), None
    centre, error = mean(differences), stdev(differences) / math.sqrt(count)
    critical, powerful = student_t.ppf([CONFIDENCE, POWER], count - 1)
    half = float(critical) * error
    interval = Interval(mean=centre, low=centre - half, high=centre + half, groups=count)
    return interval, float(critical + powerful) * error


def interval_text(interval: Interval | None, *, signed: bool = False) -> str:
    """`0.500 [0.450, 0.550]`; the mean alone if there is one seed."""
    if interval is None:
        return ""
    sign = "+" if signed else ""
    mean, low, high = (f"{x:{sign}.3f}" for x in (interval.mean, interval.low, interval.high))
    return f"{mean} [{low}, {high}]" if interval.groups > 1 else mean


def table_cells(row: MeasurementSummary) -> tuple[str, ...]:
    """A row of the table under `table_titles`."""
    return (
        row.measure,
        row.arm,
        interval_text(row.value),
        interval_text(row.difference, signed=True),
        "" if row.detectable is None else f"{row.detectable:.3f}",
        str(row.value.groups),
    )


def table_titles(baseline: str) -> tuple[str, ...]:
    """Titles of the columns."""
    return ("measure", "arm", "mean [95 %]", f"against {baseline}", "detectable", "seeds")


def markdown(summary: Summary) -> str:
    """The summary as a table."""
    titles = table_titles(summary.baseline)
    cells = [
        titles,
        ("---",) * len(titles),
        *(table_cells(row) for row in summary.rows),
    ]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    for failure in summary.failures:
        lines += ["", f"No outcome: {failure['arm']}, seed {failure['seed']} ({failure['type']})."]
    return "\n".join(lines) + "\n"


def write_summary(
    outcomes: Sequence[TrialOutcome],
    baseline: str,
    folder: Path,
    failures: Sequence[dict[str, Json]] = (),
) -> Summary:
    """Write summary.json, summary.md, curves.csv and a PNG per measurement."""
    folder.mkdir(parents=True, exist_ok=True)
    summary = summarize(outcomes, baseline, failures)
    write_file(folder / "summary.json", (summary.model_dump_json(indent=2) + "\n").encode())
    write_file(folder / "summary.md", markdown(summary).encode())
    with (folder / "curves.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["arm", "seed", "rollouts", "tokens", "measure", "value"])
        for outcome in outcomes:
            for point in outcome.points:
                for measure, value in point.values.items():
                    at = (outcome.arm, outcome.seed, point.rollouts, point.tokens)
                    writer.writerow([*at, measure, repr(value)])
    measures = dict.fromkeys(n for o in outcomes for point in o.points for n in point.values)
    for measure in measures:
        plot_curves(outcomes, measure, folder / f"{measure.replace('/', '-')}.png")
    return summary


def plot_curves(outcomes: Sequence[TrialOutcome], measure: str, path: Path) -> None:
    """Plot one measurement over rollouts: a line per arm, the mean of seeds within their range."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # arm → rollouts → values of the seeds
    values: dict[str, dict[int, list[float]]] = {}
    for outcome in outcomes:
        by_rollouts = values.setdefault(outcome.arm, defaultdict(list))
        for point in outcome.points:
            if math.isfinite(value := point.values.get(measure, math.nan)):
                by_rollouts[point.rollouts].append(value)
    for arm, by_rollouts in values.items():
        rollouts = sorted(by_rollouts)
        seeds = [by_rollouts[count] for count in rollouts]
        (line,) = axes.plot(rollouts, [sum(each) / len(each) for each in seeds], label=arm)
        lowest, highest = [min(each) for each in seeds], [max(each) for each in seeds]
        axes.fill_between(rollouts, lowest, highest, alpha=0.15, color=line.get_color())
    axes.set_xlabel("rollouts")
    axes.set_ylabel(measure)
    axes.legend()
    # Without date and version, so that the same curves give the same bytes.
    figure.savefig(path, dpi=120, metadata={"Software": None})
