"""The shapes of questions: which shape a graph of goals has, and which fit into a range of hops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise

from astra.configs.arenas import MAX_HOPS
from astra.errors import ConfigError
from astra.types import Goal, Scenario

PAPER_SHARES: dict[Scenario, float] = {
    Scenario.single_hop: 0.068,
    Scenario.parallel_single_hop: 0.106,
    Scenario.multi_hop: 0.348,
    Scenario.parallel_multi_hop: 0.478,
}
"""Shares of the four scenarios in the paper."""

MIN_HOPS: dict[Scenario, int] = {
    Scenario.single_hop: 1,
    Scenario.parallel_single_hop: 2,
    Scenario.multi_hop: 2,
    Scenario.parallel_multi_hop: 3,
}


def scenario_of(goals: Sequence[Goal]) -> Scenario:
    """The shape of a graph of goals, as `Scenario` defines it. The graph has no cycle."""
    calls = {goal.id: goal for goal in goals if goal.call is not None}
    edges = {name: [d for d in goal.depends_on if d in calls] for name, goal in calls.items()}
    if len(calls) <= 1:
        return Scenario.single_hop
    if not any(edges.values()):
        return Scenario.parallel_single_hop
    chain = list(TopologicalSorter(edges).static_order())
    if all(before in edges[after] for before, after in pairwise(chain)):
        return Scenario.multi_hop
    return Scenario.parallel_multi_hop


def scenarios_within(
    hops: tuple[int, int], shares: Mapping[Scenario, float]
) -> dict[Scenario, float]:
    """The scenarios that fit into a range of hops, with their shares.

    Raises ConfigError for an impossible range, and if no scenario fits.
    """
    low, high = hops
    if not 1 <= low <= high <= MAX_HOPS:
        raise ConfigError(f"hops {low}:{high} must be a range within 1:{MAX_HOPS}")
    fitting = {
        scenario: share
        for scenario, share in shares.items()
        if share > 0
        and MIN_HOPS[scenario] <= high
        and (scenario is not Scenario.single_hop or low == 1)
    }
    if not fitting:
        raise ConfigError(f"no scenario with a share above 0 fits {low}:{high} hops")
    return fitting
