"""The goals of an arena as a drawing: each stands right of what it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx

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
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(goal.id for goal in goals)
    graph.add_edges_from(
        (name, goal.id) for goal in goals for name in goal.depends_on if name in graph
    )
    columns = _columns(graph, [goal.id for goal in goals])
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
    arrows = [_arrow(places[first], places[second]) for first, second in sorted(graph.edges)]
    return GoalGraph(
        boxes,
        arrows,
        2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X,
        2 * _MARGIN + tallest * (_HEIGHT + _GAP_Y) - _GAP_Y,
    )


def _columns(graph: nx.DiGraph[str], names: Sequence[str]) -> list[list[str]]:
    columns: list[list[str]] = []
    try:
        for generation in nx.topological_generations(graph):
            above = {name: row for column in columns[-1:] for row, name in enumerate(column)}

            def height(name: str, above: dict[str, int] = above) -> tuple[float, int]:
                """Mean row of what it depends on in the column before: fewer arrows cross."""
                rows = [above[n] for n in graph.predecessors(name) if n in above]
                return (sum(rows) / len(rows) if rows else len(above), names.index(name))

            columns.append(sorted(generation, key=height))
    except nx.NetworkXUnfeasible:
        placed = {name for column in columns for name in column}
        columns.append([name for name in names if name not in placed])
    return columns


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """A curve from the right side of a box to the left side of another."""
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0] - 5, end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
