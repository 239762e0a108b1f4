"""Curves of the metrics of training runs, one run or several on each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from astra.errors import AstraError
from astra.types import Json
from astra.viewer.pages.asked import Asked, Shown
from astra.viewer.shelf import Run

METRICS = "metrics"
_POINTS = 5_000
"""Points of a curve at most: of a longer one, each n-th."""
_LARGEST = 1e300
_AXES = ("step", "seconds", "num_tokens", "epoch")


def training_page(asked: Asked) -> Shown:
    """`training.html?run=…&run=…`. Without a run: all that have metrics."""
    trained = [run for run in asked.shelf.runs().values() if run.folder.exists("metrics.jsonl")]
    names = [name for name in asked.query.get("runs", "").split(",") if name]
    shown = [run for run in trained if run.name in names] if names else trained
    problems: list[str] = []
    logged = {run.name: _rows(run, problems) for run in shown}
    axis = asked.query.get("axis", "step")
    if axis not in _AXES:
        axis = "step"
    return "training.html", {
        "title": "Training",
        "trained": trained,
        "shown": [run.name for run in shown],
        "charts": _charts(logged, axis),
        "axis": axis,
        "axes": _AXES,
        "last": _last(logged),
        "problems": problems,
    }


def _rows(run: Run, problems: list[str]) -> list[dict[str, Json]]:
    rows: list[dict[str, Json]] = []
    try:
        rows.extend(row for _, row in run.folder.values(METRICS))
    except AstraError as error:
        problems.append(str(error))
    return rows


def _charts(logged: dict[str, list[dict[str, Json]]], axis: str) -> list[dict[str, Any]]:
    """For each metric the curves of the runs: two lists of numbers each."""
    names = {n: None for rows in logged.values() for row in rows for n in row if n not in _AXES}
    charts: list[dict[str, Any]] = []
    for name in names:
        curves = [_curve(run, rows, name, axis) for run, rows in logged.items()]
        if any(len(curve["x"]) > 1 for curve in curves):
            charts.append({"metric": name, "curves": [c for c in curves if c["x"]]})
    # What one looks at first.
    first = ("reward", "f1", "loss", "eval_loss", "entropy")
    return sorted(charts, key=lambda c: first.index(c["metric"]) if c["metric"] in first else 99)


def _curve(run: str, rows: Sequence[dict[str, Json]], name: str, axis: str) -> dict[str, Any]:
    points = [
        (row[axis], row[name])
        for row in rows
        if _is_number(row.get(axis)) and _is_number(row.get(name))
    ]
    points.sort()
    every = -(-len(points) // _POINTS) or 1
    return {"run": run, "x": [x for x, _ in points[::every]], "y": [y for _, y in points[::every]]}


def _is_number(value: Json) -> bool:
    """Whether it is on a curve: files of others hold NaN, and numbers that a script can't read."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -_LARGEST < value < _LARGEST
    )


def _last(logged: dict[str, list[dict[str, Json]]]) -> dict[str, dict[str, Json]]:
    """Metric -> run -> last value: what is read where no script runs."""
    last: dict[str, dict[str, Json]] = {}
    for run, rows in logged.items():
        for row in rows:
            for name, value in row.items():
                if _is_number(value):
                    last.setdefault(name, {})[run] = value
    return last
