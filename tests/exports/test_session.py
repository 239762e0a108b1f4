"""Arenas played call by call: the same scores as rollouts, whatever a runner does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.core.loop import on_loop
from astra.core.messages import message_from_openai, tool_from_openai
from astra.errors import ConfigError, HostError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.models.policies import policy
from astra.protocols import Sampling
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.rollouts.session import ArenaSession, AsyncArenaSession
from astra.sandbox.opening import shared_sandbox
from astra.types import Arena, CallStatus, Message, Trajectory
from tests.support.desk import desk_arena
from tests.support.fakes import InProcessSandbox, toy_arena
from tests.support.talking_desk import talking_desk

OUTCOME = {"solved", "goals", "calls", "reward", "f1", "waste", "damage", "answer_correct"}


async def play(session: AsyncArenaSession, name: Any, one_by_one: bool) -> None:
    """A reference policy, whose calls reach the session in one go or one by one."""
    model = policy(name, session.arena)
    messages = [message_from_openai(message) for message in session.messages]
    while not session.done:
        tools = [tool_from_openai(tool) for tool in session.tools]
        message = (await model.generate(messages, tools, Sampling())).message
        messages.append(message)
        if one_by_one and message.tool_calls:
            replies = [await session.call(c.tool, c.arguments) for c in message.tool_calls]
        else:
            replies, user = await session.take(message)
            messages += [] if user is None else [Message(role="user", content=user)]
        messages += [
            Message(role="tool", content=reply.text, tool_call_id=call.id)
            for reply, call in zip(replies, message.tool_calls, strict=True)
        ]


async def rolled_out(arena: Arena, name: Any) -> Trajectory:
    async with shared_sandbox("auto") as sandbox:
        host = ArenaHost(arena, sandbox)
        task = RolloutTask(arena.id, arena_messages(arena))
        user = arena_user(arena, host)
        return await rollout(task, policy(name, arena), host, RolloutLimits(), user=user)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("name", ["gold", "null", "shuffled", "careless", "asker", "refuser"])
async def test_scores_are_those_of_rollouts(arenas: ArenaSet, name: Any, one_by_one: bool) -> None:
    for arena in arenas:
        trajectory = await on_loop(rolled_out(arena, name))
        expected = score_trajectory(arena, trajectory)
        async with AsyncArenaSession(arena) as session:
            await play(session, name, one_by_one)
        score = session.score()
        assert score.model_dump(include=OUTCOME) == expected.model_dump(include=OUTCOME)
        assert session.episode().score == score
        if not one_by_one:
            assert score == expected
            assert session.trajectory().messages == trajectory.messages
        assert name != "gold" or score.reward == 1
        assert name != "null" or score.reward == 0


async def test_calls_at_once_are_taken_in_turn() -> None:
    arena = desk_arena()
    calls = [goal.call for goal in arena.goals if goal.call is not None]
    async with AsyncArenaSession(arena, sandbox=InProcessSandbox()) as session:
        replies = await asyncio.gather(*(session.call(c.tool, c.arguments) for c in calls))
        roles = [message["role"] for message in session.messages]
    assert [reply.record.tool for reply in replies if reply.record] == [c.tool for c in calls]
    assert roles == ["system", "user", *["assistant", "tool"] * len(calls)]
    ids = [call.id for call in session.trajectory().calls]
    assert len(set(ids)) == len(ids)


async def test_bad_calls_are_told_and_count() -> None:
    arena = toy_arena(2)
    bad: list[tuple[str, Any]] = [
        ("no_such_tool", {}),
        ("look_0", "[1"),
        ("look_0", {"key": object()}),
        ("look_0", {"key": float("nan")}),
        ("look_0", {}),
    ]
    async with AsyncArenaSession(arena, sandbox=InProcessSandbox()) as session:
        replies = [await session.call(name, arguments) for name, arguments in bad]
    assert [reply.record.status for reply in replies if reply.record] == [
        CallStatus.unknown_tool,
        *[CallStatus.malformed_arguments] * 3,
        CallStatus.schema_violation,
    ]
    assert all(reply.is_error and "error" in reply.text for reply in replies)
    assert session.score().calls == len(bad)


async def test_what_comes_after_the_end_is_not_played() -> None:
    arena = toy_arena(1)
    call = arena.goals[0].call
    assert call is not None
    async with AsyncArenaSession(arena, sandbox=InProcessSandbox()) as session:
        assert await session.say("I don't know.") is None
        late = await session.call(call.tool, call.arguments)
        assert late.is_error and late.record is None and "episode_over" in late.text
        assert await session.say("Once more.") is None
    assert session.score().calls == 0 and session.trajectory().turns == 1


async def test_turns_are_bounded() -> None:
    arena = talking_desk()
    async with AsyncArenaSession(arena, sandbox=InProcessSandbox(), max_turns=2) as session:
        assert await session.say("What is the address?")
        await session.call("no_such_tool", {})
        assert session.done
    with pytest.raises(ConfigError, match="max_turns=0"):
        AsyncArenaSession(arena, max_turns=0)


async def test_tools_that_the_user_brings_are_shown_from_then_on() -> None:
    arena = talking_desk()
    assert arena.state is not None
    brought = set(arena.state.withheld)
    assert brought
    async with AsyncArenaSession(arena, sandbox=InProcessSandbox()) as session:

        def shown() -> set[str]:
            return {tool["function"]["name"] for tool in session.tools}

        assert not brought & shown()
        await play(session, "gold", one_by_one=True)
        assert brought <= shown()


class Broken(InProcessSandbox):
    """A sandbox that is down."""

    async def open(self, *_: Any, **__: Any) -> Any:
        raise HostError("it is down")


async def test_a_failure_of_ours_has_no_score() -> None:
    arena = toy_arena(1)
    async with AsyncArenaSession(arena, sandbox=Broken()) as session:
        with pytest.raises(HostError, match="down"):
            await session.call("look_0", {"key": "a"})
        assert session.done
    assert session.episode().score is None
    with pytest.raises(HostError, match="no score"):
        session.score()


async def test_a_call_that_is_cut_off_ends_the_episode() -> None:
    class Slow(InProcessSandbox):
        async def open(self, *_: Any, **__: Any) -> Any:
            await asyncio.sleep(60)

    async with AsyncArenaSession(toy_arena(1), sandbox=Slow()) as session:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.call("look_0", {"key": "a"}), 0.05)
        assert session.done and session.score().calls == 1


async def test_a_session_is_opened_once() -> None:
    session = AsyncArenaSession(toy_arena(1), sandbox=InProcessSandbox())
    with pytest.raises(ConfigError, match="not open"):
        await session.say("Hello.")
    await session.open()
    with pytest.raises(ConfigError, match="before"):
        await session.open()


def solve(arena: Arena, session: ArenaSession) -> None:
    for goal in arena.goals:
        assert goal.call is None or not session.call(goal.call.tool, goal.call.arguments).is_error


def test_the_synchronous_session_shares_the_sandbox_with_other_loops() -> None:
    arena = toy_arena(2)
    with ArenaSession(arena) as session:
        solve(arena, session)
        taken = session.take(Message(role="assistant", content="Done."))
        assert taken.user is None and session.done
        assert session.score().reward == 1
        assert session.episode().trajectory.turns == 3 and session.arena == arena

    async def elsewhere() -> float:
        async with AsyncArenaSession(arena) as other:
            for goal in arena.goals:
                assert goal.call is not None
                await other.call(goal.call.tool, goal.call.arguments)
            return other.score().reward

    # Two event loops, one after the other: a session is bound to neither.
    runs: list[Callable[[], float]] = [lambda: asyncio.run(elsewhere())] * 2
    assert [run() for run in runs] == [1, 1]
