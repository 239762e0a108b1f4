"""Episodes of a benchmark as the viewers' logs of other programs have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from astra.evaluation.benchmarks.records import BenchmarkEpisode
from astra.evaluation.benchmarks.run import EPISODES
from astra.exports.logged_episodes import LoggedEpisode, LoggedScore, call_arguments
from astra.runs.folder import RunFolder
from astra.runs.repetitions import unique_rows
from astra.types import CallRecord, CallStatus, Json, Message, StopReason, Trajectory


def logged_benchmark(folder: RunFolder) -> Iterator[LoggedEpisode]:
    """The scored episodes of a run. Which tools were shown is not on record."""
    rows = unique_rows(folder, EPISODES, BenchmarkEpisode, lambda episode: episode.key)
    for number, played in enumerate(rows, start=1):
        # It becomes the name of an entry in a file.
        if "/" in played.task or "\\" in played.task or not played.task.isprintable():
            raise folder.damaged(EPISODES, number, f"{played.task!r:.100} is no id of a task")
        messages, calls = _with_unique_ids(played.messages)
        trajectory = Trajectory(
            task=played.task,
            sample=played.trial,
            messages=messages,
            calls=calls,
            stop=StopReason.answered,
            turns=sum(message.role == "assistant" for message in messages),
            usage=played.usage,
        )
        details: dict[str, Json] = {
            "category": played.category,
            "error": played.error,
            "detail": played.detail,
        }
        score = LoggedScore(played.score, {"score": played.score}, details)
        yield LoggedEpisode(trajectory, score, ())


def _with_unique_ids(
    messages: Sequence[Message],
) -> tuple[tuple[Message, ...], tuple[CallRecord, ...]]:
    """Messages whose calls have ids of their own, and the calls: models begin anew in each turn."""
    renamed: list[Message] = []
    calls: dict[str, CallRecord] = {}
    now: dict[str, str] = {}
    """Id in the latest message with calls -> id in the log."""
    turn = -1
    for message in messages:
        turn += message.role == "assistant"
        if message.tool_calls:
            now = {call.id: f"call_{turn}_{n}" for n, call in enumerate(message.tool_calls)}
            for call in message.tool_calls:
                calls[now[call.id]] = CallRecord(
                    id=now[call.id],
                    turn=turn,
                    tool=call.tool,
                    arguments=call_arguments(call),
                    status=CallStatus.ok,
                )
            own = tuple(c.model_copy(update={"id": now[c.id]}) for c in message.tool_calls)
            message = message.model_copy(update={"tool_calls": own})
        elif message.role == "tool":
            answered = now.get(message.tool_call_id or "", message.tool_call_id)
            message = message.model_copy(update={"tool_call_id": answered})
            if answered in calls:
                calls[answered] = calls[answered].model_copy(update={"result": _value(message)})
        renamed.append(message)
    return tuple(renamed), tuple(calls.values())


def _value(message: Message) -> Json:
    try:
        return json.loads(message.content)
    except ValueError:
        return message.content
