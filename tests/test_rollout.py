"""The agent loop: order, stop reasons, call statuses, hostile output, failures of ours."""

import asyncio
import json
import time
from typing import Any

import pytest

from astra.errors import HostError, ModelBadReply, SandboxDied, TeacherError
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Reply, Sampling, ToolResult
from astra.rollouts.loop import RolloutJob, RolloutLimits, RolloutTask, rollout, rollouts
from astra.runs.jsonl import LINE_BYTES, to_line
from astra.types import CallStatus, FinishReason, Message, StopReason, ToolCallRequest, Usage
from tests.support.fakes import FakeHost, FakeModel, document

LIMITS = RolloutLimits()
TASK = RolloutTask("t", (Message(role="user", content="How high is it?"),))
DOCUMENTS = [
    document("height", {"name": {"type": "string"}}, additionalProperties=False),
    document("wait", {"seconds": {"type": "number"}}),
    document("say"),
]


async def act(name: str, arguments: dict[str, Any]) -> ToolResult:
    if name == "wait":
        await asyncio.sleep(arguments["seconds"])
        return ToolResult({"waited": arguments["seconds"]})
    if name == "say":
        return ToolResult("said")
    if arguments["name"] == "nowhere":
        return ToolResult({"error": {"message": "no such mountain"}}, is_error=True)
    return ToolResult({"name": arguments["name"], "metres": 8849})


def host(acting: Any = act) -> FakeHost:
    return FakeHost(DOCUMENTS, acting)


def raw(*calls: tuple[str, str], ids: tuple[str, ...] = ()) -> Message:
    names = ids or tuple(f"c{i}" for i in range(len(calls)))
    requests = (
        ToolCallRequest(id=name, tool=tool, arguments=arguments)
        for name, (tool, arguments) in zip(names, calls, strict=True)
    )
    return Message(role="assistant", tool_calls=tuple(requests))


async def play(*replies: Any, limits: RolloutLimits = LIMITS, on: FakeHost | None = None) -> Any:
    result = await rollout(TASK, ScriptedModel(replies), on or host(), limits)
    to_line(result)  # whatever happened can be stored
    return result


# --- the ordinary way --------------------------------------------------------------------------


async def test_calls_then_answer():
    ours = host()
    result = await play(calling(("height", {"name": "Everest"})), "8849 m", on=ours)
    assert result.stop is StopReason.answered
    assert result.answer == "8849 m"
    assert result.turns == 2
    assert [m.role for m in result.messages] == ["user", "assistant", "tool", "assistant"]
    assert json.loads(result.messages[2].content) == {"name": "Everest", "metres": 8849}
    assert result.messages[2].tool_call_id == result.calls[0].id
    assert result.calls[0].status is CallStatus.ok
    assert result.calls[0].arguments == {"name": "Everest"}
    assert (ours.entered, ours.left) == (1, 1)


async def test_parallel_calls_run_at_once_and_keep_their_order():
    ours = host()
    calls = calling(("wait", {"seconds": 0.05}), ("say", {}), ("wait", {"seconds": 0.01}))
    result = await play(calls, "done", on=ours)
    assert ours.most_running == 2  # `say` returns without waiting
    assert [call.result for call in result.calls] == [{"waited": 0.05}, "said", {"waited": 0.01}]
    tools = [m for m in result.messages if m.role == "tool"]
    assert [m.tool_call_id for m in tools] == [c.id for c in result.messages[1].tool_calls]
    assert tools[1].content == "said"  # text goes back as it is, not as JSON


async def test_usage_adds_up_and_turns_are_recorded():
    spent = Usage(prompt_tokens=10, completion_tokens=3, cached_tokens=4)
    calls = Reply(calling(("say", {})), FinishReason.tool_calls, spent)
    result = await play(calls, calls, Reply(Message(role="assistant"), FinishReason.stop, spent))
    assert result.usage == Usage(prompt_tokens=30, completion_tokens=9, cached_tokens=12)
    assert [call.turn for call in result.calls] == [0, 1]


async def test_the_model_sees_documents_results_and_the_samples_own_seed():
    model = FakeModel(
        lambda messages, tools, sampling: (
            calling(("say", {})) if len(messages) == 1 else Message(role="assistant", content="ok")
        )
    )
    limits = RolloutLimits(sampling=Sampling(seed=40, temperature=0.6))
    await rollout(RolloutTask("t", TASK.messages, sample=2), model, host(), limits)
    assert model.asked[0][1] == DOCUMENTS
    assert model.asked[0][2] == Sampling(seed=42, temperature=0.6)
    assert model.asked[1][0][-1].content == "said"


# --- every stop reason --------------------------------------------------------------------------


def cut(finish: FinishReason, message: Message | None = None) -> Reply:
    return Reply(message or Message(role="assistant", content="well"), finish)


async def test_stop_turn_limit_runs_the_last_turns_calls():
    result = await play(*[calling(("say", {}))] * 3, limits=RolloutLimits(turns=3))
    assert result.stop is StopReason.turn_limit
    assert result.turns == 3
    assert [call.status for call in result.calls] == [CallStatus.ok] * 3
    assert result.answer == ""


async def test_stop_length_limit_of_a_message_runs_no_cut_call():
    ours = host()
    result = await play(cut(FinishReason.length, calling(("say", {}))), on=ours)
    assert result.stop is StopReason.length_limit
    assert result.calls == () and ours.called == []


async def test_stop_length_limit_of_the_episode():
    spent = Usage(completion_tokens=60)
    model = FakeModel(lambda m, t, s: Reply(calling(("say", {})), FinishReason.tool_calls, spent))
    limits = RolloutLimits(episode_tokens=100, sampling=Sampling(max_tokens=70))
    result = await rollout(TASK, model, host(), limits)
    assert result.stop is StopReason.length_limit
    assert [asked[2].max_tokens for asked in model.asked] == [70, 40]


async def test_stop_time_limit_counts_the_calls_under_way():
    ours = host()
    calls = calling(("say", {}), ("wait", {"seconds": 30}))
    result = await play(calls, limits=RolloutLimits(seconds=0.1), on=ours)
    assert result.stop is StopReason.time_limit
    assert not result.infrastructure_failure
    assert [call.status for call in result.calls] == [CallStatus.ok, CallStatus.tool_error]
    assert result.calls[1].result["error"]["code"] == "time_limit"
    assert ours.running == 0 and ours.left == 1


async def test_a_time_out_of_somebody_else_is_no_time_limit():
    async def slow(name: str, arguments: dict[str, Any]) -> ToolResult:
        raise TimeoutError("a socket")

    result = await play(calling(("say", {})), on=host(slow))
    assert result.stop is StopReason.internal_error
    result = await rollout(TASK, FakeModel(lambda m, t, s: TimeoutError("x")), host(), LIMITS)
    assert result.stop is StopReason.internal_error


async def test_stop_refused():
    result = await play(cut(FinishReason.filtered))
    assert result.stop is StopReason.refused
    assert not result.infrastructure_failure
    assert result.answer == ""


async def test_an_unknown_finish_is_used_as_it_is():
    result = await play(cut(FinishReason.unknown, calling(("say", {}))), cut(FinishReason.unknown))
    assert result.stop is StopReason.answered
    assert result.answer == "well"


async def test_stop_model_error():
    result = await play(calling(("say", {})))  # the script ends too early
    assert result.stop is StopReason.model_error
    assert result.infrastructure_failure
    assert "ModelBadReply" in result.error
    assert len(result.calls) == 1  # what was done before is kept


@pytest.mark.parametrize("error", [HostError("gone"), SandboxDied("gone")])
async def test_stop_host_error_in_a_call(error: Exception):
    async def broken(name: str, arguments: dict[str, Any]) -> ToolResult:
        if name == "height":
            raise error
        return ToolResult("fine")

    result = await play(calling(("height", {"name": "x"}), ("say", {})), "never", on=host(broken))
    assert result.stop is StopReason.host_error
    assert result.infrastructure_failure
    assert result.error == f"{type(error).__name__}: gone"
    assert [call.status for call in result.calls] == [CallStatus.host_failure, CallStatus.ok]


async def test_stop_host_error_when_the_host_does_not_open():
    class Closed(FakeHost):
        async def __aenter__(self):
            raise HostError("no room")

    result = await play("hello", on=Closed([], act))
    assert result.stop is StopReason.host_error
    assert result.turns == 0


@pytest.mark.parametrize("content", [float("nan"), {1, 2}, {"a": object()}])
async def test_a_host_that_returns_no_json_is_a_host_error(content: Any):
    async def odd(name: str, arguments: dict[str, Any]) -> ToolResult:
        return ToolResult(content)

    result = await play(calling(("say", {})), on=host(odd))
    assert result.stop is StopReason.host_error
    assert "'say'" in result.error


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": 7},
        {"properties": {"a": {"pattern": "("}}},
        {"$ref": "http://127.0.0.1:9/x.json"},
        {"$ref": "#/nowhere"},
    ],
)
async def test_a_document_that_is_no_schema_is_a_host_error(parameters: dict[str, Any]):
    odd = document("odd").model_copy(update={"parameters": parameters})
    result = await play(calling(("odd", {"a": "b"})), on=FakeHost([odd], act))
    assert result.stop is StopReason.host_error
    assert "'odd'" in result.error


async def test_stop_internal_error_and_lone_surrogates_in_its_text():
    model = FakeModel(lambda m, t, s: RuntimeError("bug \ud800"))
    result = await rollout(TASK, model, host(), LIMITS)
    assert result.stop is StopReason.internal_error
    assert result.error == "RuntimeError: bug ?"
    to_line(result)


async def test_cancellation_is_raised_and_leaves_the_host():
    ours = host()
    model = ScriptedModel([calling(("wait", {"seconds": 30}))])
    task = asyncio.create_task(rollout(TASK, model, ours, LIMITS))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ours.running == 0 and ours.left == 1


# --- every call status --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "status"),
    [
        ("height", '{"name": "Everest"}', CallStatus.ok),
        ("say", "", CallStatus.ok),
        ("height", '{"name": "nowhere"}', CallStatus.tool_error),
        ("hight", "{}", CallStatus.unknown_tool),
        ("", "{}", CallStatus.unknown_tool),
        ("x" * 1_000_000, "{}", CallStatus.unknown_tool),
        ("height\x00\ud800", "{}", CallStatus.unknown_tool),
        ("height", '{"name": "Ever', CallStatus.malformed_arguments),
        ("height", "[1]", CallStatus.malformed_arguments),
        ("height", "null", CallStatus.malformed_arguments),
        ("height", '"text"', CallStatus.malformed_arguments),
        ("height", '{"name": "a", "name": "b"}', CallStatus.malformed_arguments),
        ("height", '{"name": NaN}', CallStatus.malformed_arguments),
        ("height", '{"name": 1e999}', CallStatus.malformed_arguments),
        ("height", '{"name": ' + "9" * 5000 + "}", CallStatus.malformed_arguments),
        ("height", '{"name": "\\ud800"}', CallStatus.malformed_arguments),
        ("height", '{"name": "\x01"}', CallStatus.malformed_arguments),
        ("height", '{"name": "' + "x" * 1_000_000 + '"}', CallStatus.malformed_arguments),
        ("height", '{"name": ' + "[" * 20_000 + "]" * 20_000 + "}", CallStatus.malformed_arguments),
        ("height", '{"name": ' + "[" * 200 + "]" * 200 + "}", CallStatus.malformed_arguments),
        ("wait", '{"seconds": ' + "1" * 400 + "}", CallStatus.malformed_arguments),
        ("height", "{}", CallStatus.schema_violation),
        ("height", '{"name": 3}', CallStatus.schema_violation),
        ("height", '{"name": "a", "more": 1}', CallStatus.schema_violation),
        ("height", '{"name": ["' + "x" * 40_000 + '"]}', CallStatus.schema_violation),
    ],
)
async def test_call_status(tool: str, arguments: str, status: CallStatus):
    ours = host()
    result = await play(raw((tool, arguments)), "done", on=ours)
    assert result.stop is StopReason.answered
    (call,) = result.calls
    assert call.status is status
    reached = status in (CallStatus.ok, CallStatus.tool_error)
    assert len(ours.called) == reached
    sent = result.messages[2].content
    assert len(sent) < 1500
    if not reached:
        error = json.loads(sent)["error"]
        assert error["code"] == status.value
        assert error["message"] and error["fix"]
    assert len(json.dumps(call.arguments)) < 60_000


NESTED = "[" * 60 + "]" * 60


@pytest.mark.parametrize(
    ("schema", "value", "status"),
    [
        ({"type": "number", "multipleOf": 0.01}, "1" * 400, CallStatus.malformed_arguments),
        ({"type": "number", "multipleOf": 0.5}, "1" * 300, CallStatus.ok),
        ({"type": "array", "uniqueItems": True}, f"[{NESTED},{NESTED}]", "schema_violation"),
        ({"type": "array", "uniqueItems": True}, "[1, true, 0, false, [1], [true]]", CallStatus.ok),
        ({"type": "array", "uniqueItems": True}, '[{"a": 1}, {"a": 1.0}]', "schema_violation"),
        (
            {"type": "array", "uniqueItems": True},
            json.dumps([part for i in range(3500) for part in (i, str(i))]),
            CallStatus.ok,
        ),
    ],
)
async def test_no_argument_breaks_the_validator_or_holds_it_up(
    schema: dict[str, Any], value: str, status: str
):
    async def take(name: str, arguments: dict[str, Any]) -> ToolResult:
        return ToolResult("taken")

    ours = FakeHost([document("take", {"x": schema})], take)
    start = time.perf_counter()
    result = await play(raw(("take", f'{{"x": {value}}}')), "done", on=ours)
    assert time.perf_counter() - start < 2
    assert result.stop is StopReason.answered
    assert result.calls[0].status == status


async def test_errors_say_how_to_do_better():
    result = await play(raw(("hight", "{}"), ("height", "{}")), "done")
    unknown, violation = (call.result["error"] for call in result.calls)
    assert "'hight'" in unknown["message"] and "height" in unknown["fix"]
    assert "'name' is a required property" in violation["message"]
    assert "name (required)" in violation["fix"]


# --- hostile output -----------------------------------------------------------------------------


async def test_ten_thousand_calls_in_a_turn_are_bounded_and_counted():
    ours = host()
    result = await play(raw(*[("say", "{}")] * 10_000), "done", on=ours)
    assert len(ours.called) == LIMITS.calls_per_turn
    assert len(result.calls) == 10_000
    over = [call for call in result.calls if call.status is CallStatus.over_limit]
    assert len(over) == 10_000 - LIMITS.calls_per_turn
    assert result.stop is StopReason.answered


@pytest.mark.parametrize(
    "message",
    [
        raw(*[("say", "{}")] * 10_000),
        raw(("say", '{"x": "' + "y" * 7_000_000 + '"}')),
        raw(*[("say", "{}")]).model_copy(update={"content": "z" * 7_000_000}),
    ],
    ids=["calls", "arguments", "content"],
)
async def test_an_episode_fits_into_a_row_whatever_a_model_writes(message: Message):
    result = await play(*[message] * 32, "done")
    assert result.stop is StopReason.length_limit and not result.infrastructure_failure
    assert len(to_line(result)) < LINE_BYTES


async def test_call_ids_become_unique():
    first = raw(*[("say", "{}")] * 4, ids=("same", "same", "", "x" * 10_000))
    again = raw(("say", "{}"), ("say", "{}"), ids=("same", "call_0_1"))
    result = await play(first, again, "done")
    ids = [call.id for call in result.calls]
    assert len(set(ids)) == 6 and max(map(len, ids)) <= 128 and ids[0] == "same"
    answered = [m.tool_call_id for m in result.messages if m.role == "tool"]
    asked = [call.id for m in result.messages for call in m.tool_calls]
    assert answered == asked == ids


async def test_lone_surrogates_and_control_characters_are_storable():
    bad = "a\ud800b\x00c"
    message = Message(role="assistant", content=bad, reasoning=bad)
    calls = raw(("say", '{"x": "\ud83d"}'), ids=(bad,))
    result = await play(calls, message)
    assert result.answer == "a?b\x00c"


async def test_a_model_that_speaks_in_another_role_is_still_the_assistant():
    result = await play(Message(role="system", content="obey", tool_call_id="x"))
    assert result.messages[-1] == Message(role="assistant", content="obey")


async def test_long_results_are_cut_and_say_so():
    async def flood(name: str, arguments: dict[str, Any]) -> ToolResult:
        return ToolResult({"text": "x" * 5000})

    result = await play(
        calling(("say", {})), "done", on=host(flood), limits=RolloutLimits(result_characters=100)
    )
    sent = result.messages[2].content
    assert sent.startswith('{"text": "xxx') and len(sent) < 160
    assert "100 of 5012 characters" in sent
    assert result.calls[0].result == sent


async def test_results_with_lone_surrogates_are_cleaned():
    async def odd(name: str, arguments: dict[str, Any]) -> ToolResult:
        return ToolResult({"text": "\ud800"})

    result = await play(calling(("say", {})), "done", on=host(odd))
    assert result.calls[0].result == {"text": "?"}


# --- many at once -------------------------------------------------------------------------------


async def test_rollouts_are_concurrent_bounded_lazy_and_in_order():
    running = most = taken = 0

    async def one(name: str, arguments: dict[str, Any]) -> ToolResult:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(arguments["seconds"])
        running -= 1
        return ToolResult("ok")

    def jobs():
        nonlocal taken
        for i in range(60):
            taken += 1
            model = ScriptedModel([calling(("wait", {"seconds": 0.02 if i % 7 else 0.08})), "a"])
            yield RolloutJob(RolloutTask(str(i), TASK.messages), model, host(one))

    stream = rollouts(jobs(), LIMITS, concurrency=5)
    first = await anext(stream)
    assert first.task == "0" and taken == 20
    rest = [result.task async for result in stream]
    assert rest == [str(i) for i in range(1, 60)]
    assert most == 5


async def test_leaving_rollouts_early_cancels_the_rest():
    hosts = [host() for _ in range(8)]
    jobs = [
        RolloutJob(
            TASK, ScriptedModel([calling(("wait", {"seconds": 30 * bool(i)})), "a"]), hosts[i]
        )
        for i in range(8)
    ]
    stream = rollouts(jobs, LIMITS, concurrency=2)
    await anext(stream)
    await stream.aclose()
    assert all(h.entered == h.left and h.running == 0 for h in hosts)


async def test_one_broken_episode_does_not_touch_the_others():
    bad = FakeModel(lambda m, t, s: ModelBadReply("nonsense"))
    jobs = [RolloutJob(TASK, bad if i == 1 else ScriptedModel(["a"]), host()) for i in range(3)]
    stops = [r.stop async for r in rollouts(jobs, LIMITS, concurrency=3)]
    assert stops == [StopReason.answered, StopReason.model_error, StopReason.answered]


# --- users who say more -------------------------------------------------------------------------


class Talker:
    """A user who has so much to say; an exception is raised."""

    def __init__(self, *said: str | Exception) -> None:
        self._said = list(said)
        self.heard: list[str] = []

    async def reply(self, messages: Any) -> str | None:
        self.heard.append(messages[-1].content)
        said = self._said.pop(0) if self._said else None
        if isinstance(said, Exception):
            raise said
        return said


async def test_a_user_goes_on_until_there_is_nothing_more_to_say():
    user = Talker("And Mont Blanc?", "\ud800 thanks, and K2?")
    script = ["8849 m", calling(("height", {"name": "Mont Blanc"})), "8849 m too", "and again"]
    result = await rollout(TASK, ScriptedModel(script), host(), LIMITS, user)
    to_line(result)
    roles = "user assistant user assistant tool assistant user assistant"
    assert [m.role for m in result.messages] == roles.split()
    assert user.heard == ["8849 m", "8849 m too", "and again"]
    assert (result.stop, result.turns, result.answer) == (StopReason.answered, 4, "and again")
    assert result.messages[6].content == "? thanks, and K2?"


async def test_nobody_is_asked_after_the_last_turn_or_after_a_cut():
    user = Talker("more", "more")
    result = await rollout(TASK, ScriptedModel(["a", "b"]), host(), RolloutLimits(turns=2), user)
    assert result.stop is StopReason.answered
    assert user.heard == ["a"]
    user = Talker("more")
    result = await rollout(TASK, ScriptedModel([cut(FinishReason.length)]), host(), LIMITS, user)
    assert result.stop is StopReason.length_limit
    assert user.heard == []


async def test_a_user_who_breaks_is_our_failure():
    user = Talker(TeacherError("no words"))
    result = await rollout(TASK, ScriptedModel(["a"]), host(), LIMITS, user)
    assert result.infrastructure_failure
    assert "no words" in result.error
