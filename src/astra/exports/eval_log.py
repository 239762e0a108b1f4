"""Episodes as an `.eval` log of Inspect AI: a zip file of a header and one JSON file a sample.

Written without Inspect, which `inspect view` and `inspect_ai.log` read back (schema version 2). The
transcript has an event for each message of the model, with the tools it was shown, and for each
call. No time of a single message is on record: all events bear that of the log.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from astra.exports.logged_episodes import LoggedEpisode, LoggedRun, call_arguments
from astra.types import CallStatus, Json, StopReason, ToolSchema

_LIMITS = {
    StopReason.turn_limit: "turn",
    StopReason.length_limit: "token",
    StopReason.time_limit: "time",
}
_ERRORS = {
    CallStatus.malformed_arguments: "parsing",
    CallStatus.schema_violation: "parsing",
    CallStatus.transient: "timeout",
    CallStatus.over_limit: "limit",
}
"""Kinds of failed calls as Inspect names them; others are `unknown`."""


class EvalLogWriter:
    """Writes a log, sample by sample. A context manager; an error leaves an unusable file."""

    def __init__(self, path: Path, run: LoggedRun) -> None:
        self._run = run
        self._zip = ZipFile(path, "w", ZIP_DEFLATED)
        self._summaries: list[Json] = []
        self._values: defaultdict[str, list[float]] = defaultdict(list)
        self._usage: defaultdict[str, int] = defaultdict(int)
        self._ids: dict[str, None] = {}

    def __enter__(self) -> Self:
        start = {"version": 2, "eval": self._specification(), "plan": _PLAN}
        self._write("_journal/start.json", start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._write("summaries.json", self._summaries)
            self._write("header.json", self._header())
        self._zip.close()

    def add(self, episode: LoggedEpisode) -> None:
        """Write the sample of an episode: its arena is the id, its number the epoch."""
        trajectory, run = episode.trajectory, self._run
        messages = [
            _message(episode, index, run.model) for index in range(len(trajectory.messages))
        ]
        scores = self._scores(episode)
        usage: dict[str, Json] = {
            "input_tokens": trajectory.usage.prompt_tokens,
            "output_tokens": trajectory.usage.completion_tokens,
            "total_tokens": trajectory.usage.prompt_tokens + trajectory.usage.completion_tokens,
            "input_tokens_cache_read": trajectory.usage.cached_tokens,
        }
        for name, count in usage.items():
            self._usage[name] += count
        answers = [m for m in messages if m["role"] == "assistant"]
        stop = "content_filter" if trajectory.stop is StopReason.refused else "stop"
        first = next((i for i, m in enumerate(messages) if m["role"] == "assistant"), len(messages))
        common: dict[str, Json] = {
            "id": trajectory.task,
            "epoch": trajectory.sample + 1,
            "input": messages[:first],
            "target": "",
            "model_usage": {run.model: usage} if any(usage.values()) else {},
            "total_time": trajectory.seconds,
            "uuid": f"{run.id}-{episode.name}",
            "turn_count": trajectory.turns,
        }
        sample: dict[str, Json] = {
            **common,
            "messages": messages,
            "output": _output(answers[-1], run.model, stop) if answers else {"model": run.model},
            "scores": scores,
            "events": _events(episode, messages, run),
            "events_data": {"messages": messages, "calls": []},
        }
        summary: dict[str, Json] = {
            **common,
            "scores": {
                name: {key: score[key] for key in ("value", "answer")}
                for name, score in scores.items()
            },
            "completed": True,
            "message_count": len(messages),
        }
        if trajectory.stop in _LIMITS:
            kind = _LIMITS[trajectory.stop]
            reached = {
                "turn": trajectory.turns,
                "token": trajectory.usage.completion_tokens,
                "time": trajectory.seconds,
            }
            sample["limit"] = {"type": kind, "limit": reached[kind]}
            summary["limit"] = kind
        if trajectory.infrastructure_failure:
            text = trajectory.error or trajectory.stop.value
            sample["error"] = {"message": text, "traceback": "", "traceback_ansi": ""}
            summary["error"] = text
        self._ids[trajectory.task] = None
        self._summaries.append(summary)
        self._write(f"samples/{trajectory.task}_epoch_{trajectory.sample + 1}.json", sample)

    def _scores(self, episode: LoggedEpisode) -> dict[str, dict[str, Json]]:
        score = episode.score
        if score is None:
            return {}
        for name, value in score.values.items():
            self._values[name].append(value)
        answer = episode.trajectory.answer
        return {
            name: {"value": value, "answer": answer, "metadata": score.details}
            for name, value in score.values.items()
        }

    def _specification(self) -> dict[str, Json]:
        run = self._run
        return {
            "eval_id": run.id,
            "run_id": run.id,
            "created": run.created,
            "task": "astra",
            "task_id": run.id,
            "dataset": {"name": run.dataset},
            "model": run.model,
            "config": {"epochs": run.samples},
            "packages": {"astra-arenas": run.version},
        }

    def _header(self) -> dict[str, Json]:
        scores = [
            {
                "name": name,
                "scorer": name,
                "scored_samples": len(values),
                "unscored_samples": len(self._summaries) - len(values),
                "metrics": {"mean": {"name": "mean", "value": math.fsum(values) / len(values)}},
            }
            for name, values in self._values.items()
        ]
        scored = max(map(len, self._values.values()), default=0)
        specification = self._specification()
        specification["dataset"] |= {"samples": len(self._ids), "sample_ids": list(self._ids)}
        usage = {self._run.model: dict(self._usage)} if any(self._usage.values()) else {}
        return {
            "version": 2,
            "status": "success" if self._run.finished else "cancelled",
            "eval": specification,
            "plan": _PLAN,
            "results": {
                "total_samples": len(self._summaries),
                "completed_samples": scored,
                "scores": scores,
            },
            "stats": {"completed_at": self._run.created, "model_usage": usage},
        }

    def _write(self, name: str, value: Json) -> None:
        # The time of an entry is the earliest there is: the same episodes give the same bytes.
        entry = ZipInfo(name)
        entry.compress_type = ZIP_DEFLATED
        self._zip.writestr(entry, json.dumps(value, ensure_ascii=False, allow_nan=False))


_PLAN: dict[str, Json] = {"steps": [{"solver": "astra"}]}


def _message(episode: LoggedEpisode, index: int, model: str) -> dict[str, Json]:
    """A message as Inspect has it."""
    message = episode.trajectory.messages[index]
    entry: dict[str, Json] = {
        "id": f"{episode.name}-{index}",
        "role": message.role,
        "content": message.content,
    }
    if message.reasoning:
        entry["content"] = [
            {"type": "reasoning", "reasoning": message.reasoning},
            {"type": "text", "text": message.content},
        ]
    if message.role == "assistant":
        entry |= {"source": "generate", "model": model}
    if message.tool_calls:
        entry["tool_calls"] = [
            {"id": call.id, "function": call.tool, "arguments": call_arguments(call)}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        record = next((c for c in episode.trajectory.calls if c.id == message.tool_call_id), None)
        entry |= {"tool_call_id": message.tool_call_id, "function": record and record.tool}
    return entry


def _output(message: dict[str, Json], model: str, stop: str) -> dict[str, Json]:
    reason = "tool_calls" if message.get("tool_calls") else stop
    return {"model": model, "choices": [{"message": message, "stop_reason": reason}]}


def _events(episode: LoggedEpisode, messages: list[dict[str, Json]], run: LoggedRun) -> list[Json]:
    """The transcript: what the model was asked and wrote, and each call with its result."""
    tools = [_tool(document) for document in episode.tools]
    results = {m["tool_call_id"]: m["content"] for m in messages if m["role"] == "tool"}
    statuses = {record.id: record.status for record in episode.trajectory.calls}
    events: list[Json] = []

    def add(**fields: Json) -> None:
        identity = f"{run.id}-{episode.name}-{len(events)}"
        events.append({"uuid": identity, "timestamp": run.created, "working_start": 0.0, **fields})

    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        add(
            event="model",
            model=run.model,
            input=[],
            # The messages so far, by their places in `events_data`: written out, the log would
            # grow with the square of the conversation.
            input_refs=[[0, index]],
            tools=tools,
            tool_choice="auto",
            config={},
            output=_output(message, run.model, "stop"),
        )
        for call in message.get("tool_calls", ()):
            result, status = results.get(call["id"], ""), statuses.get(call["id"], CallStatus.ok)
            # Not in the message: there it would stand for a text that begins with "Error:".
            failed = {"type": _ERRORS.get(status, "unknown"), "message": result}
            error = {} if status is CallStatus.ok else {"error": failed}
            add(event="tool", **call, result=result, **error)
    return events


def _tool(document: ToolSchema) -> dict[str, Json]:
    """A tool as Inspect has it: it wants properties and the required ones to be told."""
    parameters = {"properties": {}, "required": [], **document.parameters}
    return {"name": document.name, "description": document.description, "parameters": parameters}
