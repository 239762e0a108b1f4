"""Messages and tools in the OpenAI chat form, both ways: the only converter.

`message_to_openai` writes for endpoints, `conversation_to_openai` for chat templates and training
rows. Readers are lenient where endpoints and data sets differ (content in parts, other names for
reasoning, arguments as objects) and strict where a guess would invent something.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from astra.core.untrusted import read_json
from astra.types import Json, Message, ToolCallRequest, ToolSchema

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_NAME_LENGTH = 64


def read_arguments(text: str) -> dict[str, Json] | None:
    """The arguments of a call as an object. None if they are not one."""
    try:
        value = read_json(text.strip() or "{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


# --- writing ---------------------------------------------------------------------------------


def message_to_openai(message: Message) -> dict[str, Json]:
    """A message in the form that endpoints take back; reasoning is never sent.

    Many endpoints refuse a conversation in which a tool's name or the JSON of the arguments is
    broken. Sent as it was, one bad call would make every later request fail and look like a
    failure of ours: so names are cleaned, and broken arguments stand under `malformed`.
    """
    entry: dict[str, Json] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        entry["tool_calls"] = []
        for call in message.tool_calls:
            letters = (c if c in _NAME_CHARACTERS else "_" for c in call.tool[:_NAME_LENGTH])
            text = call.arguments
            if not text.strip():
                text = "{}"
            elif read_arguments(text) is None:
                text = json.dumps({"malformed": text}, ensure_ascii=False)
            function = {"name": "".join(letters) or "_", "arguments": text}
            entry["tool_calls"].append({"id": call.id, "type": "function", "function": function})
    if message.tool_call_id is not None:
        entry["tool_call_id"] = message.tool_call_id
    return entry


def conversation_to_openai(
    messages: Sequence[Message], call_id: Callable[[str], str] = str
) -> list[dict[str, Any]]:
    """Messages as chat templates and trainers (TRL) take them.

    Arguments are objects, results name their tool, reasoning is `reasoning_content`. `call_id`
    rewrites the ids of calls. Broken arguments stand under `malformed`.
    """
    rows: list[dict[str, Any]] = []
    tools: dict[str, str] = {}
    for message in messages:
        row: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.reasoning:
            row["reasoning_content"] = message.reasoning
        if message.tool_calls:
            row["tool_calls"] = []
            for call in message.tool_calls:
                tools[call.id] = call.tool
                arguments = read_arguments(call.arguments)
                if arguments is None:
                    arguments = {"malformed": call.arguments}
                function = {"name": call.tool, "arguments": arguments}
                row["tool_calls"].append(
                    {"id": call_id(call.id), "type": "function", "function": function}
                )
        if message.role == "tool":
            answered = message.tool_call_id or ""
            row["tool_call_id"] = call_id(answered)
            row["name"] = tools.get(answered, "")
        rows.append(row)
    return rows


# --- reading ---------------------------------------------------------------------------------


def message_from_openai(value: Any) -> Message:
    """A message of ours, a mapping, or an object of the openai package. Raises ValueError."""
    if isinstance(value, Message):
        return value
    if not isinstance(value, Mapping) and hasattr(value, "model_dump"):
        value = value.model_dump()
    message = as_mapping(value, "a message")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list | tuple):
        raise ValueError(f"tool_calls is not a list but {type(calls).__name__}")
    return Message(
        role=message.get("role"),  # pyright: ignore[reportArgumentType] - checked by the record
        content=as_text(message.get("content")) or as_text(message.get("refusal")),
        reasoning=as_text(message.get("reasoning_content") or message.get("reasoning")),
        tool_calls=tuple(_call(call, index) for index, call in enumerate(calls)),
        tool_call_id=message.get("tool_call_id"),
    )


def tool_from_openai(value: Any) -> ToolSchema:
    """An entry of a request's `tools`, or the function alone. Raises ValueError."""
    function = _function(value, "a tool")
    return ToolSchema(
        name=as_text(function.get("name")),
        description=as_text(function.get("description")),
        parameters=dict(
            as_mapping(
                function.get("parameters") or {"type": "object", "properties": {}},
                "a tool's parameters",
            )
        ),
    )


def _call(value: Any, index: int) -> ToolCallRequest:
    function = _function(value, "a tool call")
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)  # some servers send the object
    return ToolCallRequest(
        # Some servers and data sets give no ids.
        id=as_text(value.get("id")) or f"call_{index}",
        tool=as_text(function.get("name")),
        arguments=as_text(arguments),
    )


def _function(value: Any, what: str) -> Mapping[str, Any]:
    """The `function` of an entry; some data sets give the function without the entry around it."""
    entry = as_mapping(value, what)
    return entry if "name" in entry else as_mapping(entry.get("function"), f"{what}'s function")


def as_mapping(value: Any, what: str) -> Mapping[str, Any]:
    """The value if it is an object. Raises ValueError otherwise."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is not an object but {str(value)[:100]!r}")
    return value


def as_text(value: Json) -> str:
    """Text content, also as a list of parts; lone surrogates can't be stored and are replaced."""
    if value is None:
        return ""
    if isinstance(value, list):
        parts = (part.get("text") if isinstance(part, Mapping) else part for part in value)
        return "".join(as_text(part) for part in parts)
    if not isinstance(value, str):
        raise ValueError(f"text expected, not {str(value)[:100]!r}")
    return value.encode("utf-8", "replace").decode()
