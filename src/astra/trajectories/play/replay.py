"""Replays a rollout offline: its assistant messages against its recorded calls.

The same loop has to come to the same messages, calls and end, bit for bit. Only times and token
counts are left out: they belong to the model and the machine.

What this does not guarantee: that the servers would answer the same today.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from astra.errors import ConfigError
from astra.hosts.recorded import RecordedHost
from astra.models.scripted import ScriptedModel
from astra.protocols import Reply, Sampling
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.runs.folder import RunFolder
from astra.trajectories.reading import read_rollouts
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

TIME_LIMIT = 2.0
"""Seconds until an episode that ended by its time limit is ended again."""
_NO_LIMIT = 10_000
"""Turns of a replay that ends by other limits."""


async def replay(recorded: RecordedRollout) -> Trajectory:
    """The trajectory that the loop makes of the recorded messages and answers."""
    before = recorded.trajectory
    start = next(
        (i for i, message in enumerate(before.messages) if message.role == "assistant"),
        len(before.messages),
    )
    limits = RolloutLimits(turns=_NO_LIMIT)
    match before.stop:
        case StopReason.turn_limit:
            limits = RolloutLimits(turns=before.turns)
        case StopReason.time_limit:
            limits = RolloutLimits(turns=_NO_LIMIT, seconds=TIME_LIMIT)
        case StopReason.length_limit if before.messages[-1].role != "assistant":
            # Each recorded message counts as one token, so the limit is reached after the last.
            limits = RolloutLimits(turns=_NO_LIMIT, episode_tokens=before.turns)
        case _:
            pass
    timed = before.stop is StopReason.time_limit
    return await rollout(
        RolloutTask(before.task, before.messages[:start], before.sample),
        _RecordedModel(before),
        RecordedHost(recorded.tools, recorded.recording, unrecorded="wait" if timed else "error"),
        limits,
        _RecordedUser(before.messages),
    )


def difference(first: Trajectory, second: Trajectory) -> str:
    """Where the second first differs, in a few words. Empty if only times and token counts do."""
    for number, (a, b) in enumerate(zip(first.messages, second.messages, strict=False)):
        if a != b:
            return f"message {number} ({a.role}) differs"
    if len(first.messages) != len(second.messages):
        return f"{len(second.messages)} messages, not {len(first.messages)}"
    if first.stop is not second.stop:
        error = f": {second.error}" if second.error else ""
        return f"it ended by {second.stop.value}, not {first.stop.value}{error}"
    return "" if _comparable(first) == _comparable(second) else "calls differ"


def _comparable(trajectory: Trajectory) -> str:
    value = trajectory.model_dump(mode="json", exclude={"seconds", "usage"})
    for call in value["calls"]:
        del call["seconds"]
    return canonical_json(value)


class _RecordedModel:
    """The model of a recorded trajectory. It never answers after its last recorded message."""

    def __init__(self, before: Trajectory) -> None:
        messages = [message for message in before.messages if message.role == "assistant"]
        replies: list[Reply] = []
        for message in messages:
            finish = FinishReason.tool_calls if message.tool_calls else FinishReason.stop
            if message is before.messages[-1] and before.stop is StopReason.length_limit:
                finish = FinishReason.length
            elif message is before.messages[-1] and before.stop is StopReason.refused:
                finish = FinishReason.filtered
            replies.append(Reply(message, finish, Usage(completion_tokens=1)))
        self._count = len(replies)
        self._script = ScriptedModel(replies)

    @property
    def name(self) -> str:
        return "recorded"

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        if sum(message.role == "assistant" for message in messages) >= self._count:
            await asyncio.Event().wait()  # the episode ends by its time limit
        return await self._script.generate(messages, tools, sampling)


class _RecordedUser:
    """The user of a recorded trajectory."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages

    async def reply(self, messages: Sequence[Message]) -> str | None:
        if len(messages) < len(self._messages) and self._messages[len(messages)].role == "user":
            return self._messages[len(messages)].content
        return None


async def replay_differences(run: Path | str) -> dict[str, str]:
    """Rollout id -> where its replay first differs. Empty text: nowhere.

    Raises ConfigError if the folder holds no rollouts.
    """
    differences = {
        recorded.id: difference(recorded.trajectory, await replay(recorded))
        for recorded in read_rollouts(RunFolder.open(run))
    }
    if not differences:
        raise ConfigError(f"{str(run)!r} holds no rollouts: make some first")
    return differences
