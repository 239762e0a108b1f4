"""A rollout as one row of training data, in three layouts.

`trl`: conversational rows (`messages`, `tools`) as TRL's SFTTrainer takes them, arguments as
objects. `sharegpt`: `conversations` of from/value pairs, calls and results in tags, as the Hermes
function-calling data have them. `astra`: the columns of the published ASTRA trajectories
(`tools`, `messages` with arguments as JSON text).
"""

from __future__ import annotations

import json
from typing import Literal

from astra.errors import Rejected
from astra.trajectories.records import Judgement, RecordedRollout
from astra.types import Json, Message, ToolCallRequest, content_hash

RowFormat = Literal["trl", "sharegpt", "astra"]
ID_CHARACTERS = 9
"""Length of a call's id: the only one that every family of models accepts."""


def conversation(rollout: RecordedRollout) -> tuple[list[Json], list[Json]]:
    """`messages` and `tools` in the OpenAI format, arguments as objects.

    Raises `Rejected` for a conversation that can't be trained on: arguments that are no JSON
    object, or no final answer.
    """
    said = rollout.trajectory.messages
    if not said or said[-1].role != "assistant" or said[-1].tool_calls:
        raise Rejected("no_answer", f"ends with {rollout.trajectory.stop.value!r}, not an answer")
    names = {call.id: call.tool for message in said for call in message.tool_calls}
    messages = [_message(message, rollout.id, names) for message in said]
    return messages, [document.openai() for document in rollout.tools]


def _message(message: Message, rollout: str, names: dict[str, str]) -> Json:
    made: dict[str, Json] = {"role": message.role, "content": message.content}
    if message.reasoning:
        made["reasoning_content"] = message.reasoning
    if message.tool_calls:
        made["tool_calls"] = [_call(call, rollout) for call in message.tool_calls]
    if message.tool_call_id is not None:
        made["tool_call_id"] = _short_id(rollout, message.tool_call_id)
        made["name"] = names.get(message.tool_call_id, "")
    return made


def _short_id(rollout: str, call: str) -> str:
    return content_hash([rollout, call])[:ID_CHARACTERS]


def _call(call: ToolCallRequest, rollout: str) -> Json:
    try:
        arguments = json.loads(call.arguments.strip() or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise Rejected("malformed_arguments", f"call {call.id!r} of {call.tool!r} has no object")
    return {
        "id": _short_id(rollout, call.id),
        "type": "function",
        "function": {"name": call.tool, "arguments": arguments},
    }


def row(
    rollout: RecordedRollout,
    judgement: Judgement,
    layout: RowFormat,
    messages: list[Json],
    tools: list[Json],
    domain: str,
) -> dict[str, Json]:
    """One row: the conversation in the layout, and where it comes from."""
    about: dict[str, Json] = {
        "id": rollout.id,
        "task": rollout.task.id,
        "servers": list(rollout.task.servers),
        "domain": domain,
        "language": rollout.task.language,
        "axis": rollout.task.axis.value,
        "model": rollout.model,
        "host": rollout.host,
        "judge": judgement.judge,
        "reward": judgement.reward,
        "scores": {measure.value: value for measure, value in judgement.scores.items()},
    }
    match layout:
        case "trl":
            return {"messages": messages, "tools": tools, **about}
        case "astra":
            return {"tools": tools, "messages": [_arguments_as_text(m) for m in messages], **about}
        case "sharegpt":
            turns = _sharegpt(messages)
            return {"conversations": turns, "tools": _dump([t["function"] for t in tools]), **about}


def _arguments_as_text(message: Json) -> Json:
    if "tool_calls" not in message:
        return message
    calls = [
        {
            **call,
            "function": {**call["function"], "arguments": _dump(call["function"]["arguments"])},
        }
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


_FROM = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}


def _sharegpt(messages: list[Json]) -> list[Json]:
    """Turns; the results of one turn's calls stand together in one, as the calls do."""
    turns: list[dict[str, Json]] = []
    for message in messages:
        value = _value(message)
        if message["role"] == "tool" and turns and turns[-1]["from"] == "tool":
            turns[-1]["value"] += f"\n{value}"
        else:
            turns.append({"from": _FROM[message["role"]], "value": value})
    return turns


def _value(message: Json) -> str:
    if message["role"] == "tool":
        result = {"name": message["name"], "content": message["content"]}
        return f"<tool_response>\n{_dump(result)}\n</tool_response>"
    parts = [message["content"]] if message["content"] else []
    if reasoning := message.get("reasoning_content"):
        parts.insert(0, f"<think>\n{reasoning}\n</think>")
    parts += [
        f"<tool_call>\n{_dump(call['function'])}\n</tool_call>"
        for call in message.get("tool_calls", ())
    ]
    return "\n".join(parts)


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
