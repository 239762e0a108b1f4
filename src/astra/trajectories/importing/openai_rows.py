"""Rows of `messages` and `tools`: OpenAI's chat form, and TRL's conversational rows.

Both have arguments as JSON text or as objects, tools as a list or as JSON text. TRL also has rows
of `prompt` and `completion`, both lists of messages.
"""

from __future__ import annotations

from astra.errors import Rejected
from astra.trajectories.collect.function_shapes import parsed
from astra.trajectories.importing.foreign import (
    ForeignConversation,
    foreign_message,
    foreign_tools,
)
from astra.types import Json


def openai_conversation(row: Json) -> ForeignConversation:
    """The conversation of a row. Raises Rejected."""
    if not isinstance(row, dict):
        raise Rejected("layout", f"not an object with messages: {row!r:.150}")
    if "messages" not in row:
        raise Rejected("layout", f"it has no messages, but {sorted(map(str, row))[:8]!r:.300}")
    return conversation_of(row["messages"], row)


def trl_conversation(row: Json) -> ForeignConversation:
    """As `openai_conversation`, and rows of `prompt` and `completion`."""
    if isinstance(row, dict) and "chosen" in row:
        raise Rejected("layout", "it is a pair of answers for preference training: give one")
    if not isinstance(row, dict) or "messages" in row or "prompt" not in row:
        return openai_conversation(row)
    prompt, completion = row["prompt"], row.get("completion")
    if not isinstance(prompt, list) or not isinstance(completion, list):
        raise Rejected("layout", "prompt and completion are not lists of messages")
    return conversation_of([*prompt, *completion], row)


def conversation_of(messages: Json, row: dict[str, Json]) -> ForeignConversation:
    """The conversation of a list of messages; the row says the rest."""
    messages = parsed(messages, "messages")
    if not isinstance(messages, list):
        raise Rejected("layout", f"messages is not a list: {messages!r:.150}")
    names: dict[int, str] = {}
    for index, message in enumerate(messages):
        if isinstance(message, dict) and isinstance(name := message.get("name"), str) and name:
            names[index] = name
    model = row.get("model")
    return ForeignConversation(
        messages=[foreign_message(value, i) for i, value in enumerate(messages, start=1)],
        tools=foreign_tools(row.get("tools", row.get("functions"))),
        model=model if isinstance(model, str) else "",
        names=names,
    )
