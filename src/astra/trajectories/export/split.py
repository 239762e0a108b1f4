"""Train and test split by server, so that no tool of the test rows occurs in training.

Servers that have to be in one split: those of one task, and those that share a tool (the same
document under the same name).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import networkx as nx

from astra.types import ToolSchema, content_hash

RowTools = tuple[tuple[str, ...], Sequence[ToolSchema]]
"""The servers of one row, and the tools it shows."""


class TestSplit(NamedTuple):
    """Which rows are for testing."""

    servers: frozenset[str]
    """Ids of the servers whose rows are held out."""
    groups: int
    """Groups of servers that have to be in one split."""


def hold_out(rows: Iterable[RowTools], fraction: float, seed: int) -> TestSplit:
    """Choose the servers that are held out.

    `fraction`: of the rows, approached from below with whole groups; the smallest group if every
    group is larger. Nothing is held out if all rows are one group. Deterministic in rows and seed.
    """
    graph: nx.Graph[str] = nx.Graph()
    owners: defaultdict[str, set[str]] = defaultdict(set)
    row_counts: Counter[str] = Counter()
    for servers, tools in rows:
        graph.add_nodes_from(servers)
        nx.add_path(graph, servers)
        row_counts[servers[0]] += 1
        for tool in tools:
            owners[content_hash(tool.model_dump())].add(servers[0])
    for sharing in owners.values():
        nx.add_path(graph, sorted(sharing))
    # Sorted before the shuffle: the order of components depends on that of the rows.
    groups = sorted((set(group) for group in nx.connected_components(graph)), key=min)
    random.Random(seed).shuffle(groups)
    sizes = [sum(row_counts[server] for server in group) for group in groups]
    wanted = fraction * sum(sizes)
    held_out: set[str] = set()
    size = 0
    for group, rows_of_group in zip(groups[1:], sizes[1:], strict=True):  # one group is trained on
        if size + rows_of_group <= wanted:
            held_out |= group
            size += rows_of_group
    if not held_out and fraction > 0 and len(groups) > 1:
        held_out = groups[sizes.index(min(sizes))]
    return TestSplit(frozenset(held_out), len(groups))
