"""Train and test split by server, so that no tool of the test rows is seen in training.

Servers that must not be parted go together: those of one task, and those that share a tool (the
same document under the same name).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import networkx as nx

from astra.types import ToolSchema, content_hash

RowTools = tuple[tuple[str, ...], Sequence[ToolSchema]]
"""The servers of one row, and the tools it shows."""


class TestSplit(NamedTuple):
    """Which rows are for testing."""

    held: frozenset[str]
    """Ids of the servers whose rows they are."""
    groups: int
    """Groups of servers that can't be parted."""


def split(uses: Iterable[RowTools], share: float, seed: int) -> TestSplit:
    """The servers that are held out.

    `share`: of the rows, reached as closely from below as whole groups allow; the smallest group
    where all are larger. The same uses and seed give the same servers. None where all rows hang
    together: nothing can be held out then.
    """
    groups, rows = _groups(uses)
    order = sorted(groups, key=lambda group: min(group))
    random.Random(seed).shuffle(order)
    wanted = share * sum(rows.values())
    sizes = [sum(rows[server] for server in group) for group in order]
    held: set[str] = set()
    taken = 0
    for group, size in zip(order[1:], sizes[1:], strict=True):  # one group is trained on
        if taken + size <= wanted:
            held |= group
            taken += size
    if not held and share > 0 and len(order) > 1:
        held = order[sizes.index(min(sizes))]
    return TestSplit(frozenset(held), len(order))


def _groups(uses: Iterable[RowTools]) -> tuple[list[set[str]], Mapping[str, int]]:
    graph: nx.Graph[str] = nx.Graph()
    owners: defaultdict[str, set[str]] = defaultdict(set)
    rows: Counter[str] = Counter()
    for servers, tools in uses:
        graph.add_nodes_from(servers)
        nx.add_path(graph, servers)
        first = next(iter(servers))
        rows[first] += 1
        for tool in tools:
            owners[content_hash(tool.model_dump())].add(first)
    for sharing in owners.values():
        nx.add_path(graph, sorted(sharing))
    return [set(group) for group in nx.connected_components(graph)], rows
