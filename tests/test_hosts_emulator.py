"""The emulator: schema, consistency, failures, order, and what the teacher gets to see."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from astra.errors import HostError, TeacherError
from astra.hosts.consistency import contradictions
from astra.hosts.emulator import EmulatedTool, EmulatorHost
from astra.hosts.recorded import RecordingHost
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import ToolResult
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.teacher.prompts.emulation import EMULATE_CALL, EmulateCallIn, EmulateCallOut
from astra.teacher.render import PromptTemplates
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.types import Message, RecordedCall
from tests.support.fakes import document

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
ORDER = {
    "type": "object",
    "properties": {
        "order_id": TEXT,
        "customer_id": TEXT,
        "status": {"enum": ["open", "paid", "sent", "cancelled"]},
        "total": {"type": "number", "minimum": 1},
        "quantity": {"type": "integer", "minimum": 1, "maximum": 9},
        "placed": {"type": "string", "format": "date"},
    },
    "required": ["order_id", "status", "total"],
    "additionalProperties": False,
}
SHOP = [
    EmulatedTool(document("get_order", {"order_id": TEXT}), ORDER, service="shop"),
    EmulatedTool(
        document("list_orders", {"customer_id": TEXT}),
        {
            "type": "object",
            "properties": {"orders": {"type": "array", "items": ORDER}, "count": WHOLE},
            "required": ["orders"],
        },
        service="shop",
    ),
    EmulatedTool(
        document("create_order", {"customer_id": TEXT, "quantity": WHOLE}), ORDER, service="shop"
    ),
    EmulatedTool(document("cancel_order", {"order_id": TEXT}), ORDER, service="shop"),
    EmulatedTool(document("get_customer", {"id": TEXT}), service="shop"),
]


class Answering:
    """A teacher whose answers are a function of what it is asked; keeps what that was."""

    name = "answering"

    def __init__(self, answer: Callable[[EmulateCallIn, int], Any]) -> None:
        self._answer = answer
        self.asked: list[EmulateCallIn] = []

    async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
        self.asked.append(task)
        await asyncio.sleep(random.Random(len(self.asked)).random() / 1000)
        answer = self._answer(task, index)
        if isinstance(answer, Exception):
            raise answer
        return (
            answer
            if isinstance(answer, EmulateCallOut)
            else EmulateCallOut(is_error=False, result=answer)
        )


def shop(teacher: Any = None, **options: Any) -> EmulatorHost:
    options = {"session": "s", "failure_rate": 0.0} | options
    return EmulatorHost(SHOP, teacher or TrajectoryRules(), **options)


async def session(number: int, teacher: Any) -> tuple[RecordedCall, ...]:
    """Calls as an agent makes them, led by what came back; alone and several at once."""
    rng = random.Random(number)
    host = RecordingHost(shop(teacher, session=f"s{number}", failure_rate=0.2, seed=7))
    orders, customers = ["ord-1"], ["cust-1", "cust-2"]
    async with host:
        for _ in range(4):
            calls: list[tuple[str, dict[str, Any]]] = []
            for _ in range(rng.randint(1, 3)):
                tool = rng.choice(SHOP).document.name
                one, of = rng.choice(orders), rng.choice(customers)
                calls.append(
                    {
                        "list_orders": (tool, {"customer_id": of}),
                        "create_order": (tool, {"customer_id": of, "quantity": rng.randint(1, 9)}),
                        "get_customer": (tool, {"id": of}),
                    }.get(tool, (tool, {"order_id": one}))
                )
            results = await asyncio.gather(*(host.call(*call) for call in calls))
            for result in results:
                if not result.is_error:
                    found = [result.content, *result.content.get("orders", [])]
                    orders += [each["order_id"] for each in found if "order_id" in each]
                    customers += [each["customer_id"] for each in found if "customer_id" in each]
    return host.recording


async def test_five_hundred_sessions_fail_as_often_as_they_should_and_never_contradict_themselves():
    rules = TrajectoryRules()
    sessions = [await session(number, rules) for number in range(500)]
    calls = [call for each in sessions for call in each]
    assert len(calls) > 3000
    assert abs(sum(call.is_error for call in calls) / len(calls) - 0.20) < 0.03
    assert [found for each in sessions for found in contradictions(each)] == []
    codes = {call.content["error"]["code"] for call in calls if call.is_error}
    assert codes == {"timeout", "unreachable", "rate_limited", "server_error"}
    # The same checker on the same sessions, once something is otherwise.
    seen = 0
    for calls in sessions:
        good = [call for call in calls if not call.is_error and "total" in call.content]
        if good:
            wrong = {**good[0].content, "total": good[0].content["total"] + 1}
            asked = {"order_id": wrong["order_id"]}
            planted = RecordedCall(tool="get_order", arguments=asked, content=wrong)
            changed = any(call.tool == "cancel_order" and call.arguments == asked for call in calls)
            if not changed:
                seen += 1
                assert contradictions([*calls, planted])
    assert seen > 200


async def test_the_same_session_is_the_same_and_another_is_not():
    rules = TrajectoryRules()
    assert await session(1, rules) == await session(1, rules)
    failed = [[call.is_error for call in await session(n, rules)] for n in range(5)]
    assert len({tuple(each) for each in failed}) > 1


async def test_failures_pass():
    host = shop(failure_rate=0.5, seed=1)
    async with host:
        results = [await host.call("get_order", {"order_id": "o1"}) for _ in range(40)]
    good = [result.content for result in results if not result.is_error]
    assert 10 < len(good) < 30
    assert all(result == good[0] for result in good)


async def test_a_failure_changes_nothing_and_asks_nobody():
    teacher = Answering(lambda given, index: {"order_id": "o1", "status": "open", "total": 1})
    async with shop(teacher, failure_rate=1.0) as host:
        assert (await host.call("cancel_order", {"order_id": "o1"})).is_error
    assert teacher.asked == []


async def test_siblings_are_answered_in_their_order_and_seen():
    def answer(given: EmulateCallIn, index: int) -> Any:
        return {"order_id": given.arguments["order_id"], "status": "open", "total": 1}

    teacher = Answering(answer)
    async with shop(teacher) as host:
        await asyncio.gather(*(host.call("get_order", {"order_id": f"o{i}"}) for i in range(4)))
        await host.call("cancel_order", {"order_id": "o0"})
    waiting = [[call.arguments["order_id"] for call in each.at_once] for each in teacher.asked]
    assert waiting == [["o1", "o2", "o3"], ["o2", "o3"], ["o3"], [], []]
    history = [[call.arguments["order_id"] for call in each.history] for each in teacher.asked]
    assert history[-1] == ["o0", "o1", "o2", "o3"]
    assert teacher.asked[-1].facts["order 'o2'"] == {"order_id": "o2", "status": "open", "total": 1}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"order_id": "o1", "status": "lost", "total": 1}, "status"),
        ({"order_id": "o1", "status": "open"}, "total"),
        ({"order_id": "o2", "status": "open", "total": 1}, "the call asks for"),
        ({"order_id": "o1", "status": "open", "total": 2}, "call 1 said"),
        (EmulateCallOut(is_error=True, result="no"), "error reads"),
    ],
)
async def test_a_wrong_result_is_asked_for_again_with_what_is_wrong(wrong: Any, told: str):
    right = {"order_id": "o1", "status": "open", "total": 1}

    def answer(given: EmulateCallIn, index: int) -> Any:
        return wrong if given.history and not given.finding else right

    teacher = Answering(answer)
    async with shop(teacher) as host:
        await host.call("get_order", {"order_id": "o1"})
        # A filter that does nothing, so that the call is another one.
        result = await host.call("get_order", {"order_id": "o1", "verbose": True})
    assert result == ToolResult(right)
    assert told in teacher.asked[-1].finding
    assert len(teacher.asked) == 3


async def test_a_result_that_stays_wrong_breaks_the_session():
    teacher = Answering(lambda given, index: {"order_id": "o1"})
    async with shop(teacher) as host:
        with pytest.raises(HostError, match="3 tries"):
            await host.call("get_order", {"order_id": "o1"})
    assert len(teacher.asked) == 3
    broken = Answering(lambda given, index: TeacherError("no answer"))
    async with shop(broken) as host:
        with pytest.raises(HostError, match="no answer"):
            await host.call("get_order", {"order_id": "o1"})


async def test_a_refusal_of_the_service_is_a_result():
    error = {"error": {"code": "not_found", "message": "no such order"}}
    async with shop(Answering(lambda *_: EmulateCallOut(is_error=True, result=error))) as host:
        assert await host.call("get_order", {"order_id": "o1"}) == ToolResult(error, is_error=True)


@pytest.mark.parametrize("schema", [{"type": 7}, {"$ref": "https://example.org/x.json"}])
async def test_a_broken_output_schema_is_ours(schema: Any):
    tool = EmulatedTool(document("get_order"), schema)
    host = EmulatorHost([tool], Answering(lambda *_: {}), session="s", failure_rate=0)
    async with host:
        with pytest.raises(HostError, match="output schema"):
            await host.call("get_order", {})


def test_names_are_unique():
    with pytest.raises(HostError, match="one name"):
        EmulatorHost([SHOP[0], SHOP[0]], TrajectoryRules(), session="s")


async def test_the_service_never_sees_the_conversation():
    right = {"order_id": "o1", "status": "open", "total": 1}
    teacher = Answering(lambda *_: right)
    script = [calling(("get_order", {"order_id": "o1"}), text="SECRET-PLAN"), "SECRET-ANSWER"]
    messages = (
        Message(role="system", content="SECRET-SYSTEM"),
        Message(role="user", content="SECRET-REQUEST"),
    )
    await rollout(RolloutTask("t", messages), ScriptedModel(script), shop(teacher), RolloutLimits())
    (asked,) = teacher.asked
    shown = "".join(m.content for m in PromptTemplates().messages(EMULATE_CALL, asked))
    assert "SECRET" not in shown
    assert '"o1"' in shown
