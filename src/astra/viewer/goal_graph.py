"""The goals of an arena as a drawing: each stands right of what it depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from astra.types import Goal

_WIDTH, _HEIGHT = 200, 54
_GAP_X, _GAP_Y = 56, 18
_MARGIN = 4


class GoalBox(NamedTuple):
    """One goal of the drawing."""

    goal: Goal
    x: int
    y: int
    solved: bool | None
    """None: no episode is shown."""


class GoalGraph(NamedTuple):
    """Boxes, and the paths of the arrows between them, in pixels."""

    boxes: list[GoalBox]
    arrows: list[str]
    width: int
    height: int
    box_width: int = _WIDTH
    box_height: int = _HEIGHT


def goal_graph(goals: Sequence[Goal], solved: set[str] | None = None) -> GoalGraph:
    """The drawing. Goals that wait for each other in a circle stand in a column at the end."""
    names = [goal.id for goal in goals]
    needs = {goal.id: [n for n in goal.depends_on if n in names] for goal in goals}
    columns = _columns(needs)
    places: dict[str, tuple[int, int]] = {}
    tallest = max(map(len, columns), default=0)
    for number, column in enumerate(columns):
        x = _MARGIN + number * (_WIDTH + _GAP_X)
        # Beside the middle of the tallest column, so that arrows stay short.
        top = _MARGIN + (tallest - len(column)) * (_HEIGHT + _GAP_Y) // 2
        for row, name in enumerate(column):
            places[name] = x, top + row * (_HEIGHT + _GAP_Y)
    boxes = [
        GoalBox(goal, *places[goal.id], None if solved is None else goal.id in solved)
        for goal in goals
    ]
    pairs = sorted({(first, second) for second, firsts in needs.items() for first in firsts})
    arrows = [_arrow(places[first], places[second]) for first, second in pairs]
    return GoalGraph(
        boxes,
        arrows,
        2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X,
        2 * _MARGIN + tallest * (_HEIGHT + _GAP_Y) - _GAP_Y,
    )


def _columns(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Goals by how many others come before them at least."""
    order = list(needs)
    sorter = TopologicalSorter(needs)
    columns: list[list[str]] = []
    with suppress(CycleError):  # those that stand before the circle still come out
        sorter.prepare()
    while ready := sorter.get_ready():
        above = {name: row for column in columns[-1:] for row, name in enumerate(column)}

        def height(name: str, above: dict[str, int] = above) -> tuple[float, int]:
            """Mean row of what it depends on in the column before: fewer arrows cross."""
            rows = [above[n] for n in needs[name] if n in above]
            return (sum(rows) / len(rows) if rows else len(above), order.index(name))

        columns.append(sorted(ready, key=height))
        sorter.done(*ready)
    placed = {name for column in columns for name in column}
    rest = [name for name in order if name not in placed]
    return [*columns, rest] if rest else columns


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """A curve from the right side of a box to the left side of another."""
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0] - 5, end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
