"""A benchmark of sums, played as the real ones are: a script that `episode_server` serves.

Its tools add, hang, print, end the process, raise, or tell how many episodes it has played.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parents[2] / "src" / "astra" / "evaluation" / "benchmarks" / "workers"
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name} two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            },
            "response": {"type": "integer"},
            "strict": True,
        },
    }
    for name in ("add", "hang", "die", "loud", "raise", "played")
]

state: dict[str, Any] = {"played": 0, "kept": False}


def forget(_: Any) -> bool:
    return state["kept"]


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    state["kept"] = options.get("kept", False)
    tasks: list[dict[str, Any]] = []
    if options["tasks"] > 90:
        raise ValueError(f"{options['tasks']} sums are too many")
    for number in range(options["tasks"]):
        task: dict[str, Any] = {"id": f"sum_{number}", "category": ("small", "large")[number >= 5]}
        if options["gold"]:
            arguments = json.dumps({"a": number, "b": 1})
            call = {"id": "call_0", "name": "add", "arguments": arguments}
            task["gold"] = [
                {"content": "", "tool_calls": [call]},
                {"content": str(number + 1), "tool_calls": []},
            ]
        tasks.append(task)
    if options.get("user"):
        return {"tasks": tasks, "files": {}}, converse
    order = " ".join({str(number) for number in range(50)})  # by their hashes
    return {"tasks": tasks, "files": {"sums": str(options["tasks"]), "order": order}}, play


def converse(request: dict[str, Any], ask: Any) -> dict[str, Any]:
    """A model that plays the user asks for the sum."""
    number = int(request["task"].partition("_")[2])
    prompt = {"role": "system", "content": f"You want to know what {number} + 1 is."}
    question = ask([prompt], [], "user")
    reply = ask([{"role": "user", "content": question["content"]}], [])
    told = [prompt, {"role": "user", "content": reply["content"]}]
    end = ask(told, [], "user")
    return {"score": float(end["content"] == "Thanks."), "error": "", "detail": end["content"]}


def play(request: dict[str, Any], ask: Any) -> dict[str, Any]:
    state["played"] += 1
    number = int(request["task"].partition("_")[2])
    new: list[dict[str, Any]] = [{"role": "user", "content": f"What is {number} + 1?"}]
    for _ in range(8):
        reply = ask(new, TOOLS)
        if not reply["tool_calls"]:
            right = reply["content"] == str(number + 1)
            error = "" if right else "wrong_sum"
            return {"score": float(right), "error": error, "detail": reply["content"]}
        new = [
            {"role": "tool", "content": run(call), "tool_call_id": call["id"]}
            for call in reply["tool_calls"]
        ]
    return {"score": 0.0, "error": "too_long", "detail": ""}


def run(call: dict[str, Any]) -> str:
    match call["name"]:
        case "add":
            arguments = json.loads(call["arguments"])
            return str(arguments["a"] + arguments["b"])
        case "hang":
            while True:
                time.sleep(1)
        case "die":
            os._exit(3)
        case "played":
            return str(state["played"])
        case "loud":  # what a tool prints must not be taken for a line of the protocol
            sys.stdout.write('{"episode": 1, "result": {"score": 1.0}}\n')
            sys.stdout.flush()
            return "printed"
        case _:
            raise RuntimeError("a tool that raises")


if __name__ == "__main__":
    sys.path.insert(0, str(WORKERS))
    importlib.import_module("episode_server").serve(load, forget)
