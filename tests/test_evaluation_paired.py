"""Two models on the same arenas, and pass^k."""

from __future__ import annotations

import pytest

from astra.episodes import Score
from astra.errors import ConfigError
from astra.evaluation.arenas import PlayedEpisode
from astra.evaluation.paired import compare
from astra.evaluation.pass_k import pass_at, pass_hat
from astra.types import StopReason, Trajectory


def episode(arena: str, f1: float | None, sample: int = 0) -> PlayedEpisode:
    stop = StopReason.answered if f1 is not None else StopReason.host_error
    trajectory = Trajectory(task=arena, sample=sample, messages=(), calls=(), stop=stop, turns=1)
    score = f1 is not None and Score(
        goals=1, solved=1, calls=1, recall=f1, precision=f1, f1=f1, reward=f1
    )
    return PlayedEpisode(trajectory=trajectory, score=score or None)


def test_differences_are_taken_arena_by_arena() -> None:
    hard = [0.1 * i for i in range(10)]
    first = [episode(f"a{i}", f1 + 0.05) for i, f1 in enumerate(hard)]
    second = [episode(f"a{i}", f1, sample) for i, f1 in enumerate(hard) for sample in range(2)]
    found = compare(first, second)
    assert found.f1.mean == pytest.approx(0.05) == found.f1.low  # though the arenas differ widely
    assert (found.arenas, found.better, found.worse) == (10, 10, 0)


def test_failures_of_ours_and_arenas_of_one_model_are_left_out() -> None:
    first = [episode("a", 1.0), episode("b", None), episode("c", 0.0)]
    second = [episode("a", 0.5), episode("b", 1.0), episode("d", 1.0)]
    found = compare(first, second)
    assert found.arenas == 1 and found.f1.mean == 0.5
    assert (found.only_first, found.only_second) == (1, 2)
    with pytest.raises(ConfigError, match="no arena in common"):
        compare(first[2:], second)


def test_pass_hat_is_the_chance_that_k_of_k_succeed() -> None:
    assert pass_hat([[1.0, 1.0, 0.0, 0.0], [1.0] * 4]) == pytest.approx(
        {"1": 0.75, "2": (1 / 6 + 1) / 2, "3": 0.5, "4": 0.5}
    )
    assert pass_hat([]) == {}


def test_pass_at_is_the_chance_that_one_of_k_succeeds() -> None:
    # Of 4 episodes 2 are right: two drawn are both wrong in 1 of 6 cases.
    assert pass_at([[1.0, 1.0, 0.0, 0.0], [0.0] * 4]) == pytest.approx(
        {"1": 1 / 4, "2": 5 / 12, "3": 1 / 2, "4": 1 / 2}
    )
    assert pass_at([]) == {}
