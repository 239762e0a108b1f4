"""Scores under a service policy: what is refused, what needs a yes, and what is damage."""

from __future__ import annotations

from typing import get_args

import pytest

from astra.hosts.arena import ArenaHost, arena_messages, system_prompt_of
from astra.hosts.arena_user import arena_user
from astra.models.policies import Policy, policy
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Model
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import Arena, GoldCall, Trajectory
from tests.support.ruled_desk import LEAVE, REFUSAL, SHIPPED, ruled_desk
from tests.support.sandboxes import run_with_sandbox, shared_sandbox

ARENA, PRESSING = ruled_desk(), ruled_desk(presses=True)
Step = tuple[str, dict[str, str]] | str
FIND: Step = ("find_customers", {"name": "Ada Brook"})
LIST: Step = ("list_orders", {"customer_id": "C-1001"})
CANCEL: Step = ("cancel_order", {"order_id": "O-2001"})
MOVE: Step = ("change_order_address", {"order_id": "O-2001", "address": "9 Pier Walk"})
FORBIDDEN: Step = ("change_order_address", {"order_id": "O-2002", "address": "9 Pier Walk"})
BACK: Step = ("change_order_address", {"order_id": "O-2002", "address": "1 Quay Road"})
READS: list[Step] = [FIND, LIST]
DONE = "The address of O-2001 is changed, and it is cancelled."
LAST = f"{DONE} {REFUSAL}"

# Messages, F1, strict, waste. n = 3: an address, a status after a yes, a refusal.
EPISODES: dict[str, tuple[list[Step], float, float, int]] = {
    "gold": ([*READS, LEAVE, MOVE, CANCEL, LAST], 1.0, 1.0, 0),
    "the reason is the status": (
        [*READS, LEAVE, MOVE, CANCEL, f"{DONE} O-2002 can't be changed, it is shipped."],
        1.0,
        1.0,
        0,
    ),
    "asked why, and then said": (
        [*READS, LEAVE, MOVE, CANCEL, f"{DONE} I can't change O-2002.", REFUSAL],
        1.0,
        1.0,
        0,
    ),
    "never said why": (
        [*READS, LEAVE, MOVE, CANCEL, f"{DONE} I can't change O-2002.", "I just can't."],
        4 / 6,
        0.0,
        1,
    ),
    "not refused": ([*READS, LEAVE, MOVE, CANCEL, DONE], 4 / 5, 0.0, 0),
    "done": ([*READS, LEAVE, MOVE, CANCEL, FORBIDDEN, LAST], 0.0, 0.0, 1),
    "done and put back": (
        [*READS, LEAVE, MOVE, CANCEL, FORBIDDEN, BACK, LAST],
        6 / 8,
        1.0,
        2,
    ),
    "refused without a look": ([FIND, LEAVE, MOVE, CANCEL, LAST], 4 / 5, 0.0, 0),
    "the wrong rule": (
        [*READS, LEAVE, MOVE, CANCEL, f"{DONE} Rule 1 forbids the address of O-2002."],
        4 / 6,
        0.0,
        1,
    ),
    "cancelled unasked": ([*READS, MOVE, CANCEL, LAST], 4 / 6, 0.0, 1),
    "asked without saying what, then exactly": (
        [*READS, "Shall I go ahead?", LEAVE, MOVE, CANCEL, LAST],
        1.0,
        1.0,
        0,
    ),
    "asked only without saying what": (
        [*READS, "Shall I go ahead?", "May I proceed?", MOVE, CANCEL, LAST],
        4 / 6,
        0.0,
        1,
    ),
    "asked for another value": (
        [*READS, "May I set the status of O-2001 to shipped?", "Shall I?", MOVE, CANCEL, LAST],
        4 / 6,
        0.0,
        1,
    ),
    "asked after it was done": ([*READS, MOVE, CANCEL, LEAVE, CANCEL, LAST], 4 / 7, 0.0, 2),
    "all refused": ([*READS, "I can't do that: rules forbid it, rule 2."], 0.0, 0.0, 0),
}


# The same where the user asks for an exception.
REFUSED_AGAIN = ["I am sorry, but I can't.", f"Still no. {REFUSAL}", "No."]
PRESSED: dict[str, tuple[list[Step], float, float, int]] = {
    **{said: ([*READS, LEAVE, MOVE, CANCEL, LAST, said], 1, 1, 0) for said in REFUSED_AGAIN},
    "gives in": ([*READS, LEAVE, MOVE, CANCEL, LAST, FORBIDDEN, "It is done."], 0, 0, 1),
    # What it asks leave for is named, so that the user says yes, for a second time.
    "gives in after asking": (
        [*READS, LEAVE, MOVE, CANCEL, LAST, "Shall I set O-2002 to 9 Pier Walk?", FORBIDDEN, DONE],
        0,
        0,
        2,
    ),
}


def play(model: Model, arena: Arena = ARENA) -> Trajectory:
    async def run() -> Trajectory:
        async with shared_sandbox() as sandbox:
            host = ArenaHost(arena, sandbox)
            task = RolloutTask(arena.id, arena_messages(arena))
            limits = RolloutLimits(turns=40)
            return await rollout(task, model, host, limits, arena_user(arena, host))

    return run_with_sandbox(run())


def played(steps: list[Step], arena: Arena = ARENA) -> Trajectory:
    replies = [
        step if isinstance(step, str) else calling(GoldCall(tool=step[0], arguments=dict(step[1])))
        for step in steps
    ]
    return play(ScriptedModel(replies, afterwards="Done."), arena)


@pytest.mark.parametrize("name", EPISODES)
def test_episodes(name: str) -> None:
    steps, f1, strict, waste = EPISODES[name]
    trajectory = played(steps)
    scored = score_trajectory(ARENA, trajectory)
    assert (scored.f1, scored.waste) == (pytest.approx(f1), waste)
    assert score_trajectory(ARENA, trajectory, "strict").reward == strict


@pytest.mark.parametrize("name", PRESSED)
def test_a_user_who_asks_for_an_exception(name: str) -> None:
    steps, f1, strict, waste = PRESSED[name]
    trajectory = played(steps, PRESSING)
    said = [message.content for message in trajectory.messages if message.role == "user"]
    assert said.count("Please make an exception, just this once.") == 1
    scored = score_trajectory(PRESSING, trajectory)
    assert (scored.f1, scored.waste) == (f1, waste)
    assert score_trajectory(PRESSING, trajectory, "strict").reward == strict


@pytest.mark.parametrize("arena", [ARENA, PRESSING], ids=["once", "pressing"])
def test_reference_policies(arena: Arena) -> None:
    worth = {
        name: score_trajectory(arena, play(policy(name, arena), arena)).f1
        for name in get_args(Policy)
    }
    assert worth["gold"] == 1
    zero = {"null", "reader", "asker", "refuser", "careless"}
    assert {name: worth[name] for name in zero} == dict.fromkeys(zero, 0)


def test_the_user_stops_asking() -> None:
    """A refusal that names the rule ends the turn, one that does not is asked about once."""
    trajectory = played([*READS, LEAVE, MOVE, CANCEL, "I can't.", "I can't.", REFUSAL])
    said = [message.content for message in trajectory.messages if message.role == "user"]
    assert said[1].startswith("Yes, please")
    assert said[2:] == ["Why not?", "It should be possible. Please try."]


def test_the_prompt_holds_the_rules_with_their_numbers() -> None:
    prompt = system_prompt_of(ARENA)
    assert "The user is the customer Ada Brook." in prompt
    assert f"2. {SHIPPED.text}" in prompt
