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

from astra.core.messages import message_from_openai, tool_from_openai
from astra.errors import ConfigError
from astra.types import Message, Record, ToolSchema


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
            messages=tuple(map(message_from_openai, value["messages"])),
            tools=tuple(
                map(tool_from_openai, json.loads(tools) if isinstance(tools, str) else tools)
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ConfigError(
            f"{where}: no row of `messages` and `tools` ({type(error).__name__}: {error!s:.300})"
        ) from error
    if not any(message.role == "assistant" for message in row.messages):
        raise ConfigError(f"{where}: a conversation without an assistant has nothing to learn from")
    return row
