"""Transient faults: the same for the same calls, never twice, no waste as needless calls are."""

from __future__ import annotations

import random
from typing import Any

import pytest

from astra.arenas.gold import gold_rows
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.faults import TransientFaults, fault_rate
from astra.models.policies import policy
from astra.rewards import score_calls, score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import Arena, CallRecord, CallStatus, Trajectory
from tests.support.desk import desk_arena
from tests.support.fakes import InProcessSandbox, toy_arena


def faulty(arena: Arena, rate: Any) -> Arena:
    provenance = {**arena.provenance, "dials": {"fault_rate": rate}}
    return arena.model_copy(update={"provenance": provenance}).with_content_id()


async def played(name: Any, arena: Arena) -> Trajectory:
    task = RolloutTask(arena.id, arena_messages(arena))
    return await rollout(
        task, policy(name, arena), ArenaHost(arena, InProcessSandbox()), RolloutLimits(turns=99)
    )


def test_a_call_meets_its_fault_once_whatever_comes_before() -> None:
    arena = faulty(toy_arena(), 0.3)
    calls = [("look_0", {"key": str(n)}) for n in range(300)]
    first = TransientFaults(arena)
    met = {c[1]["key"]: first.strike(*c) for c in calls}
    assert 60 < sum(fault is not None for fault in met.values()) < 120
    assert {f["error"]["code"] for f in met.values() if f} == {"timeout", "rate_limited"}
    assert all(f["error"]["retryable"] is True for f in met.values() if f)
    assert not any(first.strike(*c) for c in calls)
    second = TransientFaults(arena)
    random.Random(0).shuffle(calls)
    assert {c[1]["key"]: second.strike(*c) for c in calls} == met


def test_arenas_without_the_dial_have_no_faults() -> None:
    for arena in (toy_arena(), faulty(toy_arena(), 0), faulty(toy_arena(), "often")):
        assert fault_rate(arena) == 0
        assert not any(TransientFaults(arena).strike("look_0", {"key": str(n)}) for n in range(99))


async def test_a_fault_is_no_run_and_the_same_call_works_again() -> None:
    arena = faulty(toy_arena(1), 1.0)
    call = arena.goals[0].call
    assert call is not None
    async with ArenaHost(arena, InProcessSandbox()) as host:
        fault = await host.call(call.tool, call.arguments)
        assert fault.is_error
        assert fault.is_transient
        again = await host.call(call.tool, call.arguments)
        assert not again.is_error
        assert not again.is_transient
    async with ArenaHost(arena, InProcessSandbox(), faults=False) as host:
        assert (await host.call(call.tool, call.arguments)) == again


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("hops", [1, 5, 12])
async def test_known_scores_hold_with_faults(hops: int, rate: float) -> None:
    arena = faulty(toy_arena(hops), rate)
    for name, f1 in (("gold", 1.0), ("null", 0.0), ("shuffled", 2 / 3)):
        trajectory = await played(name, arena)
        assert score_trajectory(arena, trajectory).f1 == f1
        if rate == 1 and name == "gold":
            statuses = [call.status for call in trajectory.calls]
            assert statuses == [CallStatus.transient, CallStatus.ok] * hops


async def test_a_retry_is_no_waste_and_a_needless_repetition_is() -> None:
    arena = faulty(toy_arena(3), 1.0)
    trajectory = await played("gold", arena)
    calls = list(trajectory.calls)
    assert score_calls(arena, calls).f1 == 1
    assert sum(score_calls(arena, calls, turns=trajectory.turns).increments) == 1
    last = calls[-1]
    needless = last.model_copy(update={"id": "again", "turn": last.turn + 1})
    score = score_calls(arena, [*calls, needless])
    assert (score.calls, score.precision) == (4, 3 / 4)
    # What a tool itself calls retryable is an answer of the tool, and counts.
    refusal = needless.model_copy(
        update={"status": CallStatus.tool_error, "result": {"error": {"retryable": True}}}
    )
    assert score_calls(arena, [*calls, refusal]).precision == 3 / 4


async def test_gold_examples_to_learn_from_show_the_retry() -> None:
    arena = faulty(toy_arena(2), 1.0)
    rows = [row async for row in gold_rows([arena], InProcessSandbox(), reasoning=True)]
    roles = [message["role"] for message in rows[0]["messages"]]
    assert roles.count("assistant") == 2 * 2 + 1


def test_where_tools_change_something_a_fault_is_no_waste() -> None:
    arena = desk_arena()
    assert arena.state is not None
    written = next(g.call for g in arena.goals if g.call and g.call.tool in arena.state.writes)
    call = CallRecord(
        id="c", turn=0, tool=written.tool, arguments=written.arguments, status=CallStatus.transient
    )
    assert score_calls(arena, [call]).waste == 0
    assert (
        score_calls(arena, [call.model_copy(update={"status": CallStatus.tool_error})]).waste == 1
    )
