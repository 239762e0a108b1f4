"""Recording what a host answers, and serving it again: order, repetition, what is not on record."""

import asyncio
from typing import Any

import pytest

from astra.errors import HostError
from astra.hosts.recorded import RecordedHost, RecordingHost
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import ToolResult
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import CallStatus, Message, RecordedCall, StopReason
from tests.support.fakes import FakeHost, document

DOCUMENTS = [document("roll", {"sides": {"type": "integer"}}), document("fail")]


def counting() -> FakeHost:
    """Answers differently each time, later calls sooner."""
    made = 0

    async def act(name: str, arguments: dict[str, Any]) -> ToolResult:
        nonlocal made
        made += 1
        number = made
        await asyncio.sleep(0.02 / number)
        if name == "fail":
            return ToolResult({"error": {"code": "timeout"}}, is_error=True)
        return ToolResult({"number": number, **arguments})

    return FakeHost(DOCUMENTS, act)


async def recorded() -> tuple[list[ToolResult], tuple[RecordedCall, ...]]:
    async with RecordingHost(counting()) as host:
        assert host.tools() == DOCUMENTS
        calls = [
            ("roll", {"sides": 6}),
            ("roll", {"sides": 6}),
            ("fail", {}),
            ("roll", {"sides": 8}),
        ]
        results = await asyncio.gather(*(host.call(*call) for call in calls))
    return results, host.recording


async def test_like_calls_at_once_get_their_own_answers_again():
    results, recording = await recorded()
    assert [call.is_error for call in recording] == [False, False, True, False]
    async with RecordedHost(DOCUMENTS, recording) as host:
        other = await host.call("roll", {"sides": 8})
        again = await asyncio.gather(*(host.call("roll", {"sides": 6}) for _ in range(2)))
        failed = await host.call("fail", {})
    assert [*again, failed, other] == results


async def test_entering_begins_anew():
    results, recording = await recorded()
    host = RecordedHost(DOCUMENTS, recording)
    for _ in range(2):
        async with host:
            assert await host.call("roll", {"sides": 6}) == results[0]


async def test_what_is_not_on_record_is_never_made_up():
    _, recording = await recorded()
    async with RecordedHost(DOCUMENTS, recording) as host:
        missing = await host.call("roll", {"sides": 7})
        assert missing.is_error and "no such call" in missing.content["error"]["message"]
        for _ in range(2):
            await host.call("roll", {"sides": 6})
        spent = await host.call("roll", {"sides": 6})
        assert spent.is_error and "only 2" in spent.content["error"]["message"]
    async with RecordedHost(DOCUMENTS, recording, unrecorded="raise") as host:
        with pytest.raises(HostError, match="roll"):
            await host.call("roll", {"sides": 7})
    async with RecordedHost(DOCUMENTS, recording, unrecorded="wait") as host:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(host.call("roll", {"sides": 7}), 0.01)


async def test_calls_that_never_returned_are_not_on_record():
    async def act(name: str, arguments: dict[str, Any]) -> ToolResult:
        if name == "fail":
            raise HostError("gone")
        return ToolResult(1)

    host = RecordingHost(FakeHost(DOCUMENTS, act))
    async with host:
        with pytest.raises(HostError):
            await host.call("fail", {})
        await host.call("roll", {"sides": 1})
    assert [call.tool for call in host.recording] == ["roll"]


async def test_an_episode_plays_again_from_its_recording():
    script = [
        calling(("roll", {"sides": 6}), ("roll", {"sides": 6}), ("nothing", {})),
        calling(("fail", {}), ("roll", {"sides": "x"})),
        "done",
    ]
    task = RolloutTask("t", (Message(role="user", content="Roll."),))
    recording = RecordingHost(counting())
    first = await rollout(task, ScriptedModel(script), recording, RolloutLimits())
    assert [call.status for call in first.calls] == [
        *(CallStatus.ok, CallStatus.ok, CallStatus.unknown_tool),
        *(CallStatus.tool_error, CallStatus.schema_violation),
    ]
    host = RecordedHost(DOCUMENTS, recording.recording)
    second = await rollout(task, ScriptedModel(script), host, RolloutLimits())
    assert second.stop is StopReason.answered
    assert second.messages == first.messages
