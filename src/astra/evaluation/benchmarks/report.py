"""Statistics of a benchmark's episodes, and two runs compared task by task."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from astra.configs.benchmarks import BenchmarkConfig
from astra.core.intervals import Interval, bootstrap
from astra.errors import ConfigError
from astra.evaluation.benchmarks.environments import Benchmark
from astra.evaluation.benchmarks.records import (
    BenchmarkEpisode,
    BenchmarkSummary,
    BenchmarkTask,
    CategoryScore,
)
from astra.evaluation.pass_k import pass_hat
from astra.runs.jsonl import FailureRow
from astra.types import Record, Usage

_ERRORS = 5


def summarize(
    benchmark: Benchmark,
    tasks: Sequence[BenchmarkTask],
    episodes: Iterable[BenchmarkEpisode],
    failures: Sequence[FailureRow],
    config: BenchmarkConfig,
) -> BenchmarkSummary:
    """The summary of a run's scored episodes."""
    chosen = {task.id for task in tasks}
    scores: defaultdict[str, dict[int, float]] = defaultdict(dict)
    by_trial: defaultdict[int, list[float]] = defaultdict(list)
    errors: Counter[str] = Counter()
    usage = user_usage = Usage()
    cut = 0
    for episode in episodes:
        if episode.task not in chosen:
            continue
        scores[episode.task][episode.trial] = episode.score
        by_trial[episode.trial].append(episode.score)
        errors[episode.error or "solved"] += 1
        cut += episode.cut
        usage += episode.usage
        user_usage += episode.user_usage
    members: defaultdict[str, list[list[float]]] = defaultdict(list)
    for task in tasks:
        if task.id in scores:
            members[task.category].append(list(scores[task.id].values()))
    categories = {
        name: CategoryScore(tasks=len(own), score=score, pass_k=_pass_k(own))
        for name, own in members.items()
        if (score := bootstrap(own, config.seed)) is not None
    }
    every = [own for group in members.values() for own in group]
    trials = [by_trial[trial] for trial in sorted(by_trial)]
    return BenchmarkSummary(
        benchmark=benchmark.name,
        tasks=len(tasks),
        trials=config.repetitions,
        episodes=sum(map(len, every)),
        infrastructure_failures=len(failures),
        failures=dict(Counter(failure.message for failure in failures).most_common(_ERRORS)),
        score=bootstrap(every, config.seed),
        over_trials=bootstrap(trials, config.seed) if len(trials) > 1 else None,
        by_trial=[math.fsum(own) / len(own) for own in trials],
        pass_k=_pass_k(every),
        categories=categories,
        averages=benchmark.averages(
            {name: category.score.mean for name, category in categories.items()},
            {name: category.tasks for name, category in categories.items()},
        ),
        errors=dict(sorted(errors.items())),
        cut=cut,
        usage=usage,
        user_usage=user_usage,
    )


def _pass_k(tasks: Sequence[Sequence[float]]) -> dict[str, float]:
    """pass^k. A task counts as solved with a score of 1."""
    return pass_hat([[float(score >= 1) for score in own] for own in tasks])


# --- two runs ----------------------------------------------------------------------------------


class BenchmarkDifference(Record):
    """The first run minus the second, over the tasks of one group that both have scores of."""

    tasks: int
    first: float
    second: float
    difference: Interval
    better: int
    """Tasks on which the first is better."""
    worse: int
    first_pass_k: dict[str, float]
    second_pass_k: dict[str, float]


class BenchmarkComparison(Record):
    """Two runs of a benchmark, paired by task."""

    all: BenchmarkDifference
    categories: dict[str, BenchmarkDifference]
    only_first: int
    """Tasks that only the first has, which are left out."""
    only_second: int


def compare_benchmarks(
    first: Iterable[BenchmarkEpisode], second: Iterable[BenchmarkEpisode], *, seed: int = 0
) -> BenchmarkComparison:
    """Compare two runs; 95 % bootstrap intervals, tasks resampled.

    Raises ConfigError when they have no scored task in common.
    """
    category_of: dict[str, str] = {}
    one, other = _scores(first, category_of), _scores(second, category_of)
    if not one or not other:
        which = "second" if one else "first"
        raise ConfigError(
            f"the {which} run has no scored episode: run the command that made it again"
        )
    common = sorted(one.keys() & other.keys())
    if not common:
        raise ConfigError("the two runs have no task in common: compare runs of one benchmark")
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for task in common:
        groups[category_of[task]].append(task)
    return BenchmarkComparison(
        all=_difference(one, other, common, seed),
        categories={name: _difference(one, other, own, seed) for name, own in groups.items()},
        only_first=len(one.keys() - other.keys()),
        only_second=len(other.keys() - one.keys()),
    )


def _scores(
    episodes: Iterable[BenchmarkEpisode], category_of: dict[str, str]
) -> dict[str, list[float]]:
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for episode in episodes:
        scores[episode.task].append(episode.score)
        category_of[episode.task] = episode.category
    return scores


def _difference(
    first: Mapping[str, Sequence[float]],
    second: Mapping[str, Sequence[float]],
    tasks: Sequence[str],
    seed: int,
) -> BenchmarkDifference:
    one, other = [[math.fsum(s[t]) / len(s[t]) for t in tasks] for s in (first, second)]
    differences = [a - b for a, b in zip(one, other, strict=True)]
    interval = bootstrap([[d] for d in differences], seed)
    assert interval is not None
    return BenchmarkDifference(
        tasks=len(tasks),
        first=math.fsum(one) / len(one),
        second=math.fsum(other) / len(other),
        difference=interval,
        better=sum(d > 0 for d in differences),
        worse=sum(d < 0 for d in differences),
        first_pass_k=_pass_k([first[task] for task in tasks]),
        second_pass_k=_pass_k([second[task] for task in tasks]),
    )
