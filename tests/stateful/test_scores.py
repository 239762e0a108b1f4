"""Scores of episodes that change a database: each row of the table of rewards."""

from __future__ import annotations

import asyncio

import pytest

from astra.hosts.arena import ArenaHost, arena_messages
from astra.models.policies import policy
from astra.models.scripted import ScriptedModel, calling
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.sandbox.server import open_sandbox
from astra.types import GoldCall, Trajectory
from tests.support.desk import desk_arena

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
    async with open_sandbox(workers=1, spares=0) as sandbox:
        return await rollout(
            RolloutTask(ARENA.id, arena_messages(ARENA)),
            ScriptedModel([*messages, "Done."]),
            ArenaHost(ARENA, sandbox),
            RolloutLimits(),
        )


@pytest.mark.parametrize("name", EPISODES)
def test_an_episode_is_worth(name: str) -> None:
    calls, f1, strict, waste, damage = EPISODES[name]
    trajectory = asyncio.run(_play(calls))
    scored = score_trajectory(ARENA, trajectory)
    assert (scored.f1, scored.waste, scored.damage) == (pytest.approx(f1), waste, damage)
    assert score_trajectory(ARENA, trajectory, "strict").reward == strict
    assert sum(scored.increments) == pytest.approx(scored.reward)


def test_damage_that_is_repaired_is_waste() -> None:
    undo = ("change_order_address", {"order_id": "O-2003", "address": "2 Mill Lane"})
    wrong = ("change_order_address", {"order_id": "O-2003", "address": "9 Pier Walk"})
    scored = score_trajectory(ARENA, asyncio.run(_play([*GOLD[:2], wrong, undo, *GOLD[2:]])))
    assert (scored.f1, scored.waste, scored.damage) == (pytest.approx(2 / 3), 2, 0)


def test_gold_policy_plays_the_arena() -> None:
    async def play() -> Trajectory:
        async with open_sandbox(workers=1, spares=0) as sandbox:
            return await rollout(
                RolloutTask(ARENA.id, arena_messages(ARENA)),
                policy("gold", ARENA),
                ArenaHost(ARENA, sandbox),
                RolloutLimits(),
            )

    assert score_trajectory(ARENA, asyncio.run(play())).f1 == 1
