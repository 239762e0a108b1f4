"""The user of a conversation as a tool, for runners in which nothing but tools answers.

The agent says something by a call, and reads the user's answer as its result. The session hears a
message, not a call, so that scores are those of the same conversation without this tool.

What this does not guarantee: that a model which can hold a conversation knows to use the tool. Its
document says so, and the first message without a call ends the episode.
"""

from __future__ import annotations

from typing import Any

from astra.types import Arena, ToolSchema

USER_TOOL = ToolSchema(
    name="message_user",
    description=(
        "Say something to the user, such as a question or what was done, and read the answer. The "
        "user is reached by this tool only: a message without a call ends the conversation."
    ),
    parameters={
        "type": "object",
        "properties": {"text": {"type": "string", "description": "What is said."}},
        "required": ["text"],
        "additionalProperties": False,
    },
)
LEFT = "The user has left the conversation."


def has_user(arena: Arena) -> bool:
    """Whether a user answers in an arena."""
    return arena.state is not None and bool(arena.state.turns)


def user_tool_problem(arena: Arena) -> str:
    """Why the user of an arena can't be a tool. Empty if it can, or if nobody answers."""
    if not has_user(arena):
        return ""
    if arena.state is not None and arena.state.withheld:
        return "the user brings tools in it, and tools can't come later there"
    if any(tool.name == USER_TOOL.name for tool in (*arena.tools, *arena.distractors)):
        return f"a tool has the name by which the user is reached ({USER_TOOL.name})"
    return ""


def said(arguments: Any) -> str:
    """What a call of the tool says to the user. Empty if its arguments are broken."""
    text = arguments.get("text") if isinstance(arguments, dict) else None
    return text if isinstance(text, str) else ""


def heard(answer: str | None) -> str:
    """The result of a call of the tool. `answer` None: the conversation is over."""
    return LEFT if answer is None else answer
