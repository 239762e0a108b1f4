"""The transition graph of a server's tools, and random walks on it (spec section 1.2).

Every tool is a node; every consecutive pair of a proposed chain is an edge, weighted by its count.
Walks are drawn from a seed: the first edge in proportion to its weight, each next one in proportion
to the weights of the edges that leave the tool.
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
"""An `nx.DiGraph`; its type takes parameters in the stubs only."""
_TRIES = 20
"""Walks that are begun for each that is wanted."""


def transition_graph(tools: Iterable[str], chains: Iterable[Sequence[str]]) -> Graph:
    """The graph of some chains. Tools without a chain are nodes, too."""
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
        """`shortest` and `longest`: tools of a walk. `acyclic`: no tool occurs twice."""
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
        """One walk; shorter than `shortest` if it ran into a dead end."""
        if not self._starts:
            return ()
        walk = [self._starts[_weighted_index(self._start_sums, rng)]]
        for _ in range(rng.randint(self._shortest, self._longest) - 1):
            if walk[-1] not in self._next:
                break
            names, weights = self._next[walk[-1]]
            sums = self._sums[walk[-1]]
            if self._acyclic:
                free = [i for i, name in enumerate(names) if name not in walk]
                if not free:
                    break
                names = [names[i] for i in free]
                sums = list(accumulate(weights[i] for i in free))
            walk.append(names[_weighted_index(sums, rng)])
        return tuple(walk)

    def walks(self, rng: random.Random) -> Iterator[tuple[str, ...]]:
        """Walks of allowed lengths, until too many attempts in a row give none."""
        missed = 0
        while missed < _TRIES * self._longest:
            walk = self.walk(rng)
            if len(walk) >= self._shortest:
                missed = 0
                yield walk
            else:
                missed += 1


def _weighted_index(sums: Sequence[float], rng: random.Random) -> int:
    """An index in proportion to the weights whose running sums are given."""
    return min(bisect(sums, rng.random() * sums[-1]), len(sums) - 1)


def candidate_walks(
    graph: Graph, most: int, *, seed: str, lengths: tuple[int, int], acyclic: bool
) -> list[tuple[str, ...]]:
    """At most `most` distinct walks, in the order in which they were first drawn."""
    walker = WeightedWalker(graph, shortest=lengths[0], longest=lengths[1], acyclic=acyclic)
    distinct: dict[tuple[str, ...], None] = {}
    repeated = 0
    for walk in walker.walks(random.Random(seed)):
        if walk in distinct:
            repeated += 1
        else:
            distinct[walk] = None
            repeated = 0
        # A small graph has fewer walks than wanted: many repetitions mean that all are found.
        if len(distinct) >= most or repeated > _TRIES * max(10, len(distinct)):
            break
    return list(distinct)[:most]
