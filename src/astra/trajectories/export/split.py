"""Train and test split by server, so that no tool of the test rows is seen in training.

Servers that must not be parted go together: those of one task, and those that share a tool (the
same document under the same name).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

from astra.types import ToolDocument, content_hash

Use = tuple[tuple[str, ...], Sequence[ToolDocument]]
"""The servers of one row, and the tools it shows."""


def test_servers(uses: Iterable[Use], share: float, seed: int) -> set[str]:
    """Ids of the servers whose rows are for testing.

    `share`: of the rows, reached as closely from below as whole groups allow, but for one group
    at least; the same uses and seed give the same servers. Empty where all rows hang together:
    nothing can be held out then.
    """
    groups, rows = _groups(uses)
    order = sorted(groups, key=lambda group: min(group))
    random.Random(seed).shuffle(order)
    wanted = share * sum(rows.values())
    held: set[str] = set()
    taken = 0
    for group in order[1:]:  # one group at least is trained on
        size = sum(rows[server] for server in group)
        if taken + size <= wanted or (not held and share > 0):
            held |= group
            taken += size
    return held


def _groups(uses: Iterable[Use]) -> tuple[list[set[str]], Mapping[str, int]]:
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
