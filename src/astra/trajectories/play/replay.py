"""Plays a rollout again, offline: its assistant messages against its recorded calls.

The same loop as before has to come to the same messages, calls and end, bit for bit; only times
and counts of tokens are left out, which belong to the model and the hour.

What this does not guarantee: that the servers would answer the same today.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from astra.hosts.recorded import RecordedHost
from astra.models.scripted import ScriptedModel
from astra.protocols import Reply, Sampling
from astra.rollouts.loop import RolloutLimits, rollout
from astra.rollouts.loop import RolloutTask as Played
from astra.trajectories.records import RecordedRollout
from astra.types import (
    FinishReason,
    Message,
    StopReason,
    ToolSchema,
    Trajectory,
    Usage,
    canonical_json,
)

PATIENCE = 2.0
"""Seconds after which an episode that ended by its time limit is ended again."""
_LONGEST = 10_000
"""Turns of a replay that has no bound of its own."""


async def replay(recorded: RecordedRollout) -> Trajectory:
    """The trajectory as it comes out again."""
    before = recorded.trajectory
    start = next(
        (i for i, message in enumerate(before.messages) if message.role == "assistant"),
        len(before.messages),
    )
    timed = before.stop is StopReason.time_limit
    host = RecordedHost(recorded.tools, recorded.recording, unrecorded="wait" if timed else "error")
    return await rollout(
        Played(before.task, before.messages[:start], before.sample),
        _Recorded(before),
        host,
        _limits(before),
        _RecordedUser(before.messages),
    )


def same(one: Trajectory, other: Trajectory) -> bool:
    """Whether two trajectories are equal in all but times and counts of tokens."""
    return _lasting(one) == _lasting(other)


def difference(one: Trajectory, other: Trajectory) -> str:
    """Where the second first differs, in a few words; "": nowhere."""
    for number, (a, b) in enumerate(zip(one.messages, other.messages, strict=False)):
        if a != b:
            return f"message {number} ({a.role}) reads otherwise"
    if len(one.messages) != len(other.messages):
        return f"{len(other.messages)} messages, not {len(one.messages)}"
    if one.stop is not other.stop:
        return f"it ended by {other.stop.value}, not {one.stop.value}: {other.error}".rstrip(": ")
    return "" if same(one, other) else "calls are otherwise"


def _lasting(trajectory: Trajectory) -> str:
    value = trajectory.model_dump(mode="json", exclude={"seconds", "usage"})
    for call in value["calls"]:
        del call["seconds"]
    return canonical_json(value)


def _limits(before: Trajectory) -> RolloutLimits:
    """Limits that end the episode where it ended."""
    match before.stop:
        case StopReason.turn_limit:
            return RolloutLimits(turns=before.turns)
        case StopReason.time_limit:
            return RolloutLimits(turns=_LONGEST, seconds=PATIENCE)
        case StopReason.length_limit if before.messages[-1].role != "assistant":
            # Each recorded message counts one token: they are used up after the last.
            return RolloutLimits(turns=_LONGEST, episode_tokens=before.turns)
        case _:
            return RolloutLimits(turns=_LONGEST)


class _Recorded:
    """The model of a recorded trajectory. After its last message it never comes."""

    def __init__(self, before: Trajectory) -> None:
        said = [message for message in before.messages if message.role == "assistant"]
        ends = before.messages[-1:] == tuple(said[-1:])
        self._number = len(said)
        self._script = ScriptedModel(
            [_reply(m, before.stop if ends and m is said[-1] else None) for m in said]
        )

    @property
    def name(self) -> str:
        return "recorded"

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        if sum(message.role == "assistant" for message in messages) >= self._number:
            await asyncio.Event().wait()
        return await self._script.generate(messages, tools, sampling)


def _reply(message: Message, stop: StopReason | None) -> Reply:
    match stop:
        case StopReason.length_limit:
            finish = FinishReason.length
        case StopReason.refused:
            finish = FinishReason.filtered
        case _:
            finish = FinishReason.tool_calls if message.tool_calls else FinishReason.stop
    return Reply(message, finish, Usage(completion_tokens=1))


class _RecordedUser:
    """The user of a recorded trajectory."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages

    async def reply(self, messages: Sequence[Message]) -> str | None:
        if len(messages) < len(self._messages) and self._messages[len(messages)].role == "user":
            return self._messages[len(messages)].content
        return None
