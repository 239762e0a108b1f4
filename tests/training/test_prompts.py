"""The order of prompts: nothing lost, nothing twice, the same again after a stop."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astra.errors import ConfigError, StoreError
from astra.training.rl.prompts import PromptDraw, ShuffledEpochs

HOPS = {f"arena{i}": 1 + i % 4 for i in range(13)}


@given(st.lists(st.integers(0, 7), min_size=1, max_size=30), st.integers(0, 20))
def test_every_epoch_holds_every_arena_once(counts: list[int], curriculum: int) -> None:
    prompts = ShuffledEpochs(HOPS, seed=3, curriculum_steps=curriculum)
    drawn = [d for step, count in enumerate(counts) for d in prompts.take(count, step)]
    assert [d.number for d in drawn] == list(range(len(drawn)))
    assert max(Counter((d.task, d.epoch) for d in drawn).values(), default=1) == 1
    if not curriculum:
        assert len({d.task for d in drawn[: len(HOPS)]}) == min(len(HOPS), len(drawn))


def test_a_curriculum_begins_with_few_hops_and_forgets_nothing() -> None:
    prompts = ShuffledEpochs(HOPS, seed=3, curriculum_steps=8)
    drawn = [(step, d) for step in range(30) for d in prompts.take(2, step)]
    for step, draw in drawn:
        assert HOPS[draw.task] <= 1 + step // 2
    assert {d.task for _, d in drawn} == set(HOPS)


@given(st.integers(0, 30), st.integers(0, 12))
def test_a_stop_and_a_start_change_nothing(before: int, curriculum: int) -> None:
    whole = ShuffledEpochs(HOPS, seed=1, curriculum_steps=curriculum)
    wanted = [whole.take(3, step) for step in range(before + 5)]
    first = ShuffledEpochs(HOPS, seed=1, curriculum_steps=curriculum)
    for step in range(before):
        first.take(3, step)
    second = ShuffledEpochs(HOPS, seed=1, curriculum_steps=curriculum)
    second.load_state_dict(first.state_dict())
    assert [second.take(3, step) for step in range(before, before + 5)] == wanted[before:]


def test_what_is_given_back_comes_first() -> None:
    prompts = ShuffledEpochs(HOPS, seed=0)
    first = prompts.take(2, 0)
    again = PromptDraw(first[1].task, first[1].epoch, first[1].number, tries=1)
    prompts.give_back([again])
    other = ShuffledEpochs(HOPS, seed=9)
    other.load_state_dict(prompts.state_dict())
    assert prompts.take(2, 1)[0] == again == other.take(2, 1)[0]


def test_seeds_give_other_orders() -> None:
    orders = {tuple(d.task for d in ShuffledEpochs(HOPS, seed=s).take(13, 0)) for s in range(3)}
    assert len(orders) == 3


def test_without_arenas_there_is_nothing_to_train_on() -> None:
    with pytest.raises(ConfigError, match="no tasks"):
        ShuffledEpochs({}, seed=0)


def test_a_checkpoint_of_other_arenas_is_refused() -> None:
    prompts = ShuffledEpochs(HOPS, seed=0)
    prompts.take(1, 0)
    with pytest.raises(StoreError, match="arena"):
        ShuffledEpochs({"other": 1}, seed=0).load_state_dict(prompts.state_dict())
