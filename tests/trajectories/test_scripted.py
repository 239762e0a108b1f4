"""The scripted agent: parallel where it can be, values from results, one more try, no invention."""

from __future__ import annotations

import json
from typing import Any

import pytest

from astra.protocols import ToolResult
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.testing.rule_teacher.scripted_agent import ScriptedAgent
from astra.trajectories.records import ArgumentSource, PlannedCall
from astra.trajectories.toolset import ToolSet
from astra.types import CallStatus, Json, Message, StopReason, ToolSchema, Trajectory

from .services import calendar


def stated(**values: Json) -> dict[str, ArgumentSource]:
    return {name: ArgumentSource(value=value) for name, value in values.items()}


PLAN = (
    PlannedCall(id="c1", tool="list_events", arguments=stated(calendar="work", day="2026-03-02")),
    PlannedCall(id="c2", tool="find_room", arguments=stated(people=4)),
    PlannedCall(
        id="c3",
        tool="get_event",
        arguments={"event_id": ArgumentSource(call="c1", field="events.0.id")},
        depends_on=("c1",),
    ),
)
ANSWERS: dict[str, list[Json]] = {
    "list_events": [{"events": [{"id": "e7", "title": "Review", "room": "B2"}]}],
    "find_room": [{"room": "A1", "floor": 3}],
    "get_event": [{"title": "Review", "guests": ["Ada"]}],
}
TIMEOUT: Json = {"error": {"code": "timeout", "message": "no answer in 30 s"}}


class Host:
    """Answers each tool's calls in turn; the last answer stays."""

    def __init__(self, answers: dict[str, list[Json]]) -> None:
        self._answers = {name: list(values) for name, values in answers.items()}
        self.calls: list[tuple[str, dict[str, Json]]] = []

    async def __aenter__(self) -> Host:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    def tools(self) -> tuple[ToolSchema, ...]:
        return ToolSet([calendar()]).documents()

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        self.calls.append((name, arguments))
        answers = self._answers[name]
        value = answers.pop(0) if len(answers) > 1 else answers[0]
        return ToolResult(value, is_error=isinstance(value, dict) and "error" in value)


async def played(plan: Any = PLAN, language: Any = "en", **answers: Any) -> tuple[Trajectory, Host]:
    host = Host({**ANSWERS, **answers})
    task = RolloutTask("t", (Message(role="user", content="Please."),))
    agent = ScriptedAgent(plan, language)
    return await rollout(task, agent, host, RolloutLimits()), host


async def test_independent_calls_go_together_and_results_flow_on() -> None:
    trajectory, host = await played()
    assert trajectory.stop is StopReason.answered
    assert [call.turn for call in trajectory.calls] == [0, 0, 1]
    assert host.calls[-1] == ("get_event", {"event_id": "e7"})
    assert "find_room" in trajectory.messages[1].content
    assert "get_event" in trajectory.messages[1].content
    for value in ("Review", "A1", "Ada"):
        assert value in trajectory.answer


async def test_what_fails_in_passing_is_tried_once_more() -> None:
    trajectory, host = await played(list_events=[TIMEOUT, *ANSWERS["list_events"]])
    assert [name for name, _ in host.calls].count("list_events") == 2
    assert trajectory.calls[0].status is CallStatus.tool_error
    assert "Ada" in trajectory.answer


async def test_after_the_second_failure_it_says_so_and_invents_nothing() -> None:
    trajectory, host = await played(list_events=[TIMEOUT])
    assert [name for name, _ in host.calls].count("list_events") == 2
    assert "get_event" not in [name for name, _ in host.calls]
    assert "no answer in 30 s" in trajectory.answer
    assert "could not be called" in trajectory.answer
    assert "Ada" not in trajectory.answer


async def test_an_error_that_stays_is_not_tried_again() -> None:
    missing: Json = {"error": {"code": "not_found", "message": "no such calendar"}}
    final: Json = {"error": {"code": "timeout", "message": "gone", "retryable": False}}
    for error in (missing, final):
        _, host = await played(list_events=[error])
        assert [name for name, _ in host.calls].count("list_events") == 1


async def test_a_result_without_the_field_stops_what_needs_it() -> None:
    trajectory, host = await played(list_events=[{"events": []}])
    assert "get_event" not in [name for name, _ in host.calls]
    assert "events.0.id" in trajectory.answer


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_long_results_are_quoted_in_part_and_say_so(language: Any) -> None:
    trajectory, _ = await played(PLAN[1:2], language, find_room=["x" * 5000])
    assert len(trajectory.answer) < 1500
    assert ("begins" if language == "en" else "很长") in trajectory.answer


async def test_without_a_plan_it_calls_nothing() -> None:
    trajectory, host = await played(())
    assert (host.calls, trajectory.stop) == ([], StopReason.answered)
    assert json.dumps(trajectory.answer)
