"""BFCL: the multi-turn and single-turn categories of bfcl-eval."""

from __future__ import annotations

from typing import Any

from astra.configs.benchmarks import BfclConfig
from astra.evaluation.benchmarks.environments import Benchmark

MULTI_TURN = tuple(
    f"multi_turn_{kind}" for kind in ("base", "miss_func", "miss_param", "long_context")
)
NON_LIVE = (
    *("simple_python", "simple_java", "simple_javascript"),
    *("multiple", "parallel", "parallel_multiple"),
)
LIVE = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
RELEVANCE = ("irrelevance", "live_irrelevance", "live_relevance")
GROUPS = {
    "multi_turn": MULTI_TURN,
    "single_turn": (*NON_LIVE, *LIVE),
    "relevance": RELEVANCE,
    "all": (*MULTI_TURN, *NON_LIVE, *LIVE),
}


def selected_categories(config: BfclConfig) -> list[str]:
    """The categories of the options, groups opened, each once."""
    named = [name for given in config.categories for name in GROUPS.get(given, (given,))]
    return list(dict.fromkeys(named))


def _options(config: BfclConfig) -> dict[str, Any]:
    return {"categories": selected_categories(config)}


def _averages(means: dict[str, float], tasks: dict[str, int]) -> dict[str, float]:
    """As in the official tables: multi-turn and non-live categories count alike, the three simple
    ones as one category; live ones count by their tasks."""
    averages: dict[str, float] = {}
    if means.keys() >= set(MULTI_TURN):
        averages["multi_turn"] = sum(means[name] for name in MULTI_TURN) / len(MULTI_TURN)
    if means.keys() >= set(NON_LIVE):
        simple = sum(means[name] for name in NON_LIVE[:3]) / 3
        averages["non_live_ast"] = (simple + sum(means[name] for name in NON_LIVE[3:])) / 4
    if means.keys() >= set(LIVE):
        total = sum(tasks[name] for name in LIVE)
        averages["live_ast"] = sum(means[name] * tasks[name] for name in LIVE) / total
    return averages


BFCL = Benchmark(
    name="bfcl",
    packages=("bfcl-eval==2026.3.23",),
    requirements=("mpmath==1.3.0", "filelock==3.20.0"),
    script="bfcl.py",
    options=_options,
    averages=_averages,
)
