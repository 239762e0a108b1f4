"""Harbor's Agent Trajectory Interchange Format (ATIF), versions 1.0 to 1.8.

A trajectory is a list of steps by the system, the user and the agent; an agent's step has its calls
and, in `observation`, their results. Tools stand in the agent's `tool_definitions`. Trajectories of
agents that it started may stand inside, as conversations of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from astra.errors import Rejected
from astra.trajectories.importing.foreign import (
    ForeignConversation,
    foreign_message,
    foreign_tools,
)
from astra.types import Json, Message

_VERSION = "ATIF-v1."
_ROLES = {"system": "system", "user": "user", "agent": "assistant"}
_DEPTH = 8
"""Trajectories inside each other."""


def is_atif(value: Json) -> bool:
    """Whether a document says that it is a trajectory of this format."""
    return isinstance(value, dict) and str(value.get("schema_version")).startswith("ATIF-")


def atif_trajectories(value: dict[str, Json], depth: int = 0) -> Iterator[tuple[str, Json]]:
    """(name, trajectory) of a document: its own, then those of the agents that it started."""
    yield ("" if depth == 0 else f"agent {value.get('trajectory_id')!r:.60}"), value
    inner = value.get("subagent_trajectories")
    for child in inner if isinstance(inner, list) and depth < _DEPTH else ():
        if isinstance(child, dict):
            yield from atif_trajectories(child, depth + 1)


def atif_conversation(value: Json) -> ForeignConversation:
    """The conversation of a trajectory. Raises Rejected."""
    if not isinstance(value, dict) or not isinstance(value.get("steps"), list):
        raise Rejected("layout", f"not a trajectory with steps: {value!r:.150}")
    version = value.get("schema_version")
    if not str(version).startswith(_VERSION):
        raise Rejected("layout", f"schema_version {version!r:.60}: {_VERSION}0 and later are read")
    agent = value.get("agent")
    agent = agent if isinstance(agent, dict) else {}
    messages: list[Message] = []
    models: list[Json] = [agent.get("model_name")]
    for number, step in enumerate(value["steps"], start=1):
        if not isinstance(step, dict) or step.get("step_id") != number:
            raise Rejected("layout", f"step {number} is not a step of that number: {step!r:.100}")
        if step.get("is_copied_context"):
            raise Rejected("copied_context", f"step {number} is a copy out of another trajectory")
        models.append(step.get("model_name"))
        for message in _step_messages(step, number):
            messages.append(foreign_message(message, len(messages) + 1))
    model = next((name for name in models if isinstance(name, str) and name), "")
    return ForeignConversation(messages, foreign_tools(agent.get("tool_definitions")), model)


def _step_messages(step: dict[str, Json], number: int) -> Iterator[Json]:
    """The message of a step in the OpenAI form, then the results of its calls."""
    role = _ROLES.get(str(step.get("source")))
    if role is None:
        raise Rejected("layout", f"step {number} is by {step.get('source')!r:.60}")
    calls: list[dict[str, Json]] = []
    for call in step.get("tool_calls") or ():
        if not isinstance(call, dict):
            raise Rejected("message", f"step {number} holds no tool call: {call!r:.100}")
        function = {"name": call.get("function_name"), "arguments": call.get("arguments")}
        calls.append({"id": call.get("tool_call_id"), "function": function})
    message: dict[str, Json] = {"role": role, "content": step.get("message")}
    if role == "assistant":
        message["reasoning_content"] = step.get("reasoning_content")
    if calls:
        message["tool_calls"] = calls
    yield message
    observation = step.get("observation")
    results = observation.get("results") if isinstance(observation, dict) else None
    for result in results or ():
        if not isinstance(result, dict):
            raise Rejected("message", f"step {number} holds no result: {result!r:.100}")
        source = result.get("source_call_id")
        if source is None and len(calls) != 1:
            raise Rejected(
                "results", f"step {number} has {len(calls)} calls and a result that names none"
            )
        yield {
            "role": "tool",
            "content": result.get("content"),
            "tool_call_id": source if source is not None else calls[0]["id"],
        }
