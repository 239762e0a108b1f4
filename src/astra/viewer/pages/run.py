"""One run: its options, stages, rows, report, and how far it is."""

from __future__ import annotations

from typing import Any

from astra.errors import AstraError
from astra.runs.config_file import storable
from astra.runs.folder import RunFolder
from astra.runs.folder_files import LOG
from astra.types import Json
from astra.viewer.pages.asked import Asked, Shown
from astra.viewer.pages.runs import summary
from astra.viewer.shelf import Run

_LOG_LINES = 40
_LOG_BYTES = 16 * 2**20


def run_page(asked: Asked, run: Run) -> Shown:
    """`RUN/index.html`."""
    problems: list[str] = []
    config: dict[str, Json] = {}
    try:
        # A stranger's folder may hold what ours never do.
        config = storable(run.folder.config())
    except AstraError as error:
        problems.append(str(error))
    listings = [(listing, run.index(listing).refresh(0.2).rows) for listing in run.listings]
    summarized = summary(run)
    if summarized.problem:
        problems.append(summarized.problem)
    return "run.html", {
        "title": run.name,
        "run": run,
        "summary": summarized,
        "config": config,
        "listings": listings,
        "report": _report(run.folder, problems),
        "log": _log_lines(run.folder),
        "has_graph": run.folder.exists("proposals.jsonl"),
        "problems": problems,
    }


def _report(folder: RunFolder, problems: list[str]) -> dict[str, Any]:
    """`report.json` in parts: figures, and tables of groups."""
    if not folder.exists("report.json"):
        return {}
    try:
        report = folder.read_json("report.json")
    except AstraError as error:
        problems.append(str(error))
        return {}
    figures: dict[str, Json] = {}
    intervals: dict[str, Json] = {}
    groups: dict[str, Json] = {}
    for name, value in report.items():
        if isinstance(value, dict) and {"mean", "low", "high"} <= value.keys():
            intervals[name] = value
        elif isinstance(value, dict) and value:
            groups[name] = value
        elif isinstance(value, int | float | str):
            figures[name] = value
    return {"figures": figures, "intervals": intervals, "groups": groups}


def _log_lines(folder: RunFolder) -> list[str]:
    try:
        text = folder.read(LOG, limit=_LOG_BYTES).decode("utf-8", "replace")
    except AstraError:
        return []
    return text.splitlines()[-_LOG_LINES:]
