"""What every tool host must do, as a test class to inherit from.

    class TestMyHost(HostSuite):
        @pytest.fixture
        def host(self): ...
        @pytest.fixture
        def good_call(self): return ("add", {"a": 1, "b": 2})

Collected by pytest with asyncio mode `auto`. The good call must succeed again and again, each
time with the same result.
"""

from __future__ import annotations

import asyncio
from typing import Any

from astra.core.json_schema import check_schema
from astra.errors import HostError
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import ToolHost
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import CallStatus, Json, Message, StopReason, canonical_json

GoodCall = tuple[str, dict[str, Json]]


class HostSuite:
    """Inherit, and give the fixtures `host` and `good_call`."""

    async def test_documents_are_usable_and_do_not_change(self, host: ToolHost) -> None:
        async with host:
            documents = list(host.tools())
            assert documents == list(host.tools())
        names = [document.name for document in documents]
        assert names and len(set(names)) == len(names)
        for document in documents:
            assert document.parameters["type"] == "object"
            check_schema(document.parameters)

    async def test_a_call_gives_json(self, host: ToolHost, good_call: GoodCall) -> None:
        async with host:
            result = await host.call(*good_call)
        assert not result.is_error
        canonical_json(result.content)

    async def test_it_can_be_entered_again(self, host: ToolHost, good_call: GoodCall) -> None:
        results: list[Any] = []
        for _ in range(2):
            async with host:
                results.append(await host.call(*good_call))
        assert results[0] == results[1]

    async def test_calls_at_once(self, host: ToolHost, good_call: GoodCall) -> None:
        async with host:
            results = await asyncio.gather(*(host.call(*good_call) for _ in range(5)))
        assert not any(result.is_error for result in results)

    async def test_calls_from_another_task_and_a_cancelled_one(
        self, host: ToolHost, good_call: GoodCall
    ) -> None:
        async with host:
            first = asyncio.create_task(host.call(*good_call))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            assert not (await host.call(*good_call)).is_error

    async def test_an_unknown_tool_is_no_result(self, host: ToolHost) -> None:
        async with host:
            try:
                result = await host.call("no_such_tool_here", {})
            except HostError:
                return
            assert result.is_error

    async def test_an_episode_in_the_loop(self, host: ToolHost, good_call: GoodCall) -> None:
        task = RolloutTask("t", (Message(role="user", content="Do it."),))
        model = ScriptedModel([calling(good_call, good_call), "done"])
        played = await rollout(task, model, host, RolloutLimits())
        assert played.stop is StopReason.answered, played.error
        assert [call.status for call in played.calls] == [CallStatus.ok] * 2
