"""Rows to train on: conversations with the tools that were shown, one a line of a JSONL file.

`astra arenas export --format sft` and `astra trajectories export` write such rows; those of others
in the OpenAI or TRL form (`messages` with `tool_calls`, `tools`) are taken as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from astra.errors import ConfigError
from astra.types import Json, Message, Record, ToolCallRequest, ToolSchema


class ConversationRow(Record):
    """A conversation to learn from."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = ()


def read_rows(path: Path) -> Iterator[ConversationRow]:
    """The rows of a JSONL file; ConfigError, naming the line, for one that can't be used."""
    found = False
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _row(line, f"{str(path)!r}, line {number}")
                    found = True
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(path)!r} is not UTF-8: {error}") from error
    if not found:
        raise ConfigError(f"{str(path)!r} holds no rows: export some first")


def _row(line: str, where: str) -> ConversationRow:
    try:
        value: Any = json.loads(line)
        tools: Any = value.get("tools") or []
        row = ConversationRow(
            messages=tuple(_message(message) for message in value["messages"]),
            tools=tuple(_tool(tool) for tool in (json.loads(tools) if _text(tools) else tools)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ConfigError(
            f"{where}: no row of `messages` and `tools` ({type(error).__name__}: {error!s:.300})"
        ) from error
    if not any(message.role == "assistant" for message in row.messages):
        raise ConfigError(f"{where}: a conversation without an assistant has nothing to learn from")
    return row


def _text(value: Json) -> bool:
    return isinstance(value, str)


def _message(value: Any) -> Message:
    calls = value.get("tool_calls") or []
    return Message(
        role=value["role"],
        content=value.get("content") or "",
        reasoning=value.get("reasoning_content") or value.get("reasoning") or "",
        tool_calls=tuple(_call(call, index) for index, call in enumerate(calls)),
        tool_call_id=value.get("tool_call_id"),
    )


def _call(value: Any, index: int) -> ToolCallRequest:
    function = value.get("function", value)
    arguments: Json = function["arguments"]
    return ToolCallRequest(
        id=value.get("id") or f"call_{index}",
        tool=function["name"],
        arguments=arguments if _text(arguments) else json.dumps(arguments, ensure_ascii=False),
    )


def _tool(value: Any) -> ToolSchema:
    function = value.get("function", value)
    return ToolSchema(
        name=function["name"],
        description=function.get("description") or "",
        parameters=function.get("parameters") or {"type": "object", "properties": {}},
    )
