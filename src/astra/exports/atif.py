"""Episodes in Harbor's Agent Trajectory Interchange Format, ATIF 1.7: one document an episode.

1.7, as NeMo reads no later one. The format has no field for a reward: it stands in `extra`.
"""

from __future__ import annotations

from astra.exports.logged_episodes import LoggedEpisode, LoggedRun, call_arguments
from astra.types import CallStatus, Json, Message, Usage

_SOURCES = {"system": "system", "user": "user", "assistant": "agent"}


def atif_document(episode: LoggedEpisode, run: LoggedRun) -> dict[str, Json]:
    """The trajectory of an episode: its steps, the tools that were shown, and its score."""
    trajectory, score = episode.trajectory, episode.score
    agent: dict[str, Json] = {"name": "astra", "version": run.version, "model_name": run.model}
    if episode.tools:
        agent["tool_definitions"] = [document.openai() for document in episode.tools]
    extra: dict[str, Json] = {
        "task": trajectory.task,
        "sample": trajectory.sample,
        "stop": trajectory.stop.value,
    }
    if trajectory.error:
        extra["error"] = trajectory.error
    if score is not None:
        extra |= {"reward": score.reward, "score": score.details}
    document: dict[str, Json] = {
        "schema_version": "ATIF-v1.7",
        "session_id": f"{run.id}-{episode.name}",
        "trajectory_id": episode.name,
        "agent": agent,
        "steps": _steps(episode),
        "extra": extra,
    }
    if trajectory.usage != Usage():  # nobody counted
        document["final_metrics"] = {
            "total_prompt_tokens": trajectory.usage.prompt_tokens,
            "total_completion_tokens": trajectory.usage.completion_tokens,
            "total_cached_tokens": trajectory.usage.cached_tokens,
        }
    return document


def _steps(episode: LoggedEpisode) -> list[Json]:
    """The messages. A result belongs to the step of its call."""
    statuses = {record.id: record.status for record in episode.trajectory.calls}
    steps: list[dict[str, Json]] = []
    for message in episode.trajectory.messages:
        if message.role != "tool":
            steps.append(_step(message, len(steps) + 1))
            continue
        result: dict[str, Json] = {
            "source_call_id": message.tool_call_id,
            "content": message.content,
        }
        status = statuses.get(message.tool_call_id or "", CallStatus.ok)
        if status is not CallStatus.ok:
            result["extra"] = {"status": status.value}
        steps[-1].setdefault("observation", {"results": []})["results"].append(result)
    return steps


def _step(message: Message, number: int) -> dict[str, Json]:
    step: dict[str, Json] = {
        "step_id": number,
        "source": _SOURCES[message.role],
        "message": message.content,
    }
    if message.reasoning:
        step["reasoning_content"] = message.reasoning
    if message.tool_calls:
        step["tool_calls"] = [
            {
                "tool_call_id": call.id,
                "function_name": call.tool,
                "arguments": call_arguments(call),
            }
            for call in message.tool_calls
        ]
    return step
