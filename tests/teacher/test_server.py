"""The teacher server: every rendered prompt is answered; every fault really is on the wire."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest

from astra.errors import ConfigError, ModelUnavailable, TeacherError
from astra.models.openai import OpenAIModel, Retries
from astra.protocols import Sampling
from astra.teacher.model import ModelTeacher, response_format
from astra.teacher.parse import as_record
from astra.teacher.prompts import arenas as prompts
from astra.teacher.render import PromptTemplates
from astra.testing.rule_teacher.arenas import ArenaDefect, RuleTeacher
from astra.testing.rule_teacher.faults import FaultRates
from astra.testing.teacher_faults import FaultPlan, TeacherServerFault
from astra.testing.teacher_server import HUGE, TeacherServer
from astra.types import Json

from .made import catalogue, chain_of, every_input


def rules(faults: FaultRates | None = None) -> RuleTeacher:
    return RuleTeacher(catalogue(), faults)


def body_of(**fields: Any) -> dict[str, Json]:
    given = chain_of()
    messages = PromptTemplates().messages(prompts.DECOMPOSE, given)
    return {
        "model": "rules",
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        "response_format": response_format("schema", prompts.DECOMPOSE),
        **fields,
    }


def post(
    server: TeacherServer, body: Json, timeout: float = 10.0
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def get(server: TeacherServer, path: str) -> Json:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@asynccontextmanager
async def client(
    server: TeacherServer, *, attempts: int = 6, timeout: float = 30.0, form: Any = "schema"
) -> AsyncIterator[ModelTeacher]:
    retries = Retries(attempts, first_wait=0.01, longest_wait=5)
    async with OpenAIModel("rules", server.url, retries=retries, timeout=timeout) as model:
        yield ModelTeacher(model, sampling=Sampling(seed=0), form=form)


# --- answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["schema", "json", "text"])
async def test_every_prompt_comes_through_as_it_would_directly(form: Any) -> None:
    inputs = await every_input()
    assert {prompt.name for prompt, _ in inputs} == {prompt.name for prompt in prompts.ALL}
    with TeacherServer(rules()) as server:
        async with client(server, form=form) as asked:
            for prompt, given in inputs:
                assert await asked.ask(prompt, given) == await rules().ask(prompt, given)
        served = server.served()
    assert served.requests == len(inputs)
    assert (served.faults, served.refused) == ({}, 0)


@pytest.mark.parametrize("reasoning", ["field", "inline"])
async def test_replies_that_reason_are_read(reasoning: Any) -> None:
    with TeacherServer(rules(), reasoning=reasoning) as server:
        async with client(server) as asked:
            answer = await asked.ask(prompts.DECOMPOSE, chain_of())
        _, content = post(server, body_of())
    assert answer == await rules().ask(prompts.DECOMPOSE, chain_of())
    message = json.loads(content)["choices"][0]["message"]
    assert "draft" in message.get("reasoning_content", "") + message["content"]


async def test_a_form_that_is_not_taken_is_refused_and_the_next_one_tried() -> None:
    with TeacherServer(rules(), takes=["json_object"]) as server:
        async with client(server) as asked:
            await asked.ask(prompts.DECOMPOSE, chain_of())
            assert asked.forms == {"decompose": "json"}
        assert post(server, body_of())[0].status == 400


def test_several_choices_usage_and_models() -> None:
    teacher = rules(FaultRates({ArenaDefect.missing_step: 0.5}, seed=3))
    with TeacherServer(teacher) as server:
        _, content = post(server, body_of(n=6, seed=10))
        again, content_again = post(server, body_of(n=6, seed=10))
        assert get(server, "/v1/models")["data"][0]["id"] == "rules"
    assert again.status == 200
    assert content == content_again
    reply = json.loads(content)
    texts = {choice["message"]["content"] for choice in reply["choices"]}
    assert [choice["index"] for choice in reply["choices"]] == list(range(6))
    assert len(texts) > 1
    assert reply["usage"]["prompt_tokens"] > 100
    assert reply["usage"]["completion_tokens"] > 100


async def test_what_the_teacher_does_not_know_is_a_refusal() -> None:
    given = chain_of().model_copy(update={"question": "Who?"})
    unknown = prompts.InstanceIn(domain="", language="en", question="Who?", answer="", steps=())
    with TeacherServer(rules()) as server:
        async with client(server) as asked:
            assert not (await asked.ask(prompts.DECOMPOSE, given)).answerable
            with pytest.raises(TeacherError, match="does not know"):
                await asked.ask(prompts.COMPLETENESS, unknown)
        assert server.served().refused == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": "rules", "messages": [{"role": "user", "content": "Hello"}]}, 400),
        ({"model": "rules"}, 400),
        ([], 400),
        (partial(body_of, model="other"), 404),
        (partial(body_of, n=0.5), 400),
        (partial(body_of, seed="x"), 400),
    ],
)
def test_what_is_no_prompt_of_ours_is_told_so(body: Json | Callable[[], Json], status: int) -> None:
    with TeacherServer(rules()) as server:
        response, content = post(server, body() if callable(body) else body)
        assert response.status == status
        assert json.loads(content)["error"]["message"]
        assert post(server, body_of())[0].status == 200


def test_a_port_that_is_taken_is_an_error() -> None:
    with (
        TeacherServer(rules()) as server,
        pytest.raises(OSError),
        TeacherServer(rules(), port=server.port),
    ):
        pass


def raw(server: TeacherServer, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        found = b""
        # A server that refuses may close before it has read everything: then sending, shutting
        # down or reading fails, whichever comes first.
        with suppress(OSError):
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                found += piece
    return found


def test_hostile_http_does_not_stop_it() -> None:
    post_line = b"POST /v1/chat/completions HTTP/1.1\r\n"
    with TeacherServer(rules()) as server:
        raw(server, b"GET / HTTP/1.1\r\nx: " + b"y" * 200_000 + b"\r\n\r\n")
        assert b" 400 " in raw(server, post_line + b"content-length: -1\r\n\r\n")
        assert b" 400 " in raw(server, post_line + b"content-length: 99999999999\r\n\r\n")
        assert b" 400 " in raw(server, post_line + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n")
        assert b" 400 " in raw(server, post_line + b"content-length: 2\r\n\r\n\xff\xff")
        deep = b"[" * 100_000
        head = post_line + b"content-length: 100000\r\n\r\n"
        assert b" 400 " in raw(server, head + deep)
        assert b" 404 " in raw(server, b"GET /nowhere HTTP/1.1\r\n\r\n")
        assert raw(server, post_line + b"content-length: 9\r\n\r\n[") == b""
        assert raw(server, b"") == b""
        assert raw(server, b"\x00\xff\r\n\r\n")
        assert post(server, body_of())[0].status == 200


# --- faults ----------------------------------------------------------------------------------


def faulty(*kinds: TeacherServerFault, rate: float = 1.0, **fields: Any) -> TeacherServer:
    plan = FaultPlan(
        rate, kinds=kinds or tuple(TeacherServerFault), hold=0.2, retry_after=0.02, **fields
    )
    return TeacherServer(rules(), faults=plan)


def test_too_many_requests() -> None:
    with faulty(TeacherServerFault.rate_limited) as server:
        response, _ = post(server, body_of())
    assert (response.status, response.headers["retry-after"]) == (429, "0.02")


def test_a_server_error() -> None:
    with faulty(TeacherServerFault.server_error) as server:
        assert post(server, body_of())[0].status == 500


def test_a_reset_connection() -> None:
    with faulty(TeacherServerFault.reset) as server, pytest.raises(ConnectionResetError):
        post(server, body_of())


def test_a_time_out() -> None:
    with faulty(TeacherServerFault.timeout) as server:
        with pytest.raises(TimeoutError):
            post(server, body_of(), timeout=0.1)
        with pytest.raises(http.client.RemoteDisconnected):
            post(server, body_of())


def test_a_truncated_body() -> None:
    with faulty(TeacherServerFault.truncated) as server, pytest.raises(http.client.IncompleteRead):
        post(server, body_of())


def message_of(content: bytes) -> Json:
    return json.loads(content)["choices"][0]["message"]


def test_malformed_json() -> None:
    with faulty(TeacherServerFault.malformed_json) as server:
        response, content = post(server, body_of())
    assert response.status == 200
    with pytest.raises(ValueError):
        json.loads(message_of(content)["content"])


def test_right_json_of_a_wrong_schema() -> None:
    with faulty(TeacherServerFault.wrong_schema) as server:
        _, content = post(server, body_of())
    value = json.loads(message_of(content)["content"])
    for prompt in prompts.ALL:
        with pytest.raises(ValueError):
            as_record(value, prompt.output_type)


def test_empty_content_and_refusal() -> None:
    with faulty(TeacherServerFault.empty) as server:
        assert message_of(post(server, body_of())[1])["content"] is None
    with faulty(TeacherServerFault.refusal) as server:
        message = message_of(post(server, body_of())[1])
    assert message["content"] is None
    assert message["refusal"]


def test_a_reply_of_ten_megabytes() -> None:
    with faulty(TeacherServerFault.huge) as server:
        assert len(post(server, body_of())[1]) > HUGE


def test_a_slow_stream() -> None:
    with faulty(TeacherServerFault.slow) as server:
        start = time.monotonic()
        _, content = post(server, body_of())
        assert time.monotonic() - start >= 0.2
        with pytest.raises(TimeoutError):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.005)
            connection.request("POST", "/v1/chat/completions", json.dumps(body_of()))
            connection.getresponse().read()
        connection.close()
    json.loads(message_of(content)["content"])


def test_faults_come_at_their_rate_and_never_for_ever() -> None:
    plan = FaultPlan(0.2, seed=1)
    found = [plan.fault(f"task {number}", 0, 0) for number in range(4000)]
    assert 0.17 < sum(fault is not None for fault in found) / 4000 < 0.23
    assert set(found) == {None, *TeacherServerFault}
    assert found == [plan.fault(f"task {number}", 0, 0) for number in range(4000)]
    assert FaultPlan(0.99).fault("task", 5, 2) is None
    assert FaultPlan(1.0).fault("task", 5, 20) is not None
    for wrong in ({"rate": 1.5}, {"rate": 0.1, "kinds": ()}):
        with pytest.raises(ConfigError):
            FaultPlan(**wrong)


async def test_retries_get_every_answer_through_the_faults() -> None:
    inputs = await every_input()
    with faulty(rate=0.6, seed=5) as server:
        async with client(server, timeout=5) as asked:
            for prompt, given in inputs:
                assert await asked.ask(prompt, given) == await rules().ask(prompt, given)
        served = server.served()
    assert sum(served.faults.values()) >= 5
    assert served.requests == len(inputs) + sum(served.faults.values()) - served.faults.get(
        "slow", 0
    )
    assert set(served.answered.values()) == {1}


async def test_with_faults_alone_nothing_is_answered() -> None:
    kinds = [
        fault
        for fault in TeacherServerFault
        if fault not in (TeacherServerFault.slow, TeacherServerFault.huge)
    ]
    with faulty(*kinds) as server:
        async with client(server, attempts=2, timeout=5) as asked:
            for index in range(8):
                with pytest.raises((TeacherError, ModelUnavailable)):
                    await asked.ask(prompts.DECOMPOSE, chain_of(), index=index)
        served = server.served()
    assert not served.answered
    assert sum(served.faults.values()) == served.requests


# --- counts and concurrency ------------------------------------------------------------------


def test_stats_tell_what_was_asked() -> None:
    with TeacherServer(rules(), extra=lambda: {"more": 1}) as server:
        for seed in (0, 0, 1):
            post(server, body_of(seed=seed))
        stats = get(server, "/stats")
        tasks = get(server, "/stats/tasks")
    assert stats["requests"] == 3
    assert stats["by_prompt"] == {"decompose": 3}
    assert (stats["tasks"], stats["answered_again"], stats["more"]) == (2, 1, 1)
    assert sorted(tasks["asked"].values()) == [1, 2]
    assert tasks["asked"] == tasks["answered"]


async def test_256_at_once_take_no_longer_than_one() -> None:
    text = json.dumps(body_of()).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(text)}\r\n\r\n"

    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + text)
        status = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return status

    with TeacherServer(rules(), latency=2.0) as server:
        start = time.monotonic()
        found = await asyncio.gather(*(ask(server.port) for _ in range(256)))
        seconds = time.monotonic() - start
        served = server.served()
    assert set(found) == {b"HTTP/1.1 200 OK\r\n"}
    assert served.most_at_once == 256
    assert 2.0 <= seconds < 20.0
