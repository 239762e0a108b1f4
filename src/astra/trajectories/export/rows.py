"""A rollout as one row of training data, in three formats.

`trl`: conversational rows (`messages`, `tools`) as TRL's SFTTrainer takes them, arguments as
objects. `sharegpt`: `conversations` of from/value pairs, calls and results in tags, as in the
Hermes function-calling data. `astra`: the columns of the published ASTRA trajectories (`tools`,
`messages` with arguments as JSON text).
"""

from __future__ import annotations

import json

from astra.configs.trajectories import RowFormat
from astra.core.messages import conversation_to_openai, read_arguments
from astra.errors import Rejected
from astra.trajectories.records import Judgement, RecordedRollout
from astra.types import Json, content_hash

ID_CHARACTERS = 9
"""Length of a call's id: the only one that every family of models accepts."""
_SHAREGPT_ROLES = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}


def conversation(rollout: RecordedRollout) -> tuple[list[Json], list[Json]]:
    """`messages` and `tools` in the OpenAI format, arguments as objects.

    Raises `Rejected` for a conversation that can't be trained on: arguments that are not a JSON
    object, or no final answer.
    """
    trajectory = rollout.trajectory
    last = trajectory.messages[-1] if trajectory.messages else None
    if last is None or last.role != "assistant" or last.tool_calls:
        raise Rejected("no_answer", f"ends with {trajectory.stop.value!r}, not an answer")
    for message in trajectory.messages:
        for call in message.tool_calls:
            if read_arguments(call.arguments) is None:
                reason = f"call {call.id!r} of {call.tool!r} has no object as arguments"
                raise Rejected("malformed_arguments", reason)

    def short_id(call: str) -> str:
        return content_hash([rollout.id, call])[:ID_CHARACTERS]

    messages = conversation_to_openai(trajectory.messages, short_id)
    return messages, [document.openai() for document in rollout.tools]


def dataset_row(
    rollout: RecordedRollout, judgement: Judgement, format: RowFormat, domain: str
) -> dict[str, Json]:
    """One row: the conversation in the format, and its provenance."""
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
    messages, tools = conversation(rollout)
    match format:
        case "trl":
            return {"messages": messages, "tools": tools, **about}
        case "astra":
            for message in messages:
                for call in message.get("tool_calls", ()):
                    call["function"]["arguments"] = _dump(call["function"]["arguments"])
            return {"tools": tools, "messages": messages, **about}
        case "sharegpt":
            functions = _dump([tool["function"] for tool in tools])
            return {"conversations": _sharegpt_turns(messages), "tools": functions, **about}


def _sharegpt_turns(messages: list[Json]) -> list[Json]:
    """Turns; all results of one turn's calls are one turn, like the calls."""
    turns: list[dict[str, Json]] = []
    for message in messages:
        if message["role"] == "tool":
            result = {"name": message["name"], "content": message["content"]}
            value = f"<tool_response>\n{_dump(result)}\n</tool_response>"
        else:
            parts = [message["content"]] if message["content"] else []
            if reasoning := message.get("reasoning_content"):
                parts.insert(0, f"<think>\n{reasoning}\n</think>")
            for call in message.get("tool_calls", ()):
                parts.append(f"<tool_call>\n{_dump(call['function'])}\n</tool_call>")
            value = "\n".join(parts)
        if message["role"] == "tool" and turns and turns[-1]["from"] == "tool":
            turns[-1]["value"] += f"\n{value}"
        else:
            turns.append({"from": _SHAREGPT_ROLES[message["role"]], "value": value})
    return turns


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
