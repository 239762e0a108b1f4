"""Batch filling: its invariants, whatever comes, and its policy when rounds run out."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astra.errors import StageError
from astra.training.rl.filling import BatchFilling, reward_std


@dataclass(frozen=True)
class Group:
    name: int
    rewards: tuple[float, ...]
    step: int = 0


def group(name: int, *, valid: bool, step: int = 0) -> Group:
    return Group(name, (0.0, 1.0) if valid else (1.0, 1.0), step)


def play(filling: BatchFilling[Group], luck: list[bool], places: int, steps: int):
    """Steps of full rounds, valid or flat as luck has it; yields what each step was."""
    made: list[Group] = []
    for step in range(steps):
        before = filling.waiting
        rounds = 0
        while not filling.enough:
            new = [
                group(len(made) + i, valid=luck[(len(made) + i) % len(luck)], step=step)
                for i in range(places)
            ]
            made += new
            filling.add(new)
            rounds += 1
        yield before, rounds, filling.take(step), list(made)


luck_of = st.lists(st.booleans(), min_size=1, max_size=40)


@given(luck_of, st.integers(1, 6), st.integers(1, 5), st.integers(1, 8))
def test_invariants(luck: list[bool], places: int, most: int, steps: int) -> None:
    filling: BatchFilling[Group] = BatchFilling(places, max_rounds=most)
    used: Counter[int] = Counter()
    made: list[Group] = []
    for step, (before, rounds, filled, all_made) in enumerate(play(filling, luck, places, steps)):
        assert len(filled.groups) == places
        assert len(filling.waiting) == filled.waiting < places
        assert rounds == filled.rounds <= most
        assert filled.groups[: len(before)] == before[: len(filled.groups)]  # oldest first
        used.update(g.name for g in filled.groups)
        valid = [g for g in filled.groups if reward_std(g.rewards) > 0]
        assert len(valid) == places - filled.zero_variance
        assert not (filled.zero_variance and filled.waiting)
        assert filled.zero_variance == 0 or rounds == most
        assert filled.ages == tuple(step - g.step for g in filled.groups)
        assert all(age in (0, 1) for age in filled.ages)
        made = all_made
    assert set(used.values()) <= {1}  # nothing is trained on twice
    lost = {g.name for g in made if reward_std(g.rewards) > 0} - used.keys()
    assert lost == {g.name for g in filling.waiting}  # and nothing valid is lost


@given(luck_of, st.integers(1, 4))
def test_a_stop_and_a_start_change_nothing(luck: list[bool], places: int) -> None:
    whole: BatchFilling[Group] = BatchFilling(places, max_rounds=3)
    batches = [filled for _, _, filled, _ in play(whole, luck, places, 4)]
    first: BatchFilling[Group] = BatchFilling(places, max_rounds=3)
    half = list(play(first, luck, places, 2))
    second: BatchFilling[Group] = BatchFilling(places, max_rounds=3)
    second.restore(first.waiting)
    made = len(half[-1][3])
    for step in (2, 3):
        while not second.enough:
            second.add(
                [
                    group(made + i, valid=luck[(made + i) % len(luck)], step=step)
                    for i in range(places)
                ]
            )
            made += places
        assert second.take(step) == batches[step]


def test_rounds_that_run_out_leave_places_to_the_newest_flat_groups() -> None:
    filling: BatchFilling[Group] = BatchFilling(3, max_rounds=2)
    filling.add([group(0, valid=False), group(1, valid=True), group(2, valid=False)])
    assert not filling.enough
    filling.add([group(3, valid=False), group(4, valid=False)])
    assert filling.enough
    filled = filling.take(0)
    assert [g.name for g in filled.groups] == [1, 3, 4]
    assert (filled.zero_variance, filled.valid, filled.sampled, filled.valid_share) == (
        2,
        1,
        5,
        0.2,
    )


def test_a_batch_that_can_not_be_filled_stops_the_run() -> None:
    filling: BatchFilling[Group] = BatchFilling(2, max_rounds=1)
    filling.add([group(0, valid=True)])
    with pytest.raises(StageError, match="1 groups of rollouts for a batch of 2"):
        filling.take(0)


def test_the_threshold_is_on_the_standard_deviation() -> None:
    rewards = (0.5, 0.6, 0.5, 0.5)
    limit = statistics.stdev(rewards)
    for threshold, valid in ((limit * 0.99, 1), (limit * 1.01, 0)):
        filling: BatchFilling[Group] = BatchFilling(1, min_reward_std=threshold, max_rounds=1)
        filling.add([Group(0, rewards)])
        assert filling.take(0).valid == valid


def test_switched_off_it_takes_one_round_as_it_comes() -> None:
    filling: BatchFilling[Group] = BatchFilling(2, active=False)
    filling.add([group(0, valid=False), group(1, valid=True)])
    assert filling.enough
    assert [g.name for g in filling.take(0).groups] == [1, 0]
    assert filling.waiting == ()


def test_a_round_is_never_larger_than_the_batch() -> None:
    filling: BatchFilling[Group] = BatchFilling(1)
    with pytest.raises(ValueError, match="2 groups"):
        filling.add([group(0, valid=True), group(1, valid=True)])
