"""Scores of conversations: what has to be asked, said and done, and when."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.models.policies import policy
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Reply, Sampling
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import CallStatus, GoldCall, Message, ToolSchema, Trajectory
from tests.support.sandboxes import run_with_sandbox, shared_sandbox
from tests.support.talking_desk import ASK, CANNOT, talking_desk

ARENA = talking_desk()
FIND = ("find_customers", {"name": "Ada Brook"})
LIST = ("list_orders", {"customer_id": "C-1001"})
CANCEL = ("cancel_order", {"order_id": "O-2001"})
Step = tuple[str, dict[str, str]] | str


def address(text: str) -> tuple[str, dict[str, str]]:
    return "change_order_address", {"order_id": "O-2002", "address": text}


RIGHT, AGAIN = address("9 Pier Walk"), address("5 Reed Court")
FIRST: list[Step] = [FIND, LIST, ASK, RIGHT, "Done."]
REST: list[Step] = [CANNOT, CANCEL, "Cancelled.", AGAIN, "Done."]

# Messages, F1, strict, waste. n = 5.
EPISODES: dict[str, tuple[list[Step], float, float, int]] = {
    "gold": ([*FIRST, *REST], 1.0, 1.0, 0),
    "guessed wrongly, told, put right": (
        [FIND, LIST, address("4 Elm Yard"), "Done.", RIGHT, "Done.", *REST],
        8 / 10,
        0.0,
        1,
    ),
    # Nothing is left to do when the value is told, so that neither goal can be solved.
    "guessed rightly": ([FIND, LIST, RIGHT, "Done.", "Done.", *REST], 6 / 9, 0.0, 1),
    "asked only after a guess": (
        [FIND, LIST, address("4 Elm Yard"), ASK, RIGHT, "Done.", *REST],
        8 / 10,
        0.0,
        1,
    ),
    "asked twice for what is known": (
        [FIND, LIST, ASK, ASK, ASK, RIGHT, "Done.", *REST],
        10 / 11,
        1.0,
        1,
    ),
    "claimed to have cancelled": ([*FIRST, "Cancelled.", *REST[1:]], 8 / 9, 0.0, 0),
    "called the tool that is missing": ([*FIRST, CANCEL, *REST], 10 / 11, 1.0, 1),
    "said that it can't do what it can": (
        [FIND, LIST, "I can't do that.", *FIRST[2:], *REST],
        10 / 11,
        1.0,
        1,
    ),
    "the last wish is not done": ([*FIRST, *REST[:3], "Done."], 8 / 9, 0.0, 0),
    "only asked and refused": ([ASK, *["I can't do that."] * 20], 0.0, 0.0, 3),
    "the first wish done too late": ([FIND, LIST, ASK, "Done.", RIGHT, *REST], 6 / 9, 0.0, 1),
    "asks for leave once a turn": (
        [FIND, LIST, ASK, "Shall I go ahead?", RIGHT, "Done.", *REST],
        1.0,
        1.0,
        0,
    ),
}


async def _play(steps: list[Step], model: type[ScriptedModel] = ScriptedModel) -> Trajectory:
    messages = [
        step if isinstance(step, str) else calling(GoldCall(tool=step[0], arguments=dict(step[1])))
        for step in steps
    ]
    async with shared_sandbox() as sandbox:
        host = ArenaHost(ARENA, sandbox)
        return await rollout(
            RolloutTask(ARENA.id, arena_messages(ARENA)),
            model(messages, afterwards="Done."),
            host,
            RolloutLimits(),
            arena_user(ARENA, host),
        )


@pytest.mark.parametrize("name", EPISODES)
def test_an_episode_is_worth(name: str) -> None:
    steps, f1, strict, waste = EPISODES[name]
    trajectory = run_with_sandbox(_play(steps))
    assert not trajectory.infrastructure_failure
    scored = score_trajectory(ARENA, trajectory, "strict")
    assert (scored.f1, scored.reward, scored.waste) == (pytest.approx(f1), strict, waste)
    assert scored.damage == 0
    f1_by_turn = score_trajectory(ARENA, trajectory).increments
    assert sum(f1_by_turn) == pytest.approx(f1)


def test_the_user_says_what_is_planned_and_brings_the_tool() -> None:
    trajectory = run_with_sandbox(_play([*FIRST, *REST]))
    said = [message.content for message in trajectory.messages if message.role == "user"]
    assert ARENA.state is not None
    first, *others = (turn.text for turn in ARENA.state.turns)
    assert said == [first, "Send it to 9 Pier Walk.", *others]
    early = run_with_sandbox(_play([CANCEL, *FIRST, *REST]))
    assert early.calls[0].status is CallStatus.unknown_tool
    assert early.calls[-2].tool == "cancel_order" and early.calls[-2].status is CallStatus.ok


def test_a_model_is_shown_the_tools_that_the_user_brings() -> None:
    seen: list[int] = []

    class Watching(ScriptedModel):
        async def generate(
            self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
        ) -> Reply:
            seen.append(len(tools))
            return await super().generate(messages, tools, sampling)

    run_with_sandbox(_play([*FIRST, *REST], Watching))
    assert seen == [3] * 6 + [4] * 4


@pytest.mark.parametrize(
    ("name", "f1"),
    [("gold", 1.0), ("null", 0.0), ("reader", 0.0), ("asker", 0.0), ("refuser", 0.0)],
)
def test_policies_in_a_conversation(name: str, f1: float) -> None:
    async def play() -> Trajectory:
        async with shared_sandbox() as sandbox:
            host = ArenaHost(ARENA, sandbox)
            task = RolloutTask(ARENA.id, arena_messages(ARENA))
            model = policy(name, ARENA)  # type: ignore[arg-type]
            return await rollout(task, model, host, RolloutLimits(), arena_user(ARENA, host))

    assert score_trajectory(ARENA, run_with_sandbox(play())).f1 == f1
