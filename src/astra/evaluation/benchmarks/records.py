"""Records of an evaluation by a benchmark: tasks, replies, episodes, the summary."""

from __future__ import annotations

import json
from functools import cache, cached_property
from typing import Any, Literal

from astra.core.intervals import Interval
from astra.types import FinishReason, Json, Message, Record, ToolSchema, Usage


class BenchmarkTool(ToolSchema):
    """A tool as a benchmark shows it. Some describe the result, too, and a model may read it."""

    response: dict[str, Json] | None = None

    def openai(self) -> dict[str, Json]:
        return self._openai

    @cached_property
    def _openai(self) -> dict[str, Json]:
        """Made once: a tool is shown in every request of many episodes."""
        return {"type": "function", "function": self.model_dump(exclude_none=True)}


class BenchmarkTask(Record):
    """A task that the benchmark listed."""

    id: str
    category: str
    gold: tuple[Message, ...] | None = None
    """Messages of a model that solves it. None: they are not wanted."""


class RecordedReply(Record):
    """A model's message, written down when it comes: a resumed run does not ask for it again."""

    task: str
    trial: int
    speaker: Literal["agent", "user"] = "agent"
    turn: int
    """Index of the message in the conversation of its speaker."""
    digest: str
    """Of all that the model was shown up to then. Another one is not answered by this reply."""
    message: Message
    finish: FinishReason
    usage: Usage


class BenchmarkEpisode(Record):
    """A scored episode."""

    task: str
    category: str
    trial: int
    score: float
    error: str = ""
    """Kind of the error, as the benchmark names it. Empty if it was solved."""
    detail: str = ""
    messages: tuple[Message, ...]
    cut: bool = False
    """Whether a message met a limit of length: of the options, or of what the model can read."""
    usage: Usage
    user_usage: Usage = Usage()
    """Of the model that plays the user."""

    @property
    def key(self) -> tuple[str, int]:
        return self.task, self.trial


class CategoryScore(Record):
    """Scores of one category."""

    tasks: int
    score: Interval
    pass_k: dict[str, float]


class BenchmarkSummary(Record):
    """Scores of a run. They are over scored episodes; None if there are none."""

    benchmark: str
    tasks: int
    trials: int
    episodes: int
    """Scored ones."""
    infrastructure_failures: int
    """Episodes without a score: the endpoint or the benchmark's process failed."""
    failures: dict[str, int] = {}
    """The most frequent messages of those failures, at most five, with their counts."""
    score: Interval | None
    """Mean over all episodes; its interval resamples tasks, each with all its trials."""
    over_trials: Interval | None
    """The same mean; its interval resamples whole trials: how much one run differs from another.
    None with one trial."""
    by_trial: list[float]
    """Mean of each trial over the tasks that it has a score of."""
    pass_k: dict[str, float]
    """pass^k by k: the chance that k episodes of a task are all solved."""
    categories: dict[str, CategoryScore]
    averages: dict[str, float] = {}
    """Averages of categories as the benchmark's own tables have them, where all of them ran."""
    floors: dict[str, float] = {}
    """What policies that do not try reach on the same tasks."""
    errors: dict[str, int]
    """Episodes by kind of error."""
    cut: int = 0
    """Episodes in which a message met a limit of length."""
    usage: Usage
    """Of the model that is evaluated, in scored episodes."""
    user_usage: Usage = Usage()
    """Of the model that plays the user."""


def message_for_worker(message: Message) -> dict[str, Any]:
    """A model's message as the worker takes it. Reasoning stays with the model."""
    return {
        "content": message.content,
        "tool_calls": [
            {"id": call.id, "name": call.tool, "arguments": call.arguments}
            for call in message.tool_calls
        ],
    }


def message_from_worker(value: dict[str, Any]) -> Message:
    """A message that the worker sent, in the same form or in that of OpenAI."""
    calls = [
        {"id": call["id"], **_called(call.get("function", call))}
        for call in value.get("tool_calls") or ()
    ]
    return Message.model_validate(
        {
            "role": value.get("role", "assistant"),
            "content": value.get("content") or "",
            "tool_calls": calls,
            "tool_call_id": value.get("tool_call_id"),
        }
    )


def _called(function: dict[str, Any]) -> dict[str, Any]:
    return {"tool": function["name"], "arguments": function["arguments"]}


@cache
def tools_from_worker(text: str) -> tuple[BenchmarkTool, ...]:
    """Tools in the form of OpenAI, without fields that only one of its endpoints knows.

    Cached: many tasks of a benchmark show the same ones.
    """
    return tuple(
        BenchmarkTool.model_validate(
            {
                name: field
                for name, field in value["function"].items()
                if name in BenchmarkTool.model_fields
            }
        )
        for value in json.loads(text)
    )
