"""A conversation as another program wrote it: its messages and tools in our records.

Readers of formats use `foreign_message` and `foreign_tools`, which take what the field's programs
write in the OpenAI form and refuse what has no place in a record (pictures, unknown shapes of
tools). `linked` then makes sure that every result answers a call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from astra.core.json_schema import UnusableSchema, check_schema
from astra.core.messages import as_text, message_from_openai
from astra.core.untrusted import check_json
from astra.errors import Rejected
from astra.trajectories.collect.function_lists import functions_of
from astra.trajectories.collect.function_shapes import parsed, raw_tool
from astra.trajectories.collect.schemas import parameters
from astra.types import Json, Message, StopReason, ToolSchema

MOST_MESSAGES = 2_000
MOST_TOOLS = 2_000
MOST_CHARACTERS = 4_000_000
"""Text of all messages together, as in an episode of our own: it must fit into one row."""
_NO_PARAMETERS: dict[str, Json] = {"type": "object", "properties": {}}
_TEXT_PARTS = ("text", "input_text", "output_text", "refusal")
_THOUGHT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ForeignConversation:
    """One conversation of another program, as a reader gives it."""

    messages: Sequence[Message]
    """Ids of calls may repeat from message to message, results may name none."""
    tools: tuple[ToolSchema, ...] | None
    """None: the source says nothing of tools."""
    model: str = ""
    """The agent's model. Empty if the source does not say."""
    names: Mapping[int, str] = field(default_factory=dict[int, str])
    """Index of a result without an id -> name of the tool that gave it."""
    failed: frozenset[int] = frozenset()
    """Indexes of results that the source marks as failures."""
    stop: StopReason | None = None
    """The limit that ended it, where the source says so."""


# --- what readers use ----------------------------------------------------------------------------


def foreign_message(value: Json, number: int) -> Message:
    """A message in the OpenAI form, earlier versions included. `number`: for errors, from 1."""
    if not isinstance(value, dict):
        raise Rejected("message", f"message {number} is not an object: {value!r:.100}")
    message = {name: child for name, child in value.items() if child is not None}
    role = message.get("role")
    message["role"] = {"developer": "system", "function": "tool"}.get(str(role), role)
    if isinstance(called := message.pop("function_call", None), dict):
        message.setdefault("tool_calls", [{"function": called}])
    if "thinking" in message:  # where TRL's rows for gpt-oss have it
        message.setdefault("reasoning_content", message["thinking"])
    if isinstance(parts := message.get("content"), list):
        message["content"] = "".join(_part_text(part, number) for part in parts)
    try:
        check_json(message)
        read = message_from_openai(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        reason = f"message {number} can't be read: {where} {first['msg']}"
        raise Rejected("message", reason) from error
    except (ValueError, AttributeError) as error:
        raise Rejected("message", f"message {number} can't be read: {error!s:.200}") from error
    thought = _THOUGHT.match(read.content) if read.role == "assistant" else None
    if thought and not read.reasoning:
        # Judges and chat templates take what a model thinks apart from what it says.
        spoken = read.content[thought.end() :]
        read = read.model_copy(update={"reasoning": thought[1].strip("\n"), "content": spoken})
    return read


def _part_text(part: Json, number: int) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else type(part).__name__
    if kind not in _TEXT_PARTS:
        raise Rejected("media", f"message {number} holds a part of type {kind!r:.60}: only text is")
    try:
        return as_text(part.get("refusal") if kind == "refusal" else part.get("text"))
    except ValueError as error:
        raise Rejected("message", f"message {number}: {error}") from error


def foreign_tools(value: Json) -> tuple[ToolSchema, ...] | None:
    """The tools of a row: a list, or its JSON text, in any form that `tools collect` reads.

    None: there is no such list. Raises Rejected for tools that can't be read.
    """
    value = parsed(value, "tools") if isinstance(value, str) and value.strip() else value
    if value is None or value == "":
        return None
    functions = functions_of({"tools": value})
    if functions is None:
        raise Rejected("tools", f"its tools are not a list of functions: {value!r:.150}")
    if len(functions) > MOST_TOOLS:
        raise Rejected("size", f"{len(functions)} tools; the most is {MOST_TOOLS}")
    tools: dict[str, ToolSchema] = {}
    for function in functions:
        raw = raw_tool(function)
        schema = raw.parameters or _NO_PARAMETERS
        try:
            check_json(function)
            converted = parameters(schema).schema
        except ValueError as error:
            raise Rejected("tools", f"tool {raw.name!r:.100}: {error}") from error
        except Rejected as rejected:
            raise Rejected("tools", f"tool {raw.name!r:.100}: {rejected.reason}") from rejected
        if raw.name in tools:
            raise Rejected("tools", f"two tools are called {raw.name!r:.100}")
        # As it stands where it is a JSON Schema of an object: this is what the agent saw.
        try:
            check_schema(schema)
        except UnusableSchema:
            schema = converted
        if schema.get("type") != "object":
            schema = converted
        tools[raw.name] = ToolSchema(name=raw.name, description=raw.description, parameters=schema)
    return tuple(tools.values())


# --- calls and results ---------------------------------------------------------------------------


def linked(conversation: ForeignConversation) -> tuple[Message, ...]:
    """The messages with an id of its own for every call, which its result names.

    A result without an id answers the first open call (of its tool, where it names one). Raises
    Rejected for results of no call, and calls without a result before the last message.
    """
    messages = conversation.messages
    if len(messages) > MOST_MESSAGES:
        raise Rejected("size", f"{len(messages)} messages; the most is {MOST_MESSAGES}")
    if (size := sum(map(_characters, messages))) > MOST_CHARACTERS:
        raise Rejected("size", f"{size} characters of messages; the most is {MOST_CHARACTERS}")
    given = [call.id for message in messages for call in message.tool_calls]
    unique = len(set(given)) == len(given)
    result: list[Message] = []
    pending: list[tuple[str, str, str]] = []
    """Open calls: the given id, the id of its own, the tool."""
    turn = 0
    for index, message in enumerate(messages):
        if message.role == "tool":
            position = _answered(message.tool_call_id or "", conversation.names.get(index), pending)
            if position is None:
                named = f" {message.tool_call_id!r:.60}" if message.tool_call_id else ""
                raise Rejected("results", f"message {index + 1} is a result of no open call{named}")
            own = pending.pop(position)[1]
            result.append(message.model_copy(update={"tool_call_id": own}))
            continue
        if pending:
            raise Rejected("results", _unanswered(index, pending))
        if message.role != "assistant":
            result.append(Message(role=message.role, content=message.content))
            continue
        ids = [
            call.id if unique else f"call_{turn}_{position}"
            for position, call in enumerate(message.tool_calls)
        ]
        pending = [
            (call.id, own, call.tool) for call, own in zip(message.tool_calls, ids, strict=True)
        ]
        calls = tuple(
            call.model_copy(update={"id": own})
            for call, own in zip(message.tool_calls, ids, strict=True)
        )
        result.append(message.model_copy(update={"tool_calls": calls, "tool_call_id": None}))
        turn += 1
    if pending and messages[-1].role == "tool":
        raise Rejected("results", _unanswered(len(messages), pending))
    return tuple(result)


def _answered(named: str, tool: str | None, pending: Sequence[tuple[str, str, str]]) -> int | None:
    """Index of the open call that a result answers."""
    if named:
        return next((i for i, (given, _, _) in enumerate(pending) if given == named), None)
    return next((i for i, (_, _, called) in enumerate(pending) if tool in (None, called)), None)


def _unanswered(index: int, pending: Sequence[tuple[str, str, str]]) -> str:
    return f"before message {index + 1}: a call of {pending[0][2]!r:.100} has no result"


def _characters(message: Message) -> int:
    calls = sum(len(call.arguments) + len(call.tool) for call in message.tool_calls)
    return len(message.content) + len(message.reasoning) + calls
