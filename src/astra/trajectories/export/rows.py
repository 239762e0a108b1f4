"""A rollout as one row of training data, in three formats.

`trl`: conversational rows (`messages`, `tools`) as TRL's SFTTrainer takes them, arguments as
objects. `sharegpt`: `conversations` of from/value pairs with the roles human, gpt, function_call
and observation, as LLaMA-Factory reads them, and the same as `messages`, which axolotl reads.
`astra`: the columns of the published ASTRA trajectories (`tools`, `messages` with arguments as JSON
text).
"""

from __future__ import annotations

import json

from astra.configs.trajectories import ExportTrajectoriesConfig
from astra.core.messages import conversation_to_openai, read_arguments
from astra.errors import Rejected
from astra.trajectories.records import Judgement, RecordedRollout, TrajectoryScore
from astra.types import Json, content_hash

ID_CHARACTERS = 9
"""Length of a call's id: the only one that every family of models accepts."""


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
    rollout: RecordedRollout,
    judgement: Judgement,
    config: ExportTrajectoriesConfig,
    domain: str,
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
        # Every name in every row: readers that infer one type of a column fill what is missing.
        "scores": {measure.value: judgement.scores.get(measure) for measure in TrajectoryScore},
    }
    messages, tools = conversation(rollout)
    if config.format != "trl" or config.json_columns:
        for message in messages:
            for call in message.get("tool_calls", ()):
                call["function"]["arguments"] = _dump(call["function"]["arguments"])
    shown = _dump(tools) if config.json_columns else tools
    match config.format:
        case "trl":
            return {"messages": messages, "tools": shown, **about}
        case "astra":
            return {"tools": shown, "messages": messages, **about}
        case "sharegpt":
            system, turns = sharegpt_turns(conversation(rollout)[0])
            return {
                "conversations": turns,
                # An empty text would be a system turn of its own in axolotl.
                "system": system or None,
                "tools": _dump(tools),
                "messages": messages,
                **about,
            }


def sharegpt_turns(messages: list[Json]) -> tuple[str, list[Json]]:
    """The system prompt, and the turns as LLaMA-Factory's converter takes them.

    Turns of the user and of tools alternate with those of the agent; so all calls of a message are
    one turn, and their results another. The templates there put in the tags of a model family.
    """
    system: list[str] = []
    turns: list[dict[str, Json]] = []
    results: list[str] = []

    def add(role: str, value: str) -> None:
        turns.append({"from": role, "value": value})

    for message in messages:
        if message["role"] == "tool":
            results.append(message["content"])
            continue
        if results:
            add("observation", results[0] if len(results) == 1 else _dump(results))
            results = []
        reasoning, content = message.get("reasoning_content") or "", message["content"] or ""
        calls = [call["function"] for call in message.get("tool_calls", ())]
        if message["role"] == "system":
            system.append(content)
        elif message["role"] == "user":
            add("human", content)
        elif calls:
            # A turn of calls holds nothing but calls, and thoughts before them. What the agent says
            # beside its calls has no place of its own there.
            thought = "\n".join(filter(None, (reasoning, content)))
            said = f"<think>\n{thought}\n</think>\n\n" if thought else ""
            add("function_call", said + _dump(calls[0] if len(calls) == 1 else calls))
        else:
            said = f"<think>\n{reasoning}\n</think>\n\n" if reasoning else ""
            add("gpt", said + content)
    if results:
        add("observation", results[0] if len(results) == 1 else _dump(results))
    return "\n\n".join(system), turns


def sharegpt_problem(turns: list[Json]) -> str:
    """Why LLaMA-Factory's converter would leave a conversation out or misread it. Empty: it won't.

    Its turns alternate, from a user's to an agent's. In a turn of calls it looks for tags, before
    it takes the rest as JSON.
    """
    for number, turn in enumerate(turns):
        role, value = turn["from"], turn["value"]
        if role not in (("gpt", "function_call") if number % 2 else ("human", "observation")):
            return f"turn {number + 1} is by {role}, and turns have to alternate"
        if role == "function_call" and ("<tool_call>" in value or value.count("</think>") > 1):
            return f"turn {number + 1} has tags of calls or thoughts in its texts"
    return "" if len(turns) % 2 == 0 else "the last turn is not the agent's"


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
