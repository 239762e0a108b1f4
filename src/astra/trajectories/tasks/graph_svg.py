"""A transition graph as SVG: tools as circles, an arrow per transition, thicker with its weight.

The names are untrusted and escaped. The same graph gives the same picture.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import networkx as nx
from jinja2 import Environment, FileSystemLoader

from astra.trajectories.tasks.transition_graph import Graph
from astra.types import Json

RADIUS = 14
_MARGIN = 90
_MAX_WIDTH = 6.0
_MIN_WIDTH = 0.8
_LONGEST = 40
"""Characters of a name that are shown; the tooltip has the whole name."""
_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
)


def svg(graph: Graph, title: str) -> str:
    """The picture. Tools without a transition are left out."""
    connected = graph.subgraph([node for node in graph if graph.degree(node)])
    size = int(260 * math.sqrt(max(1, len(connected))))
    layout: Any = nx.spring_layout(nx.Graph(connected), weight=None, seed=0) if connected else {}
    positions = {
        name: (_MARGIN + (x + 1) / 2 * size, _MARGIN + (y + 1) / 2 * size)
        for name, (x, y) in layout.items()
    }
    transitions = sorted(connected.edges(data="weight"))
    most = max((weight for _, _, weight in transitions), default=1)
    edges: list[dict[str, Json]] = [
        {
            "path": _arrow(positions[first], positions[second]),
            "width": f"{max(_MIN_WIDTH, _MAX_WIDTH * weight / most):.1f}",
            "title": f"{first} → {second}: {weight}",
        }
        for first, second, weight in transitions
    ]
    nodes: list[dict[str, Json]] = [
        {
            "name": name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…",
            "title": name,
            "x": f"{x:.1f}",
            "y": f"{y:.1f}",
            "label": f"{y - RADIUS - 4:.1f}",
        }
        for name, (x, y) in sorted(positions.items())
    ]
    return _environment.get_template("graph.svg.j2").render(
        width=size + 2 * _MARGIN,
        height=size + 2 * _MARGIN,
        radius=RADIUS,
        title=title,
        edges=edges,
        nodes=nodes,
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """A path from rim to rim; bowed, so that the two directions do not overlap."""
    (x1, y1), (x2, y2) = start, end
    length = math.hypot(x2 - x1, y2 - y1)
    if length < 2 * RADIUS:  # from a tool to itself: a loop above the circle
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
