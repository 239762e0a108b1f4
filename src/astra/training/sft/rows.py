"""Rows to train on: conversations with their tools, one per line of a JSONL file.

`astra arenas export --format sft` and `astra trajectories export` write such rows. Rows from
elsewhere in the OpenAI or TRL form (`messages` with `tool_calls`, `tools`) work as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from astra.core.messages import message_from_openai, tool_from_openai
from astra.errors import ConfigError
from astra.runs.jsonl import LINE_BYTES
from astra.types import Message, Record, ToolSchema


class ConversationRow(Record):
    """A conversation to learn from."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = ()
    unlearned: frozenset[int] = frozenset()
    """Assistant messages without loss, counted from 0 among those of the assistant."""


def read_rows(path: Path) -> Iterator[ConversationRow]:
    """The rows of a JSONL file. Raises ConfigError, which names the line, for an unusable row."""
    empty = True
    number = 0
    try:
        with path.open("rb") as file:
            # Bounded: a file without line ends must not be read into memory as one line.
            while line := file.readline(LINE_BYTES + 1):
                number += 1
                where = f"{str(path)!r}, line {number}"
                if len(line) > LINE_BYTES:
                    raise ConfigError(
                        f"{where}: over {LINE_BYTES} bytes: give a JSONL file of rows"
                    )
                if line.strip():
                    yield _row(line, where)
                    empty = False
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    if empty:
        raise ConfigError(f"{str(path)!r} holds no rows: export some first")


def _row(line: bytes, where: str) -> ConversationRow:
    try:
        value: Any = json.loads(line.decode())
        tools: Any = value.get("tools") or []
        if isinstance(tools, str):  # as in data sets whose schemas differ from row to row
            tools = json.loads(tools)
        row = ConversationRow(
            messages=tuple(map(message_from_openai, value["messages"])),
            tools=tuple(map(tool_from_openai, tools)),
            unlearned=_unlearned(value["messages"]),
        )
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not UTF-8 ({error}): save the file as such") from error
    except (
        *(ValueError, KeyError, TypeError, AttributeError, ValidationError, RecursionError),
    ) as error:
        raise ConfigError(
            f"{where}: not a row of `messages` and `tools` ({type(error).__name__}: {error!s:.300})"
        ) from error
    said = sum(message.role == "assistant" for message in row.messages)
    if said == len(row.unlearned):
        which = "whose assistant has weight 0 throughout" if said else "without an assistant"
        raise ConfigError(f"{where}: a conversation {which} has nothing to learn from")
    return row


def _unlearned(messages: Any) -> frozenset[int]:
    """Which assistant messages have `weight` 0, as in OpenAI's rows for fine-tuning."""
    weights = [message.get("weight") for message in messages if message["role"] == "assistant"]
    if wrong := [weight for weight in weights if weight not in (None, 0, 1)]:
        raise ValueError(f"the weight {wrong[0]!r} of a message: must be 0 or 1")
    return frozenset(turn for turn, weight in enumerate(weights) if weight == 0)
