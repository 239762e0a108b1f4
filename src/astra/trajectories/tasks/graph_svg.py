"""A transition graph as SVG: tools as circles, an arrow per transition, thicker with its weight.

The names are untrusted and escaped. The same graph gives the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
from jinja2 import Environment, FileSystemLoader

from astra.trajectories.tasks.transition_graph import Graph
from astra.types import Json

RADIUS = 14
_MARGIN = 90
_THICKEST = 6.0
_LONGEST = 40
"""Characters of a name that are shown; the whole stands in the tooltip."""
_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
)


def svg(graph: Graph, title: str) -> str:
    """The picture. Tools that are in no transition are left out."""
    drawn = graph.subgraph([node for node in graph if graph.degree(node)])
    size = int(260 * math.sqrt(max(1, len(drawn))))
    places = _places(drawn, size)
    most = max((weight for _, _, weight in drawn.edges(data="weight")), default=1)
    return _environment.get_template("graph.svg.j2").render(
        width=size + 2 * _MARGIN,
        height=size + 2 * _MARGIN,
        radius=RADIUS,
        title=title,
        edges=list(_edges(drawn, places, most)),
        nodes=[_node(name, x, y) for name, (x, y) in sorted(places.items())],
    )


def _places(graph: Graph, size: int) -> dict[str, tuple[float, float]]:
    if not len(graph):
        return {}
    spread: Any = nx.spring_layout(nx.Graph(graph), weight=None, seed=0)
    return {
        name: (_MARGIN + (x + 1) / 2 * size, _MARGIN + (y + 1) / 2 * size)
        for name, (x, y) in spread.items()
    }


def _node(name: str, x: float, y: float) -> dict[str, Json]:
    short = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    return {
        "name": short,
        "title": name,
        "x": f"{x:.1f}",
        "y": f"{y:.1f}",
        "label": f"{y - RADIUS - 4:.1f}",
    }


def _edges(
    graph: Graph, places: dict[str, tuple[float, float]], most: int
) -> Iterator[dict[str, Json]]:
    for first, second, weight in sorted(graph.edges(data="weight")):
        yield {
            "path": _path(places[first], places[second]),
            "width": f"{max(0.8, _THICKEST * weight / most):.1f}",
            "title": f"{first} → {second}: {weight}",
        }


def _path(start: tuple[float, float], end: tuple[float, float]) -> str:
    """A bow from rim to rim, so that both directions can be told apart; a loop above a circle."""
    (x1, y1), (x2, y2) = start, end
    length = math.hypot(x2 - x1, y2 - y1)
    if length < 2 * RADIUS:
        low, high = y1 - RADIUS, y1 - 4 * RADIUS
        return (
            f"M{x1 - 6:.1f} {low:.1f}C{x1 - 40:.1f} {high:.1f} {x1 + 40:.1f} {high:.1f} "
            f"{x1 + 6:.1f} {low:.1f}"
        )
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    bow = 0.12 * length
    middle = ((x1 + x2) / 2 - uy * bow, (y1 + y2) / 2 + ux * bow)
    return (
        f"M{x1 + ux * RADIUS:.1f} {y1 + uy * RADIUS:.1f}Q{middle[0]:.1f} {middle[1]:.1f} "
        f"{x2 - ux * RADIUS:.1f} {y2 - uy * RADIUS:.1f}"
    )
