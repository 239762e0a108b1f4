"""Two evaluations on the same arenas, or two runs of a benchmark: who won where, by how much."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

from astra.core.intervals import Interval, bootstrap
from astra.errors import AstraError
from astra.types import Json
from astra.viewer.pages.asked import INDEX_SECONDS, PAGE_ROWS, Asked, Shown
from astra.viewer.pages.listing import whole
from astra.viewer.row_index import RowQuery
from astra.viewer.shelf import Run

_KINDS = ("category", "scenario", "hops", "language", "domain", "state", "level")


class ItemScores(NamedTuple):
    """Mean scores of an item that both runs have."""

    task: str
    first: float
    second: float
    kinds: dict[str, str]
    first_row: str
    second_row: str
    """Id of the first episode of the item in each run."""

    @property
    def difference(self) -> float:
        return self.first - self.second


class KindDifference(NamedTuple):
    """The difference over items of one kind."""

    name: str
    items: int
    first: float
    second: float
    difference: Interval
    better: int
    worse: int


def compare_page(asked: Asked) -> Shown:
    """`compare.html?first=RUN&second=RUN`, or `RUN/compare/RUN.html`."""
    played = [run for run in asked.shelf.runs().values() if run.folder.exists("episodes.jsonl")]
    names = [asked.query.get("first", ""), asked.query.get("second", "")]
    chosen = [run for name in names for run in played if run.name == name]
    values: dict[str, Any] = {
        "title": "Compare",
        "played": played,
        "pairs": [(a, b) for a, b in combinations(played, 2) if _played_of(a) == _played_of(b)],
        "first": names[0],
        "second": names[1],
        "overall": None,
        "groups": {},
        "items": [],
        "total": 0,
        "page": 1,
        "pages": 1,
        "only_first": 0,
        "only_second": 0,
        "problems": [],
    }
    if len(chosen) == 2:
        values |= _compared(asked, *chosen)
    return "compare.html", values


def _played_of(run: Run) -> tuple[str, Json]:
    """What a run played, by its options: pairs of others have no item in common."""
    try:
        config = run.folder.config()
    except AstraError:
        config = {}
    return run.kind, config.get("arenas", config.get("command"))


def _compared(asked: Asked, first: Run, second: Run) -> dict[str, Any]:
    one, other = _scores(asked, first), _scores(asked, second)
    common = one.keys() & other.keys()
    arenas = _arena_kinds(asked, common)
    items = [
        ItemScores(
            task,
            one[task].mean,
            other[task].mean,
            arenas.get(task) or one[task].kinds,
            one[task].row,
            other[task].row,
        )
        for task in sorted(common)
    ]
    found = {"only_first": len(one.keys() - common), "only_second": len(other.keys() - common)}
    if not items:
        return found | {"problems": ["the two runs have no scored item in common"]}
    groups: defaultdict[str, dict[str, list[ItemScores]]] = defaultdict(dict)
    for item in items:
        for kind, value in item.kinds.items():
            groups[kind].setdefault(value, []).append(item)
    ordered = sorted(items, key=lambda item: (-abs(item.difference), item.task))
    page = max(1, whole(asked.query.get("page", "")) or 1)
    start = (page - 1) * PAGE_ROWS
    return found | {
        "overall": _difference("all", items),
        "groups": {
            kind: [_difference(name, own) for name, own in sorted(values.items())]
            for kind, values in groups.items()
            if len(values) > 1
        },
        "items": ordered[start : start + PAGE_ROWS],
        "total": len(items),
        "page": page,
        "pages": math.ceil(len(items) / PAGE_ROWS),
    }


class _Mean(NamedTuple):
    mean: float
    kinds: dict[str, str]
    row: str


def _scores(asked: Asked, run: Run) -> dict[str, _Mean]:
    """Item -> mean score over its scored episodes."""
    index = run.index(asked.listing(run, "episodes"))
    while not index.refresh(INDEX_SECONDS).complete:
        pass
    rows = index.find(RowQuery(), start=0, count=-1).rows
    values: defaultdict[str, list[float]] = defaultdict(list)
    first: dict[str, tuple[str, dict[str, str]]] = {}
    for row in rows:
        score, task = row.cells["f1"], str(row.cells["task"])
        if isinstance(score, int | float):
            values[task].append(float(score))
            category = str(row.cells["category"] or "")
            first.setdefault(task, (row.id, {"category": category} if category else {}))
    return {
        task: _Mean(math.fsum(own) / len(own), first[task][1], first[task][0])
        for task, own in values.items()
    }


def _arena_kinds(asked: Asked, tasks: set[str] | Any) -> dict[str, dict[str, str]]:
    """Arena -> its kinds, as far as the runs that are shown hold the arenas."""
    kinds: dict[str, dict[str, str]] = {}
    for run in asked.shelf.runs().values():
        for listing in run.listings:
            if listing.name != "arenas":
                continue
            index = run.index(listing)
            index.refresh(INDEX_SECONDS)
            for row in index.find(RowQuery(), start=0, count=-1).rows:
                if row.id in tasks:
                    kinds[row.id] = _kinds(row.cells)
    return kinds


def _kinds(cells: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(cells[name]) for name in _KINDS if cells.get(name) not in (None, "")}


def _difference(name: str, items: list[ItemScores]) -> KindDifference:
    interval = bootstrap([[item.difference] for item in items], 0)
    assert interval is not None
    return KindDifference(
        name,
        len(items),
        math.fsum(item.first for item in items) / len(items),
        math.fsum(item.second for item in items) / len(items),
        interval,
        sum(item.difference > 0 for item in items),
        sum(item.difference < 0 for item in items),
    )
