"""The OpenAI-compatible client against a real server on the loopback, faults included."""

import asyncio
import json
import logging
import time
from typing import Any

import pytest

from astra.errors import ConfigError, ModelBadReply, ModelUnavailable
from astra.models.openai import OpenAIModel, Retries
from astra.models.wire import as_reply, as_request
from astra.protocols import Reply, Sampling
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.runs.jsonl import to_line
from astra.types import CallStatus, FinishReason, Message, StopReason, ToolCallRequest, Usage
from tests.support.fakes import FakeHost, document
from tests.support.model_server import ModelServer, ModelServerFault, ServerAnswer, completion

KEY = "sk-very-secret-0123456789"
FAST = Retries(attempts=3, first_wait=0.01, longest_wait=1.0)
ASK = [Message(role="user", content="Hello")]
HELLO = Message(role="assistant", content="Hi")


async def ask(server: ModelServer, messages: Any = ASK, tools: Any = (), **options: Any) -> Reply:
    options = {"retries": FAST, "timeout": 10.0} | options
    async with OpenAIModel("small", server.url, KEY, **options) as model:
        return await model.generate(messages, tools, Sampling())


# --- the ordinary way ---------------------------------------------------------------------------


async def test_request_and_reply():
    calls = Message(
        role="assistant",
        content="Looking.",
        reasoning="I must look.",
        tool_calls=(ToolCallRequest(id="a", tool="height", arguments='{"name": "Everest"}'),),
    )
    usage = Usage(prompt_tokens=100, completion_tokens=7, cached_tokens=64)
    tool = document("height", {"name": {"type": "string"}})
    with ModelServer([completion(calls, usage=usage)]) as server:
        async with OpenAIModel("small", server.url, KEY, extra={"top_k": 20}) as model:
            sampling = Sampling(temperature=0.6, max_tokens=50, seed=1)
            reply = await model.generate(ASK, [tool], sampling)
    assert reply == Reply(calls, FinishReason.tool_calls, usage)
    (seen,) = server.seen
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.body == {
        "model": "small",
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": [{"type": "function", "function": tool.model_dump()}],
        "temperature": 0.6,
        "max_tokens": 50,
        "seed": 1,
        "top_k": 20,
    }


async def test_reasoning_is_never_sent_back():
    said = HELLO.model_copy(update={"reasoning": "secret thought"})
    assert "thought" not in json.dumps(as_request("m", [*ASK, said], (), Sampling()))


async def test_what_the_environment_says_of_another_account_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-other")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-other")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with ModelServer([HELLO]) as server:
        async with OpenAIModel("small", server.url) as model:
            await model.generate(ASK, (), Sampling())
    assert "other" not in json.dumps(dict(server.seen[0].headers))


async def test_requests_run_at_once():
    with ModelServer([HELLO]) as server:
        async with OpenAIModel("small", server.url) as model:
            replies = await asyncio.gather(
                *(model.generate(ASK, (), Sampling()) for _ in range(20))
            )
    assert len(replies) == len(server.seen) == 20


# --- faults that pass ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        ModelServerFault("rate_limited", seconds=0.05),
        ModelServerFault("status", status=500),
        ModelServerFault("status", status=503),
        ModelServerFault("status", status=408),
        ModelServerFault("reset"),
        ModelServerFault("silent"),
        ModelServerFault("trickle"),
        ModelServerFault("truncated"),
        ModelServerFault("not_json"),
        ModelServerFault("html"),
        ModelServerFault("no_choices"),
        ModelServerFault("huge"),
        {"error": {"message": "overloaded"}},
        [],
        completion(HELLO) | {"choices": [{"message": "text"}]},
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_recovers_or_gives_up_in_bounded_time(fault: ServerAnswer):
    hangs = isinstance(fault, ModelServerFault) and fault.kind in ("silent", "trickle")
    timeout = 0.5 if hangs else 10.0
    with ModelServer([fault, fault, HELLO]) as server:
        assert (await ask(server, timeout=timeout)).message == HELLO
        assert len(server.seen) == 3
    start = time.perf_counter()
    with ModelServer([fault]) as server:
        with pytest.raises((ModelUnavailable, ModelBadReply)) as caught:
            await ask(server, timeout=timeout)
        assert len(server.seen) == 3
    assert time.perf_counter() - start < 5
    assert "'small'" in str(caught.value) and server.url in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (ModelServerFault("rate_limited", seconds=0.01), ModelUnavailable, "429"),
        (ModelServerFault("status", status=500), ModelUnavailable, "500: injected"),
        (ModelServerFault("reset"), ModelUnavailable, "connection failed"),
        (ModelServerFault("silent"), ModelUnavailable, "0.5 s"),
        (ModelServerFault("trickle"), ModelUnavailable, "0.5 s"),
        (ModelServerFault("truncated"), ModelUnavailable, "connection failed"),
        (ModelServerFault("not_json"), ModelBadReply, "it begins"),
        (ModelServerFault("html"), ModelBadReply, "502 Bad Gateway"),
        (ModelServerFault("no_choices"), ModelBadReply, "no choices"),
        (ModelServerFault("huge"), ModelBadReply, "max_tokens"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_what_is_raised_says_what_was_wrong(
    fault: ModelServerFault, error: type[Exception], says: str
):
    timeout = 0.5 if fault.kind in ("silent", "trickle") else 10.0
    with ModelServer([fault]) as server, pytest.raises(error, match=says):
        await ask(server, retries=Retries(attempts=1), timeout=timeout)


async def test_retry_after_is_honoured():
    with ModelServer([ModelServerFault("rate_limited", seconds=0.4), HELLO]) as server:
        start = time.perf_counter()
        await ask(server)
        assert time.perf_counter() - start >= 0.4


async def test_an_endpoint_that_wants_a_long_pause_counts_as_down():
    with ModelServer([ModelServerFault("rate_limited", seconds=3600)]) as server:
        start = time.perf_counter()
        with pytest.raises(ModelUnavailable, match="429"):
            await ask(server)
        assert time.perf_counter() - start < 1
        assert len(server.seen) == 1


async def test_nobody_there():
    with ModelServer([HELLO]) as server:
        url = server.url
    async with OpenAIModel("small", url, KEY, retries=FAST) as model:
        with pytest.raises(ModelUnavailable, match="connection failed"):
            await model.generate(ASK, (), Sampling())


# --- faults that do not pass --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (400, None, "sampling options"),
        (401, None, "API key"),
        (403, None, "API key"),
        (404, None, "model's name"),
        (422, None, "rejects the request"),
        (429, "insufficient_quota", "credit"),
    ],
)
async def test_a_refused_request_is_not_repeated(status: int, code: str | None, says: str):
    with ModelServer([ModelServerFault("status", status=status, code=code)]) as server:
        with pytest.raises(ModelUnavailable, match=says) as caught:
            await ask(server)
        assert len(server.seen) == 1
    assert f"status {status}: injected" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "maximum context length is 4096 tokens",
        "the request exceeds the available context size (4096 tokens), try increasing it",
        "prompt is too long: 4200 tokens > 4096 maximum",
        "The input token count (4200) exceeds the maximum number of tokens allowed (4096).",
    ],
)
async def test_a_conversation_that_outgrew_the_context_is_cut_by_length(text: str):
    fault = ModelServerFault("status", status=400, text=text)
    with ModelServer([fault]) as server:
        reply = await ask(server, [*ASK, HELLO, *ASK])
        assert reply.finish is FinishReason.length
        with pytest.raises(ModelUnavailable, match="4096"):
            await ask(server)  # what we ask at first must fit: that is ours


# --- what is in a reply -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", FinishReason.stop),
        ("length", FinishReason.length),
        ("content_filter", FinishReason.filtered),
        ("function_call", FinishReason.tool_calls),
        ("banana", FinishReason.unknown),
        (None, FinishReason.unknown),
        (["stop"], FinishReason.unknown),
    ],
)
def test_finish_reasons(reason: Any, finish: FinishReason):
    answer = completion(HELLO)
    answer["choices"][0]["finish_reason"] = reason
    assert as_reply(answer).finish is finish


def test_a_refusal_is_filtered():
    answer = completion(Message(role="assistant"))
    answer["choices"][0]["message"]["refusal"] = "I can't"
    assert as_reply(answer).finish is FinishReason.filtered
    assert as_reply(answer).message.content == "I can't"


def test_other_spellings_are_understood():
    answer = completion(HELLO)
    message = answer["choices"][0]["message"]
    message["content"] = [{"type": "text", "text": "a"}, {"type": "text", "text": "b\ud800"}]
    message["reasoning"] = "hm"
    message["tool_calls"] = [{"function": {"name": "t", "arguments": {"x": 1}}}]
    del answer["usage"]
    reply = as_reply(answer)
    assert reply.message.content == "ab?" and reply.message.reasoning == "hm"
    assert reply.message.tool_calls == (
        ToolCallRequest(id="call_0", tool="t", arguments='{"x": 1}'),
    )
    assert reply.usage == Usage()


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": -1, "completion_tokens": "7", "prompt_tokens_details": 3}, [], "x"]
)
def test_odd_usage_counts_nothing(usage: Any):
    assert as_reply(completion(HELLO) | {"usage": usage}).usage == Usage()


@pytest.mark.parametrize("calls", [7, [7], [{}], [{"function": 1}], [{"function": {"name": 1}}]])
def test_tool_calls_that_are_none_are_refused(calls: Any):
    answer = completion(HELLO)
    answer["choices"][0]["message"]["tool_calls"] = calls
    with pytest.raises(ValueError):
        as_reply(answer)


def test_broken_calls_go_back_in_a_form_that_endpoints_accept():
    calls = (
        ToolCallRequest(id="a", tool="", arguments='{"x": '),
        ToolCallRequest(id="b", tool="bad name\n" + "x" * 100, arguments="[1]"),
        ToolCallRequest(id="c", tool="good", arguments='{"x": NaN}'),
        ToolCallRequest(id="d", tool="good", arguments=""),
        ToolCallRequest(id="e", tool="good", arguments='{"x": 1}'),
    )
    body = as_request("m", [Message(role="assistant", tool_calls=calls)], (), Sampling())
    sent = [call["function"] for call in body["messages"][0]["tool_calls"]]
    assert [len(call["name"]) for call in sent] == [1, 64, 4, 4, 4]
    loaded = [json.loads(call["arguments"]) for call in sent]
    assert loaded[0] == {"malformed": '{"x": '} and loaded[1] == {"malformed": "[1]"}
    assert loaded[3:] == [{}, {"x": 1}]


# --- with the loop ------------------------------------------------------------------------------


async def test_malformed_arguments_reach_the_model_as_an_error_it_can_mend():
    def call(arguments: str) -> Message:
        request = ToolCallRequest(id="a", tool="height", arguments=arguments)
        return Message(role="assistant", tool_calls=(request,))

    async def act(name: str, arguments: dict[str, Any]) -> Any:
        raise AssertionError("never reached")

    tool = document("height", {"name": {"type": "string"}})
    with ModelServer([call('{"name": "Eve'), HELLO]) as server:
        async with OpenAIModel("small", server.url, KEY, retries=FAST) as model:
            task = RolloutTask("t", tuple(ASK))
            result = await rollout(task, model, FakeHost([tool], act), RolloutLimits())
    assert result.stop is StopReason.answered
    assert result.calls[0].status is CallStatus.malformed_arguments
    back = server.seen[1].body["messages"][-1]
    assert back["role"] == "tool" and back["tool_call_id"] == "a"
    assert json.loads(back["content"])["error"]["code"] == "malformed_arguments"


async def test_an_endpoint_that_is_down_is_a_failure_of_ours():
    with ModelServer([ModelServerFault("status")]) as server:
        async with OpenAIModel("small", server.url, KEY, retries=FAST) as model:
            task = RolloutTask("t", tuple(ASK))
            result = await rollout(task, model, FakeHost([], lambda n, a: None), RolloutLimits())
    assert result.stop is StopReason.model_error
    assert result.infrastructure_failure and "500" in result.error


# --- the key ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        ModelServerFault("status", status=401, text=f"Incorrect API key provided: {KEY}"),
        ModelServerFault("status", status=500, text=f"Bearer {KEY}"),
        ModelServerFault("rate_limited", seconds=0, text=KEY),
        ModelServerFault("reset"),
        ModelServerFault("html"),
        {"choices": [], "echo": KEY},
        {"choices": KEY},
        {"choices": [KEY]},
    ],
    ids=lambda fault: getattr(fault, "kind", "json"),
)
async def test_the_key_is_never_told(fault: ServerAnswer, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with ModelServer([fault]) as server:
        async with OpenAIModel("small", server.url, KEY, retries=FAST) as model:
            assert KEY not in repr(model)
            task = RolloutTask("t", tuple(ASK))
            result = await rollout(task, model, FakeHost([], lambda n, a: None), RolloutLimits())
    assert server.seen[0].headers["authorization"].endswith(KEY)
    assert result.stop is StopReason.model_error
    assert KEY not in to_line(result).decode()
    assert KEY not in caplog.text


async def test_an_echo_of_the_key_reaches_no_record_whole_or_in_part():
    with ModelServer([Message(role="assistant", content=f"You are Bearer {KEY}.")]) as server:
        assert (await ask(server)).message.content == "You are Bearer ***."
    page = ModelServerFault("status", status=400, text="x" * 490 + KEY)
    with ModelServer([page]) as server, pytest.raises(ModelUnavailable) as caught:
        await ask(server)
    assert KEY[:6] not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host/v1", "", "http:///v1", "http://user:pass@host/v1"]
)
def test_a_base_url_that_is_none(url: str):
    with pytest.raises(ConfigError) as caught:
        OpenAIModel("small", url, KEY)
    assert "pass" not in str(caught.value).replace("password", "")


def test_no_attempts_is_no_option():
    with pytest.raises(ConfigError, match="attempts 0"):
        OpenAIModel("small", "http://host/v1", retries=Retries(attempts=0))
