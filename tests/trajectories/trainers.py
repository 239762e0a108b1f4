"""How trainers read rows, restated from their sources and documentation, as oracles of tests.

LLaMA-Factory: `SharegptDatasetConverter`, `FunctionFormatter` and the Qwen template (August 2026).
axolotl: `ChatTemplateStrategy` with its defaults (July 2026). Both are stated anew, not copied.
"""

from __future__ import annotations

import json
import re
from typing import Any

from astra.types import Json

# --- LLaMA-Factory -------------------------------------------------------------------------------

_ASKED, _SAID = ("human", "observation"), ("gpt", "function_call")
_THOUGHT = re.compile(r"<think>\n(.*?)\n</think>\n\n", re.DOTALL)
_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


def llama_factory(row: dict[str, Json]) -> tuple[str, list[Json], list[Json]]:
    """System prompt, tools, and (role, thought, content or calls) of each turn.

    Raises ValueError where the converter leaves a row out or its formatters raise.
    """
    turns = row["conversations"]
    system = row["system"] or ""
    if turns and turns[0]["from"] == "system":
        system, turns = turns[0]["value"], turns[1:]
    if len(turns) % 2:
        raise ValueError("an odd number of turns")
    read: list[Json] = []
    for number, turn in enumerate(turns):
        role, value = turn["from"], turn["value"]
        if role not in (_SAID if number % 2 else _ASKED):
            raise ValueError(f"turn {number} is by {role}")
        if role != "function_call":
            read.append((role, "", value))
            continue
        tagged = _TAGGED.search(value)
        thought = _THOUGHT.search(value)
        text = tagged[1] if tagged else value.replace(thought[0], "") if thought else value
        calls = json.loads(text)
        calls = calls if isinstance(calls, list) else [calls]
        written = [(call["name"], json.loads(json.dumps(call["arguments"]))) for call in calls]
        read.append((role, thought[1] if thought else "", written))
    tools = json.loads(row["tools"])
    functions = [t.get("function", "") if t.get("type") == "function" else t for t in tools]
    assert all(function["name"] and "parameters" in function for function in functions)
    return system, functions, read


def qwen_observation(value: str) -> str:
    """A turn of results in LLaMA-Factory's template of Qwen, which adds the tags."""
    return f"<|im_start|>user\n<tool_response>\n{value}\n</tool_response><|im_end|>\n"


# --- axolotl -------------------------------------------------------------------------------------

_ROLES = {"human": "user", "user": "user", "assistant": "assistant", "gpt": "assistant"}


def axolotl(
    row: dict[str, Json],
    variables: frozenset[str] = frozenset({"tool_calls", "tool_call_id", "name"}),
) -> tuple[list[Json], list[Json]]:
    """Messages and tools as `type: chat_template` hands them to the template, without options.

    `variables`: what the chat template reads of a message beside role, content and reasoning.
    """
    row = _without_nulls(row)
    messages = row["messages"]
    turns: list[dict[str, Json]] = []
    # The column `system` becomes a turn of its own where the first turn is not one.
    if messages[0]["role"] != "system" and "system" in row:
        turns.append({"role": "system", "content": row["system"]})
    for message in messages:
        turn = {name: message[name] for name in ("role", "content") if name in message}
        turn["role"] = _ROLES.get(turn["role"], turn["role"])
        if "reasoning_content" in message:
            turn["reasoning_content"] = message["reasoning_content"]
        turn |= {name: message[name] for name in variables if name in message}
        for call in turn.get("tool_calls", ()):
            arguments = call["function"]["arguments"]
            if isinstance(arguments, str):
                call["function"]["arguments"] = json.loads(arguments)
        turns.append(turn)
    tools = row.get("tools")
    tools = json.loads(tools) if isinstance(tools, str) else tools
    if not isinstance(tools, list):
        raise ValueError("tools is not a list")
    for tool in tools:
        if isinstance(tool.get("function", {}).get("parameters"), str):
            tool["function"]["parameters"] = json.loads(tool["function"]["parameters"])
    return turns, tools


def _without_nulls(value: Any) -> Any:
    """axolotl drops nulls at every depth, those that `datasets` filled in among them."""
    if isinstance(value, dict):
        return {name: _without_nulls(child) for name, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value
