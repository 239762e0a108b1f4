"""Scores of episodes that change a database: each row of the table of rewards."""

from __future__ import annotations

import pytest

from astra.databases import Database, Effect, RowChange
from astra.hosts.arena import ArenaHost, arena_messages
from astra.models.policies import policy
from astra.models.scripted import ScriptedModel, calling
from astra.rewards import score_calls, score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.states import StateGoal
from astra.types import (
    CallRecord,
    CallStatus,
    GoldCall,
    Matcher,
    Message,
    Target,
    Trajectory,
)
from tests.support.desk import DATABASE, desk_arena
from tests.support.sandboxes import run_with_sandbox, shared_sandbox

ARENA = desk_arena()
FIND = ("find_customers", {"name": "Ada Brook"})
LIST = ("list_orders", {"customer_id": "C-1001"})
ADDRESS = ("change_order_address", {"order_id": "O-2002", "address": "9 Pier Walk"})
CANCEL = ("cancel_order", {"order_id": "O-2001"})
GOLD = [FIND, LIST, ADDRESS, CANCEL]
ELSEWHERE = ("change_order_address", {"order_id": "O-2002", "address": "1 Elm Yard"})
OTHER = ("cancel_order", {"order_id": "O-2003"})

# Calls, F1, strict, waste, damage.
EPISODES = {
    "gold": (GOLD, 1.0, 1.0, 0, 0),
    "a read again after a write": ([*GOLD, LIST], 1.0, 1.0, 0, 0),
    "nothing": ([], 0.0, 0.0, 0, 0),
    "only reads": ([FIND, LIST], 0.0, 0.0, 0, 0),
    "the same read twice": ([FIND, FIND, LIST, ADDRESS, CANCEL], 0.8, 1.0, 1, 0),
    "one of two": ([FIND, LIST, ADDRESS], 2 / 3, 0.0, 0, 0),
    "wrong value, then right": ([*GOLD[:2], ELSEWHERE, ADDRESS, CANCEL], 0.8, 1.0, 1, 0),
    "wrong value stays": ([*GOLD[:2], ELSEWHERE, CANCEL], 0.5, 0.0, 1, 0),
    "right value is overwritten": ([*GOLD, ELSEWHERE], 0.5, 0.0, 1, 0),
    "done twice": ([*GOLD, ADDRESS], 0.8, 1.0, 1, 0),
    "the customer of a similar name": ([*GOLD, OTHER], 0.0, 0.0, 1, 1),
    "refused by the tool": ([*GOLD, CANCEL], 0.8, 1.0, 1, 0),
    "unknown tool": ([("cancel", {}), *GOLD], 0.8, 1.0, 1, 0),
}


async def _play(calls: list[tuple[str, dict[str, str]]]) -> Trajectory:
    messages = [calling(GoldCall(tool=tool, arguments=dict(a))) for tool, a in calls]
    async with shared_sandbox() as sandbox:
        return await rollout(
            RolloutTask(ARENA.id, arena_messages(ARENA)),
            ScriptedModel([*messages, "Done."]),
            ArenaHost(ARENA, sandbox),
            RolloutLimits(),
        )


@pytest.mark.parametrize("name", EPISODES)
def test_an_episode_is_worth(name: str) -> None:
    calls, f1, strict, waste, damage = EPISODES[name]
    trajectory = run_with_sandbox(_play(calls))
    scored = score_trajectory(ARENA, trajectory)
    assert (scored.f1, scored.waste, scored.damage) == (pytest.approx(f1), waste, damage)
    assert score_trajectory(ARENA, trajectory, "strict").reward == strict
    assert sum(scored.increments) == pytest.approx(scored.reward)


def test_damage_that_is_repaired_is_waste() -> None:
    undo = ("change_order_address", {"order_id": "O-2003", "address": "2 Mill Lane"})
    wrong = ("change_order_address", {"order_id": "O-2003", "address": "9 Pier Walk"})
    scored = score_trajectory(ARENA, run_with_sandbox(_play([*GOLD[:2], wrong, undo, *GOLD[2:]])))
    assert (scored.f1, scored.waste, scored.damage) == (pytest.approx(2 / 3), 2, 0)


def test_gold_policy_plays_the_arena() -> None:
    async def play() -> Trajectory:
        async with shared_sandbox() as sandbox:
            return await rollout(
                RolloutTask(ARENA.id, arena_messages(ARENA)),
                policy("gold", ARENA),
                ArenaHost(ARENA, sandbox),
                RolloutLimits(),
            )

    assert score_trajectory(ARENA, run_with_sandbox(play())).f1 == 1


def _told(text: str, written: int) -> bool:
    """Whether a phone number counts as told by a message after that many orders were moved."""
    state = ARENA.state
    assert state is not None
    says = Target(
        matcher=Matcher.text, value="0111 4403", field="phone", key={"customer_id": "C-1003"}
    )
    orders = [f"O-{2001 + number}" for number in range(written)]
    customers, table = DATABASE.tables
    rows = tuple((order, "C-1001", "pending", "1 Quay Road") for order in orders)
    moved = StateGoal(
        id="s1",
        question="Send all orders to 9 Pier Walk.",
        changes=tuple(_moved(order) for order in orders),
    )
    told = StateGoal(id="s2", question="Which phone has Lin Marsh?", kind="say", says=says)
    goals = (moved, told) if written else (told,)
    database = Database(tables=(customers, table.model_copy(update={"rows": rows})))
    arena = ARENA.model_copy(
        update={"state": state.model_copy(update={"database": database, "goals": goals})}
    )
    found = {"customer_id": "C-1003", "phone": "0111 4403"}
    calls = [
        CallRecord(id="r", turn=0, tool="find_customers", arguments={"name": "Lin Marsh"},
                   status=CallStatus.ok, result=found)
    ]  # fmt: skip
    calls += [
        CallRecord(
            id=order,
            turn=0,
            tool="change_order_address",
            arguments={"order_id": order, "address": "9 Pier Walk"},
            status=CallStatus.ok,
            result={},
            effect=Effect(changes=(_moved(order),), state="0" * 64),
        )
        for order in orders
    ]
    messages = [calling(GoldCall(tool="find_customers", arguments={})), text]
    said = [Message(role="assistant", content=m) if isinstance(m, str) else m for m in messages]
    return "s2" in score_calls(arena, calls, messages=said, turns=2).solved_by


def _moved(order: str) -> RowChange:
    before, after = {"address": "1 Quay Road"}, {"address": "9 Pier Walk"}
    return RowChange(table="orders", key=order, before=before, after=after)


def test_a_long_summary_tells_a_fact_and_a_list_of_all_does_not() -> None:
    moves = "".join(
        f"{order} goes to 9 Pier Walk,\n" for order in (f"O-{n}" for n in range(2001, 2019))
    )
    fact = "and the phone of Lin Marsh is 0111 4403."
    phones = ", ".join(f"0111 {number}" for number in range(4400, 4440))
    assert _told(fact, 0)
    assert _told(moves + fact, 18)
    assert not _told(moves + fact, 0)  # of which nothing was done
    assert not _told(f"The phone is one of {phones}.", 0)
    assert not _told(f"{moves} {phones}", 18)
