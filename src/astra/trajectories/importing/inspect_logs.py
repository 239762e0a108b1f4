"""Eval logs of Inspect AI as JSON: one conversation per sample and epoch.

Messages have calls as `{id, function, arguments}`, contents as text or parts, results an `error`
where the tool failed. The tools stand in the events of the model calls. Long texts there are kept
once, as `attachment://` references into the sample's `attachments`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from astra.core.messages import as_text
from astra.errors import Rejected
from astra.trajectories.importing.foreign import (
    ForeignConversation,
    foreign_message,
    foreign_tools,
)
from astra.types import Json, StopReason, ToolSchema

_ATTACHMENT = "attachment://"
_LIMITS = {
    "token": StopReason.length_limit,
    "context": StopReason.length_limit,
    "time": StopReason.time_limit,
    "working": StopReason.time_limit,
}
"""Limits of a sample; all others bound its turns."""


def is_inspect_log(value: Json) -> bool:
    """Whether a document is an eval log: its header, and the task that was evaluated."""
    return isinstance(value, dict) and isinstance(value.get("eval"), dict) and "version" in value


def inspect_samples(log: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """(name, sample) of all samples of a log. Raises Rejected if it holds none."""
    samples = log.get("samples")
    if not isinstance(samples, list) or not samples:
        raise Rejected("layout", f"the log holds no samples (status {log.get('status')!r:.40})")
    model = log["eval"].get("model")
    for sample in samples:
        if isinstance(sample, dict):
            name = f"sample {sample.get('id')!r:.60}, epoch {sample.get('epoch', 1)!r:.20}"
            yield name, {"model": model, **sample}
        else:
            yield f"{sample!r:.60}", sample


def inspect_conversation(sample: Json) -> ForeignConversation:
    """The conversation of a sample. Raises Rejected."""
    if not isinstance(sample, dict) or not isinstance(sample.get("messages"), list):
        raise Rejected("layout", f"not a sample with messages: {sample!r:.150}")
    if sample.get("error"):
        error = sample["error"]
        detail = error.get("message") if isinstance(error, dict) else error
        raise Rejected("sample_error", f"the sample ended by an error of its run: {detail!s:.200}")
    attachments = sample.get("attachments")
    attachments = attachments if isinstance(attachments, dict) else {}
    messages: list[Json] = []
    failed: set[int] = set()
    for index, value in enumerate(sample["messages"]):
        if not isinstance(value, dict):
            raise Rejected("message", f"message {index + 1} is not an object: {value!r:.100}")
        resolved = _resolved(value, attachments)
        message = _message(resolved, index + 1)
        if resolved.get("role") == "tool" and resolved.get("error"):
            failed.add(index)
        messages.append(message)
    limit = sample.get("limit")
    kind = limit.get("type") if isinstance(limit, dict) else None
    model = sample.get("model")
    return ForeignConversation(
        messages=[foreign_message(message, i) for i, message in enumerate(messages, start=1)],
        tools=_tools(sample, attachments),
        model=model if isinstance(model, str) else "",
        failed=frozenset(failed),
        stop=None if kind is None else _LIMITS.get(str(kind), StopReason.turn_limit),
    )


def _message(value: dict[str, Json], number: int) -> dict[str, Json]:
    """A message in the OpenAI form."""
    parts = value.get("content")
    reasoning: list[str] = []
    if isinstance(parts, list):
        said: list[Json] = []
        for part in parts:
            if isinstance(part, dict) and part.get("type") == "reasoning":
                # What is redacted is a cipher; some models give a summary beside it.
                hidden = part.get("redacted") is True
                reasoning.append(as_text(part.get("summary" if hidden else "reasoning")))
            else:
                said.append(part)
        parts = said
    message: dict[str, Json] = {"role": value.get("role"), "content": parts}
    if reasoning:
        message["reasoning_content"] = "\n".join(filter(None, reasoning))
    calls: list[Json] = []
    for call in value.get("tool_calls") or ():
        if not isinstance(call, dict) or not isinstance(call.get("function"), str):
            raise Rejected("message", f"message {number} holds no tool call: {call!r:.100}")
        function = {"name": call["function"], "arguments": call.get("arguments")}
        calls.append({"id": call.get("id"), "function": function})
    if calls:
        message["tool_calls"] = calls
    if value.get("role") == "tool":
        message["tool_call_id"] = value.get("tool_call_id")
        error = value.get("error")
        if isinstance(error, dict) and error.get("message"):
            # What the model was shown in place of a result.
            message["content"] = f"Error: {error['message']}"
    return message


def _tools(sample: dict[str, Json], attachments: Mapping[str, Json]) -> tuple[ToolSchema, ...]:
    """The tools that the model calls of the conversation were given, in their first order.

    Other model calls of a sample (of graders, of agents inside tools) have tools of their own.
    """
    own = {m.get("id") for m in sample["messages"] if isinstance(m, dict) and m.get("id")}
    given: list[tuple[bool, list[Json]]] = []
    for event in sample.get("events") or ():
        if not isinstance(event, dict) or event.get("event") != "model" or not event.get("tools"):
            continue
        output = event.get("output")
        choices = output.get("choices") if isinstance(output, dict) else None
        written = choices[0] if isinstance(choices, list) and choices else None
        message = written.get("message") if isinstance(written, dict) else None
        identity = message.get("id") if isinstance(message, dict) else None
        given.append((identity in own, event["tools"]))
    tools: dict[str, ToolSchema] = {}
    for is_own, infos in given:
        if not is_own and any(own_call for own_call, _ in given):
            continue
        for tool in foreign_tools([_without_nulls(_resolved(i, attachments)) for i in infos]) or ():
            tools.setdefault(tool.name, tool)
    return tuple(tools.values())


def _resolved(value: Json, attachments: Mapping[str, Json]) -> Json:
    """The value with the texts that stand in the attachments."""
    if isinstance(value, dict):
        return {name: _resolved(child, attachments) for name, child in value.items()}
    if isinstance(value, list):
        return [_resolved(child, attachments) for child in value]
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        text = attachments.get(value.removeprefix(_ATTACHMENT))
        if not isinstance(text, str):
            raise Rejected("layout", f"the sample lacks its attachment {value[:80]!r}")
        return text
    return value


def _without_nulls(value: Json) -> Json:
    """A tool without keywords that are null: Inspect writes those that a schema does not have."""
    if isinstance(value, dict):
        return {k: _without_nulls(child) for k, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value
