"""Rows of `conversations`: turns of `from` and `value`, as LLaMA-Factory and Hermes have them.

LLaMA-Factory: roles human, gpt, function_call and observation; all calls of a message are one turn
of JSON, and their results another. Hermes: roles human, gpt and tool, with `<tool_call>` and
`<tool_response>` in the values. `system` and `tools` are columns or, of the first, a turn.

Our own rows have the same conversation in `messages`, where nothing is lost; it is read if both
agree.
"""

from __future__ import annotations

import json
import re

from astra.core.messages import conversation_to_openai
from astra.core.untrusted import read_json
from astra.errors import Rejected
from astra.trajectories.collect.function_shapes import parsed
from astra.trajectories.export.rows import sharegpt_turns
from astra.trajectories.importing.foreign import (
    ForeignConversation,
    foreign_message,
    foreign_tools,
    linked,
)
from astra.trajectories.importing.openai_rows import conversation_of
from astra.types import Json

_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "calls"),
    **dict.fromkeys(("observation", "tool", "function_response", "tool_response"), "results"),
    "system": "system",
}
_THOUGHT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
_UNREAD = ("<functioncall>", "<function=", "[TOOL_CALLS]", "<|python_tag|>")
"""Marks of calls in texts of other dialects. Read as words, they would teach nothing to call."""


def sharegpt_conversation(row: Json) -> ForeignConversation:
    """The conversation of a row. Raises Rejected."""
    turns = parsed(row.get("conversations"), "conversations") if isinstance(row, dict) else None
    if not isinstance(turns, list):
        raise Rejected("layout", f"not an object with a list of conversations: {row!r:.150}")
    messages: list[Json] = []
    system = row.get("system")
    if isinstance(system, str) and system:
        messages.append({"role": "system", "content": system})
    open_calls = 0
    for number, turn in enumerate(turns, start=1):
        name, value = (turn.get("from"), turn.get("value")) if isinstance(turn, dict) else ("", "")
        role = _ROLES.get(str(name))
        if role is None or not isinstance(value, str):
            raise Rejected(
                "layout", f"turn {number} is not a known role and its text: {turn!r:.150}"
            )
        where = f"turn {number}"
        if role == "results":
            results = _results(value, open_calls, where)
            messages += [{"role": "tool", "content": result} for result in results]
            open_calls -= len(results)
            continue
        message: dict[str, Json] = {"role": role, "content": value}
        if role == "calls" or (role == "assistant" and "<tool_call>" in value):
            message = _calls(value, where, alone=role == "calls")
        elif role == "assistant" and (mark := next((m for m in _UNREAD if m in value), "")):
            raise Rejected("layout", f"{where} holds {mark!r}: calls of a dialect that is not read")
        open_calls = len(message.get("tool_calls", ()))
        messages.append(message)
    model = row.get("model")
    read = ForeignConversation(
        messages=[foreign_message(message, i) for i, message in enumerate(messages, start=1)],
        tools=foreign_tools(row.get("tools")),
        model=model if isinstance(model, str) else "",
    )
    if row.get("messages") is None:
        return read
    whole = conversation_of(row["messages"], row)
    if _turns(whole) != _turns(read):
        raise Rejected("layout", "its columns 'conversations' and 'messages' disagree: drop one")
    return whole


def _turns(conversation: ForeignConversation) -> Json:
    """The conversation as our rows spell it."""
    return sharegpt_turns(conversation_to_openai(linked(conversation)))


def _calls(value: str, where: str, *, alone: bool) -> dict[str, Json]:
    """A message with calls. `alone`: the turn holds nothing but them, and thoughts before them."""
    thought = _THOUGHT.match(value)
    text = value[thought.end() :] if thought else value
    beside, blocks = _tagged(text, "tool_call", where)
    spoken = beside.strip() if blocks else ""
    calls: list[Json] = []
    for block in blocks or ([text] if alone else []):
        try:
            written = read_json(block)
        except ValueError as error:
            raise Rejected("layout", f"{where}: its calls are not JSON: {error!s:.200}") from error
        calls += written if isinstance(written, list) else [written]
    functions: list[Json] = []
    for call in calls:
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            raise Rejected("layout", f"{where}: not a call with a name: {call!r:.150}")
        arguments = call.get("arguments", call.get("parameters", {}))
        functions.append({"function": {"name": call["name"], "arguments": arguments}})
    if not functions:
        raise Rejected("layout", f"{where}: no call in a turn of calls")
    return {
        "role": "assistant",
        "content": spoken,
        "reasoning_content": thought[1].strip("\n") if thought else None,
        "tool_calls": functions,
    }


def _results(value: str, open_calls: int, where: str) -> list[str]:
    """The results of one turn: one, or those of all open calls."""
    beside, blocks = _tagged(value, "tool_response", where)
    if blocks:
        if beside.strip():
            raise Rejected("layout", f"{where}: text beside its <tool_response>")
        return [block.strip("\n") for block in blocks]
    if open_calls > 1:
        try:
            several = read_json(value)
        except ValueError:
            return [value]
        if isinstance(several, list) and len(several) == open_calls:
            return [one if isinstance(one, str) else _dump(one) for one in several]
    return [value]


def _tagged(text: str, tag: str, where: str) -> tuple[str, list[str]]:
    """The text beside the blocks of a tag, and the blocks."""
    # Not by an expression, which would look for the end anew at every beginning.
    beside, *rest = text.split(f"<{tag}>")
    blocks: list[str] = []
    for part in rest:
        block, closing, after = part.partition(f"</{tag}>")
        if not closing:
            raise Rejected("layout", f"{where}: a <{tag}> that is not closed")
        blocks.append(block)
        beside += after
    return beside, blocks


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
