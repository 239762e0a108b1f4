"""The transition graph of a server's tools, and random walks on it (spec section 1.2).

A node per tool, an edge for every consecutive pair of a proposed chain, its weight the count.
Walks are drawn by weight from a seed: the first edge in proportion to its weight, each next one
in proportion to the weights of the edges that leave the tool.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import accumulate, pairwise
from typing import Any

import networkx as nx

from astra.errors import ConfigError

Graph = Any
"""An `nx.DiGraph`, whose type takes no parameters at run time."""
_TRIES = 20
"""Walks that are begun, at most, for each that is wanted."""


def transition_graph(tools: Iterable[str], chains: Iterable[Sequence[str]]) -> Graph:
    """The graph of some chains. Tools that are in no chain are nodes, too."""
    graph: Graph = nx.DiGraph()
    graph.add_nodes_from(tools)
    for chain in chains:
        for first, second in pairwise(chain):
            weight = graph[first][second]["weight"] if graph.has_edge(first, second) else 0
            graph.add_edge(first, second, weight=weight + 1)
    return graph


def graphml(graph: Graph) -> bytes:
    """The graph as GraphML."""
    buffer = BytesIO()
    nx.write_graphml(graph, buffer)
    return buffer.getvalue()


class WeightedWalker:
    """Draws walks on a graph of positive weights."""

    def __init__(
        self, graph: Graph, *, shortest: int = 2, longest: int = 5, acyclic: bool = False
    ) -> None:
        """`shortest` and `longest`: tools of a walk. `acyclic`: no tool twice."""
        if not 2 <= shortest <= longest:
            raise ConfigError(
                f"walks of {shortest!r} to {longest!r} tools: give at least 2, the shortest first"
            )
        self._shortest, self._longest, self._acyclic = shortest, longest, acyclic
        self._next = {
            node: ([second for _, second, _ in edges], [weight for _, _, weight in edges])
            for node in graph
            if (edges := list(graph.out_edges(node, data="weight")))
        }
        self._sums = {node: list(accumulate(weights)) for node, (_, weights) in self._next.items()}
        self._starts = list(self._next)
        self._start_sums = list(accumulate(sums[-1] for sums in self._sums.values()))

    def walk(self, rng: random.Random) -> tuple[str, ...]:
        """One walk; shorter than `shortest` where it ran into a dead end."""
        if not self._starts:
            return ()
        walk = [self._starts[_drawn(self._start_sums, rng)]]
        for _ in range(rng.randint(self._shortest, self._longest) - 1):
            step = self._step(walk, rng)
            if step is None:
                break
            walk.append(step)
        return tuple(walk)

    def _step(self, walk: Sequence[str], rng: random.Random) -> str | None:
        if walk[-1] not in self._next:
            return None
        names, weights = self._next[walk[-1]]
        if self._acyclic:
            free = [index for index, name in enumerate(names) if name not in walk]
            if not free:
                return None
            return names[free[_drawn(list(accumulate(weights[i] for i in free)), rng)]]
        return names[_drawn(self._sums[walk[-1]], rng)]

    def walks(self, rng: random.Random) -> Iterator[tuple[str, ...]]:
        """Walks of allowed lengths without end, or until none are found any more."""
        missed = 0
        while missed < _TRIES * self._longest:
            walk = self.walk(rng)
            if len(walk) >= self._shortest:
                missed = 0
                yield walk
            else:
                missed += 1


def _drawn(sums: Sequence[float], rng: random.Random) -> int:
    """An index in proportion to the weights that the sums add up."""
    return min(bisect(sums, rng.random() * sums[-1]), len(sums) - 1)


def candidate_walks(
    graph: Graph, most: int, *, seed: str, shortest: int, longest: int, acyclic: bool
) -> list[tuple[str, ...]]:
    """At most so many different walks, in the order in which they were first drawn."""
    walker = WeightedWalker(graph, shortest=shortest, longest=longest, acyclic=acyclic)
    found: dict[tuple[str, ...], None] = {}
    repeated = 0
    for walk in walker.walks(random.Random(seed)):
        if walk in found:
            repeated += 1
        else:
            found[walk] = None
            repeated = 0
        if len(found) >= most or repeated > _TRIES * max(10, len(found)):
            break
    return list(found)[:most]
