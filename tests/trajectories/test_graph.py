"""Transition graphs and walks: weights counted, walks drawn by them and within their bounds."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise

import networkx as nx
import pytest
from scipy.stats import chisquare  # pyright: ignore[reportMissingTypeStubs]

from astra.errors import ConfigError
from astra.trajectories.tasks.graph_svg import svg
from astra.trajectories.tasks.transition_graph import (
    WeightedWalker,
    candidate_walks,
    graphml,
    transition_graph,
)

CHAINS = [*[("a", "b", "c")] * 3, ("a", "c"), ("b", "a"), ("c", "c"), ("b", "d")]


def graph() -> nx.DiGraph:
    return transition_graph(["a", "b", "c", "d", "alone"], CHAINS)


def test_weights_are_counts() -> None:
    weights = {(a, b): w for a, b, w in graph().edges(data="weight")}
    assert weights == {
        ("a", "b"): 3,
        ("b", "c"): 3,
        ("a", "c"): 1,
        ("b", "a"): 1,
        ("c", "c"): 1,
        ("b", "d"): 1,
    }
    assert set(graph()) == {"a", "b", "c", "d", "alone"}


def drawn(count: int, seed: int = 11) -> list[tuple[str, ...]]:
    walker, rng = WeightedWalker(graph(), shortest=2, longest=2), random.Random(seed)
    return [walker.walk(rng) for _ in range(count)]


def test_edges_are_drawn_by_weight() -> None:
    seen = Counter(drawn(20_000))
    edges = {(a, b): w for a, b, w in graph().edges(data="weight")}
    total = sum(edges.values())
    expected = [20_000 * edges[edge] / total for edge in sorted(edges)]
    assert set(seen) == set(edges)
    assert chisquare([seen[edge] for edge in sorted(edges)], expected).pvalue > 0.01


def test_the_chi_square_test_would_see_walks_that_ignore_weights() -> None:
    edges = {(a, b): w for a, b, w in graph().edges(data="weight")}
    rng, total = random.Random(0), sum(edges.values())
    seen = Counter(rng.choice(sorted(edges)) for _ in range(20_000))
    expected = [20_000 * edges[edge] / total for edge in sorted(edges)]
    assert chisquare([seen[edge] for edge in sorted(edges)], expected).pvalue < 1e-6


def test_later_steps_are_drawn_by_weight() -> None:
    walker, rng = WeightedWalker(graph(), shortest=3, longest=3), random.Random(5)
    after_b = Counter(
        walk[2] for walk in (walker.walk(rng) for _ in range(20_000)) if walk[:2] == ("a", "b")
    )
    total = after_b.total()
    expected = [total * weight / 5 for weight in (1, 3, 1)]
    assert chisquare([after_b[name] for name in "acd"], expected).pvalue > 0.01


@pytest.mark.parametrize("acyclic", [False, True])
def test_no_walk_breaks_its_bounds(acyclic: bool) -> None:
    walker = WeightedWalker(graph(), shortest=2, longest=4, acyclic=acyclic)
    walks = walker.walks(random.Random(3))
    for walk in (next(walks) for _ in range(5000)):
        assert 2 <= len(walk) <= 4
        assert all(graph().has_edge(*edge) for edge in pairwise(walk))
        assert not acyclic or len(set(walk)) == len(walk)
    if not acyclic:
        assert any(len(set(walk)) < len(walk) for walk in (next(walks) for _ in range(500)))


def test_candidates_are_different_and_repeatable() -> None:
    def walks(most: int, seed: str) -> list[tuple[str, ...]]:
        return candidate_walks(graph(), most, seed=seed, lengths=(2, 4), acyclic=True)

    first = walks(50, "x")
    assert len(first) == len(set(first)) == 8
    assert first == walks(50, "x")
    assert len(walks(3, "y")) == 3


def test_a_graph_without_long_enough_walks_gives_none() -> None:
    short = transition_graph("ab", [("a", "b")])
    assert candidate_walks(short, 5, seed="0", lengths=(3, 5), acyclic=False) == []
    alone = transition_graph("a", [])
    assert candidate_walks(alone, 5, seed="0", lengths=(2, 5), acyclic=False) == []
    with pytest.raises(ConfigError):
        WeightedWalker(short, shortest=4, longest=3)


def test_graphml_and_svg_hold_hostile_names_as_text() -> None:
    hostile = 'x"><script>alert(1)</script>'
    made = transition_graph([hostile, "b"], [(hostile, "b"), ("b", "b"), ("b", hostile)])
    drawing = svg(made, hostile)
    assert "<script>" not in drawing
    texts = [node.text for node in ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")]
    assert hostile in texts
    assert drawing == svg(made, hostile)
    assert b"<script>" not in graphml(made)
    ET.fromstring(svg(transition_graph("ab", []), "empty"))
