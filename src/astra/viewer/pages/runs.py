"""All runs: what each made, how much of it was accepted, what it took."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from astra.errors import AstraError
from astra.runs.manifest import StageCounts
from astra.viewer.pages.asked import Asked, Shown
from astra.viewer.shelf import Run


@dataclass(frozen=True)
class RunSummary:
    """A run as a line of the list."""

    run: Run
    kind: str
    stages: dict[str, StageCounts]
    made: int | None
    """Items that the last stage accepted. None: the folder has no stages."""
    failed: int
    """Items that were rejected or broke, over all stages."""
    cost: StageCounts
    figures: dict[str, float]
    """What a report says, by measure."""
    problem: str
    modified: float

    @property
    def fraction(self) -> float | None:
        """Yield: what was made, of that and what failed."""
        made = self.made or 0
        return made / (made + self.failed) if made + self.failed else None


def summary(run: Run) -> RunSummary:
    """A run's summary. What can't be read is told in it, so that the other runs can be seen."""
    manifest, problem = None, ""
    try:
        manifest = run.folder.manifest()
    except AstraError as error:
        problem = str(error)
    stages = {} if manifest is None else dict(manifest.stages)
    counted = list(stages.values())
    cost = StageCounts() if manifest is None else manifest.cost
    return RunSummary(
        run=run,
        kind=run.kind,
        stages=stages,
        made=counted[-1].accepted if counted else None,
        failed=sum(sum(s.rejected.values()) + sum(s.errors.values()) for s in counted),
        cost=cost,
        figures=_figures(run),
        problem=problem,
        modified=_modified(run),
    )


def _figures(run: Run) -> dict[str, float]:
    """The headline of `report.json`."""
    if not run.folder.exists("report.json"):
        return {}
    try:
        report: dict[str, Any] = json.loads(run.folder.read("report.json"))
    except (AstraError, ValueError):
        return {}
    figures: dict[str, float] = {}
    for name in ("f1", "score", "reward", "recall", "precision"):
        value = report.get(name)
        mean = value.get("mean") if isinstance(value, dict) else value
        if isinstance(mean, int | float):
            figures[name] = float(mean)
    return figures


def _modified(run: Run) -> float:
    times: list[float] = []
    for path in run.path.glob("*.json*"):
        try:
            times.append(path.stat(follow_symlinks=False).st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)


def runs_page(asked: Asked) -> Shown:
    """`index.html`."""
    summaries = [summary(run) for run in asked.shelf.runs().values()]
    return "runs.html", {"title": "Runs", "summaries": summaries}
