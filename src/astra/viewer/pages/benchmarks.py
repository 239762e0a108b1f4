"""Runs of the field's benchmarks beside each other: categories as rows, runs as columns."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from pydantic import ValidationError

from astra.errors import AstraError
from astra.evaluation.benchmarks.records import BenchmarkSummary
from astra.types import Json
from astra.viewer.pages.asked import Asked, Shown
from astra.viewer.shelf import Run

_NAMES = ("model", "policy", "base_url", "trials")


class BenchmarkRun(NamedTuple):
    """A finished run of a benchmark."""

    run: Run
    summary: BenchmarkSummary
    options: dict[str, Json]
    """What tells it from other runs."""


def benchmarks_page(asked: Asked) -> Shown:
    """`benchmarks.html`."""
    runs: defaultdict[str, list[BenchmarkRun]] = defaultdict(list)
    unfinished: list[Run] = []
    problems: list[str] = []
    for run in asked.shelf.runs().values():
        if run.kind != "benchmark":
            continue
        if not run.folder.exists("report.json"):
            unfinished.append(run)
            continue
        try:
            summary = BenchmarkSummary.model_validate_json(run.folder.read("report.json"))
            config = run.folder.config()
        except ValidationError:
            problems.append(f"{str(run.path / 'report.json')!r} is no report of a benchmark")
        except AstraError as error:
            problems.append(str(error))
        else:
            options = {name: config[name] for name in _NAMES if name in config}
            runs[summary.benchmark].append(BenchmarkRun(run, summary, options))
    return "benchmarks.html", {
        "title": "Benchmarks",
        "benchmarks": {
            name: (own, list(dict.fromkeys(c for each in own for c in each.summary.categories)))
            for name, own in sorted(runs.items())
        },
        "unfinished": unfinished,
        "problems": problems,
    }
