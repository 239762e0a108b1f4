"""One conversation as several programs write it, for tests of the import.

The logs of Inspect AI and of Harbor have the shape that their own classes give (inspect-ai 0.3.285,
harbor 0.26.0), with what an importer has to see through: attachments, a grader's model call, parts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astra.types import Json, Message, ToolCallRequest, ToolSchema

TEXT = {"type": "string"}
LONG = "Finds the flights of a day between two airports. " * 3
TOOLS = (
    ToolSchema(
        name="find_flights",
        description=LONG,
        parameters={
            "type": "object",
            "properties": {"origin": TEXT, "target": TEXT, "day": {**TEXT, "format": "date"}},
            "required": ["origin", "target"],
        },
    ),
    ToolSchema(
        name="book_seat",
        description="Books a seat on a flight.",
        parameters={
            "type": "object",
            "properties": {
                "flight": TEXT,
                "seats": {"type": "integer", "minimum": 1},
                "extras": {"type": "array", "items": {"enum": ["bag", "meal"]}},
            },
            "required": ["flight"],
        },
    ),
)


def called(identity: str, tool: str, arguments: dict[str, Json]) -> ToolCallRequest:
    return ToolCallRequest(id=identity, tool=tool, arguments=json.dumps(arguments))


MESSAGES = (
    Message(role="system", content="Help travellers."),
    Message(role="user", content="I need to get from Oslo to Rome and back in May."),
    Message(
        role="assistant",
        content="I look both ways up.",
        reasoning="Two searches,\nat once.",
        tool_calls=(
            called("c1", "find_flights", {"origin": "OSL", "target": "FCO"}),
            called("c2", "find_flights", {"origin": "FCO", "target": "OSL", "day": "2026-05-09"}),
        ),
    ),
    Message(role="tool", content='[{"flight": "SK4711", "price": 120.5}]', tool_call_id="c1"),
    Message(role="tool", content="Error: no flights on that day", tool_call_id="c2"),
    Message(role="assistant", content="There is SK4711 for 120.5. Shall I book it?"),
    Message(role="user", content="Yes, two seats and a bag, please. 谢谢"),
    Message(
        role="assistant",
        tool_calls=(
            called("c3", "book_seat", {"flight": "SK4711", "seats": 2, "extras": ["bag"]}),
        ),
    ),
    Message(role="tool", content='{"error": {"code": "sold_out"}}', tool_call_id="c3"),
    Message(role="assistant", content="SK4711 is sold out, I'm sorry.", reasoning="Say so."),
)
STATUSES = ("ok", "tool_error", "tool_error")
"""What became of its calls."""


def plain(messages: Any) -> list[Json]:
    """Messages without the ids of calls, arguments parsed: what has to be the same."""
    return [
        [
            message.role,
            message.content,
            message.reasoning,
            [[call.tool, json.loads(call.arguments or "{}")] for call in message.tool_calls],
        ]
        for message in messages
    ]


def openai_row(messages: Any = MESSAGES, tools: Any = TOOLS) -> dict[str, Json]:
    rows: list[Json] = []
    for message in messages:
        row: dict[str, Json] = {"role": message.role, "content": message.content}
        if message.reasoning:
            row["reasoning_content"] = message.reasoning
        if message.tool_calls:
            row["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.tool, "arguments": call.arguments},
                }
                for call in message.tool_calls
            ]
        if message.tool_call_id:
            row["tool_call_id"] = message.tool_call_id
        rows.append(row)
    return {"messages": rows, "tools": [tool.openai() for tool in tools]}


def trl_row(messages: Any = MESSAGES, tools: Any = TOOLS) -> dict[str, Json]:
    """Prompt and completion, arguments as objects."""
    rows = openai_row(messages, tools)
    for message in rows["messages"]:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return {
        "prompt": rows["messages"][:2],
        "completion": rows["messages"][2:],
        "tools": rows["tools"],
    }


def hermes_row(messages: Any = MESSAGES, tools: Any = TOOLS) -> dict[str, Json]:
    """ShareGPT with the marks of Hermes in the values."""
    turns: list[dict[str, str]] = []
    names = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}
    for message in messages:
        value = message.content
        if message.role == "tool":
            value = f"<tool_response>\n{value}\n</tool_response>"
            if turns[-1]["from"] == "tool":
                turns[-1]["value"] += f"\n{value}"
                continue
        for call in message.tool_calls:
            text = json.dumps({"name": call.tool, "arguments": json.loads(call.arguments)})
            value += f"\n<tool_call>\n{text}\n</tool_call>"
        if message.reasoning:
            value = f"<think>\n{message.reasoning}\n</think>\n\n{value}"
        turns.append({"from": names[message.role], "value": value})
    return {"conversations": turns, "tools": json.dumps([tool.openai() for tool in tools])}


def inspect_log(messages: Any = MESSAGES, tools: Any = TOOLS, **sample: Any) -> dict[str, Json]:
    written: list[Json] = []
    for number, message in enumerate(messages):
        value: dict[str, Json] = {"id": f"m{number}", "role": message.role, "source": "generate"}
        value["content"] = message.content
        if message.reasoning:
            value["content"] = [
                {"type": "reasoning", "reasoning": message.reasoning, "redacted": False},
                {"type": "text", "text": message.content},
            ]
        if message.tool_calls:
            value["tool_calls"] = [
                {
                    "id": call.id,
                    "function": call.tool,
                    "arguments": json.loads(call.arguments),
                    "type": "function",
                }
                for call in message.tool_calls
            ]
        if message.tool_call_id:
            value |= {"tool_call_id": message.tool_call_id, "function": "any"}
            if message.content.startswith("Error: "):
                text = message.content.removeprefix("Error: ")
                value |= {"content": "", "error": {"type": "unknown", "message": text}}
        written.append(value)
    infos = [
        {
            "name": tool.name,
            "description": "attachment://d1" if tool.description == LONG else tool.description,
            "parameters": {**tool.parameters, "additionalProperties": None},
            "options": None,
        }
        for tool in tools
    ]
    last = [number for number, message in enumerate(messages) if message.role == "assistant"]
    config: dict[str, Json] = {}
    event = {
        "event": "model",
        "model": "openai/gpt-x",
        "input": [],
        "tools": infos,
        "tool_choice": "auto",
        "config": config,
        "output": {
            "model": "gpt-x",
            "choices": [{"message": written[last[-1]] if last else {}, "stop_reason": "stop"}],
        },
    }
    grader = {
        **event,
        "tools": [{"name": "grade", "description": "Grades.", "parameters": {"type": "object"}}],
        "output": {"choices": [{"message": {"id": "other", "role": "assistant", "content": "A"}}]},
    }
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "created": "2026-11-29T10:00:00+00:00",
            "task": "travel",
            "model": "openai/gpt-x",
            "dataset": {},
            "config": {},
        },
        "samples": [
            {
                "id": 1,
                "epoch": 1,
                "input": "…",
                "target": "…",
                "messages": written,
                "events": [grader, event],
                "attachments": {"d1": LONG},
                "scores": {"accuracy": {"value": float("nan")}},
                **sample,
            }
        ],
    }


def atif_trajectory(messages: Any = MESSAGES, tools: Any = TOOLS) -> dict[str, Json]:
    steps: list[dict[str, Json]] = []
    for message in messages:
        if message.role == "tool":
            observation = steps[-1].setdefault("observation", {"results": []})
            observation["results"].append(
                {"source_call_id": message.tool_call_id, "content": message.content}
            )
            continue
        source = {"assistant": "agent"}.get(message.role, message.role)
        step: dict[str, Json] = {"step_id": len(steps) + 1, "source": source}
        step["message"] = message.content
        if message.reasoning:
            step["reasoning_content"] = message.reasoning
        if message.tool_calls:
            step["tool_calls"] = [
                {
                    "tool_call_id": call.id,
                    "function_name": call.tool,
                    "arguments": json.loads(call.arguments),
                }
                for call in message.tool_calls
            ]
        steps.append(step)
    return {
        "schema_version": "ATIF-v1.7",
        "session_id": "s",
        "agent": {
            "name": "traveller",
            "version": "1",
            "model_name": "gpt-x",
            "tool_definitions": [tool.openai() for tool in tools],
        },
        "steps": steps,
    }


def file_of(path: Path, *rows: Json) -> Path:
    """A JSONL file of rows, or a JSON file of one document."""
    if path.suffix == ".json":
        path.write_text(json.dumps(rows[0], indent=1), "utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
