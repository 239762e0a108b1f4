"""What trials came to: means, paired differences with intervals, curves; JSON, Markdown, CSV, PNG.

Intervals are percentile bootstraps over seeds (95 %), paired by seed for differences. With the few
seeds that one can afford they are narrow rather than wide: an interval that excludes 0 at five
seeds says that every resampling of those five agrees, not more.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from astra.core.intervals import Interval, bootstrap
from astra.types import Json, Record
from recipes.reproduce.trials import TrialOutcome


class MeasurementComparison(Record):
    """One measurement of one arm, and against the baseline."""

    arm: str
    measure: str
    value: Interval
    difference: Interval | None
    """To the baseline, seeds paired; None for the baseline, and where no seed has both."""


class Summary(Record):
    """What a comparison found."""

    baseline: str
    rows: tuple[MeasurementComparison, ...]
    broken: tuple[dict[str, Json], ...] = ()
    """Trials without an outcome, with their reasons."""


def summarise(
    outcomes: Sequence[TrialOutcome], baseline: str, broken: Sequence[dict[str, Json]] = ()
) -> Summary:
    """Every final measurement of every arm, in the order in which they come."""
    by_arm: dict[str, dict[int, TrialOutcome]] = defaultdict(dict)
    for outcome in outcomes:
        by_arm[outcome.arm][outcome.seed] = outcome
    measures = dict.fromkeys(name for outcome in outcomes for name in outcome.final)
    rows = [
        _compared(arm, measure, by_arm, baseline)
        for measure in measures
        for arm, seeds in by_arm.items()
        if any(measure in outcome.final for outcome in seeds.values())
    ]
    return Summary(baseline=baseline, rows=tuple(rows), broken=tuple(broken))


def _compared(
    arm: str, measure: str, by_arm: dict[str, dict[int, TrialOutcome]], baseline: str
) -> MeasurementComparison:
    own = {s: o.final[measure] for s, o in by_arm[arm].items() if measure in o.final}
    other = {s: o.final[measure] for s, o in by_arm[baseline].items() if measure in o.final}
    pairs = [own[seed] - other[seed] for seed in own if seed in other]
    value = _over_seeds(list(own.values()))
    assert value is not None
    difference = None if arm == baseline else _over_seeds(pairs)
    return MeasurementComparison(arm=arm, measure=measure, value=value, difference=difference)


def _over_seeds(values: Sequence[float]) -> Interval | None:
    return bootstrap([[value] for value in values], 0, resamples=10_000)


# --- writing ---------------------------------------------------------------------------------


def markdown(summary: Summary) -> str:
    """The summary as a table."""
    lines = [
        f"| measure | arm | mean [95 %] | against {summary.baseline} | seeds |",
        "|---|---|---|---|---|",
    ]
    for row in summary.rows:
        against = "" if row.difference is None else _shown(row.difference, signed=True)
        cells = (row.measure, row.arm, _shown(row.value), against, str(row.value.groups))
        lines.append(f"| {' | '.join(cells)} |")
    for failure in summary.broken:
        lines.append("")
        lines.append(f"No outcome: {failure['arm']}, seed {failure['seed']} ({failure['type']}).")
    return "\n".join(lines) + "\n"


def _shown(interval: Interval, *, signed: bool = False) -> str:
    form = "{:+.3f}" if signed else "{:.3f}"
    mean, low, high = (form.format(x) for x in (interval.mean, interval.low, interval.high))
    return f"{mean} [{low}, {high}]" if interval.groups > 1 else mean


def write_curves(outcomes: Sequence[TrialOutcome], path: Path) -> None:
    """All points, one value a row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["arm", "seed", "rollouts", "tokens", "measure", "value"])
        for outcome in outcomes:
            for point in outcome.points:
                for measure, value in point.values.items():
                    place = (outcome.arm, outcome.seed, point.rollouts, point.tokens)
                    writer.writerow([*place, measure, repr(value)])


def plot_curves(outcomes: Sequence[TrialOutcome], measure: str, path: Path) -> None:
    """One measurement over rollouts: a line per arm, mean over seeds, with their range."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for arm in dict.fromkeys(outcome.arm for outcome in outcomes):
        at: dict[int, list[float]] = defaultdict(list)
        for outcome in outcomes:
            for point in outcome.points:
                if outcome.arm == arm and math.isfinite(point.values.get(measure, math.nan)):
                    at[point.rollouts].append(point.values[measure])
        places = sorted(at)
        means = [sum(at[place]) / len(at[place]) for place in places]
        (line,) = axes.plot(places, means, label=arm)
        axes.fill_between(
            places,
            [min(at[place]) for place in places],
            [max(at[place]) for place in places],
            alpha=0.15,
            color=line.get_color(),
        )
    axes.set_xlabel("rollouts")
    axes.set_ylabel(measure)
    axes.legend()
    # Without the date and the version, so that the same curves are the same bytes.
    figure.savefig(path, dpi=120, metadata={"Software": None})


def write_summary(
    outcomes: Sequence[TrialOutcome],
    baseline: str,
    folder: Path,
    broken: Sequence[dict[str, Json]] = (),
) -> Summary:
    """summary.json, summary.md, curves.csv and a PNG per measurement, in the folder."""
    summary = summarise(outcomes, baseline, broken)
    (folder / "summary.json").write_text(summary.model_dump_json(indent=2) + "\n", "utf-8")
    (folder / "summary.md").write_text(markdown(summary), "utf-8")
    write_curves(outcomes, folder / "curves.csv")
    measures = dict.fromkeys(n for o in outcomes for point in o.points for n in point.values)
    for measure in measures:
        plot_curves(outcomes, measure, folder / f"{measure.replace('/', '-')}.png")
    return summary
