"""Clients that vanish, share, stall and shout, and servers that are killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astra.arenas.sets import ArenaSet
from astra.types import Tool, ToolSchema
from tests.support.arena_server import (
    RunningServer,
    bearer,
    descendants,
    gone,
    opened,
    serving,
    serving_process,
)
from tests.support.arenas import changed, single_hop_arena
from tests.support.desk import desk_arena

_SLOW = """
import time
def slow(seconds):
    time.sleep(seconds)
    return {"slept": seconds}
"""
_DOCUMENT = ToolSchema(
    name="slow",
    description="Takes its time.",
    parameters={"type": "object", "properties": {"seconds": {"type": "number"}}},
)
ARENA = changed(
    single_hop_arena(),
    tools=(*single_hop_arena().tools, Tool(document=_DOCUMENT, source=_SLOW)),
)
DESK = desk_arena()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ArenaSet.of([ARENA, DESK], tmp_path_factory.mktemp("faults") / "run").path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    out = folder.parent / "episodes"
    with serving(folder, body_seconds=0.5, idle_timeout=1.5, out=out) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=20) as client:
        yield client


def address(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def request(path: str, body: bytes, length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + body


def slow(seconds: float) -> dict[str, Any]:
    return {"tool": "slow", "arguments": {"seconds": seconds}}


def test_a_call_is_finished_and_counts_when_its_client_vanishes(
    server: RunningServer, client: httpx2.Client
) -> None:
    session = opened(client, ARENA)
    path = f"/sessions/{session['id']}/calls"
    with socket.create_connection(address(server.url)) as vanishing:
        vanishing.sendall(request(path, json.dumps(slow(0.4)).encode()))
        time.sleep(0.15)
    # Another client goes on; its call waits for the one that runs.
    started = time.monotonic()
    assert client.post(path, json=slow(0)).json()["content"] == '{"slept": 0}'
    assert time.monotonic() - started > 0.1
    client.delete(f"/sessions/{session['id']}")
    score = client.get(f"/sessions/{session['id']}/score", headers=bearer(session["score_token"]))
    assert score.json()["score"]["calls"] == 2


def test_two_clients_on_one_session_take_turns(
    folder: Path, server: RunningServer, client: httpx2.Client
) -> None:
    session, other = opened(client, DESK), opened(client, DESK)
    houses = [f"{number} Pier Walk" for number in range(6)]
    answers: dict[str, str] = {}

    def move(house: str) -> None:
        with httpx2.Client(base_url=server.url, timeout=20) as own:
            arguments = {"order_id": "O-2002", "address": house}
            call = {"tool": "change_order_address", "arguments": arguments}
            answers[house] = own.post(f"/sessions/{session['id']}/calls", json=call).text

    threads = [threading.Thread(target=move, args=(house,)) for house in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each got the answer to its own call.
    assert all(house in answers[house] for house in houses), answers
    for each in (session, other):
        client.delete(f"/sessions/{each['id']}")
    rows = (folder.parent / "episodes/episodes.jsonl").read_text().splitlines()
    trajectories = [json.loads(row)["trajectory"] for row in rows[-2:]]
    # What one session changed, another of the same arena did not see.
    assert [len(trajectory["calls"]) for trajectory in trajectories] == [6, 0]
    for call, asked, answered in zip(
        trajectories[0]["calls"],
        trajectories[0]["messages"][2::2],
        trajectories[0]["messages"][3::2],
        strict=True,
    ):
        assert call["id"] == asked["tool_calls"][0]["id"] == answered["tool_call_id"]
        assert call["arguments"]["address"] in answered["content"]


def test_what_one_session_changes_another_does_not_see(client: httpx2.Client) -> None:
    session, other = opened(client, DESK), opened(client, DESK)
    where = {"order_id": "O-2002", "address": "9 Pier Walk"}
    previous = []
    for each in (session, session, other):
        call = {"tool": "change_order_address", "arguments": where}
        answer = client.post(f"/sessions/{each['id']}/calls", json=call).json()
        previous.append(json.loads(answer["content"])["previous"])
    assert previous == ["1 Quay Road", "9 Pier Walk", "1 Quay Road"]
    for each in (session, other):
        client.delete(f"/sessions/{each['id']}")


def test_half_open_connections_hold_nothing_up(
    server: RunningServer, client: httpx2.Client
) -> None:
    half = [socket.create_connection(address(server.url)) for _ in range(20)]
    try:
        for connection in half[:10]:
            connection.sendall(b"POST /sessions HTTP/1.1\r\nHost: local")
        for connection in half[10:]:
            connection.sendall(request("/sessions", b'{"arena":', length=500))
        assert client.get("/health").json()["sessions"] == 0
        half[-1].settimeout(10)
        # A body that does not come is given up, and its connection closed.
        answer = b""
        while piece := half[-1].recv(4096):
            answer += piece
        assert b" 408 " in answer and b"did not arrive" in answer
    finally:
        for connection in half:
            connection.close()


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"NONSENSE\r\n\r\n", b" 400 "),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", b" 4"),
        (request("/sessions", b"", length=1 << 40), b" 413 "),
        (request("/sessions", b'{"arena": NaN}'), b" 400 "),
    ],
)
def test_malformed_and_oversized_messages_are_refused(
    server: RunningServer, client: httpx2.Client, message: bytes, status: bytes
) -> None:
    with socket.create_connection(address(server.url)) as connection:
        connection.settimeout(10)
        connection.sendall(message)
        assert status in connection.recv(4096)
    assert client.get("/health").status_code == 200


def test_who_sends_too_long_a_body_in_pieces_gets_to_read_why(server: RunningServer) -> None:
    head = b"POST /sessions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = (b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 100 + b"0\r\n\r\n"
    with socket.create_connection(address(server.url)) as connection:
        connection.settimeout(10)
        connection.sendall(head + pieces)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert b" 413 " in answer and b"the body is over 1048576 bytes" in answer


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "parse"),
        (b"[" * 50_000, ""),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "no/such"}', "not found"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 3}}', ""),
        (b'{"jsonrpc": "2.0", "id": 1}', ""),
    ],
)
def test_malformed_messages_of_mcp_are_errors_and_harm_no_session(
    client: httpx2.Client, body: bytes, problem: str
) -> None:
    session = opened(client, ARENA)
    accept = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    answer = client.post(f"/sessions/{session['id']}/mcp", content=body, headers=accept)
    assert answer.status_code < 500 and "error" in answer.json(), answer.text
    assert problem in answer.text.lower() and "Traceback" not in answer.text
    reply = client.post(f"/sessions/{session['id']}/calls", json=slow(0)).json()
    assert not reply["is_error"]
    client.delete(f"/sessions/{session['id']}")


def test_arguments_that_break_the_tools_process_are_the_calls_own_affair(
    client: httpx2.Client,
) -> None:
    session = opened(client, DESK)
    path = f"/sessions/{session['id']}/calls"
    tool = DESK.tools[0].name
    for arguments in ("{", '{"a": 1, "a": 2}', [1], None):
        body = json.dumps({"tool": tool, "arguments": arguments})
        answer = client.post(path, content=body)
        assert answer.status_code == 200 and answer.json()["is_error"], arguments
    client.delete(f"/sessions/{session['id']}")


def test_an_idle_session_ends_and_its_processes_go(
    server: RunningServer, client: httpx2.Client
) -> None:
    session = opened(client, ARENA)
    client.post(f"/sessions/{session['id']}/calls", json=slow(0))
    # A call that takes longer than the time-out is not idle.
    assert client.post(f"/sessions/{session['id']}/calls", json=slow(2)).status_code == 200
    headers = bearer(session["score_token"])
    until = time.monotonic() + 20
    while (
        answer := client.get(f"/sessions/{session['id']}/score", headers=headers)
    ).status_code == 409:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert answer.json()["stop"] == "time_limit" and answer.json()["score"]["calls"] == 2
    assert client.get("/health").json()["sessions"] == 0


def test_a_killed_server_leaves_no_process(folder: Path) -> None:
    with (
        serving_process(str(folder), "--uncertified") as (url, pid),
        httpx2.Client(base_url=url, timeout=20) as client,
    ):
        session = opened(client, ARENA)
        path = f"/sessions/{session['id']}/calls"
        assert client.post(path, json=slow(0)).status_code == 200
        with socket.create_connection(address(url)) as calling:
            calling.sendall(request(path, json.dumps(slow(30)).encode()))
            time.sleep(0.3)
            below = descendants(pid)
            assert below
            os.kill(pid, signal.SIGKILL)
            assert gone(below)


def test_a_server_that_is_ended_answers_the_calls_that_run(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "episodes"
    with (
        serving_process(str(folder), "--uncertified", "--out", str(out)) as (url, pid),
        httpx2.Client(base_url=url, timeout=20) as client,
    ):
        session = opened(client, ARENA)
        answers: list[Any] = []

        def call() -> None:
            answers.append(client.post(f"/sessions/{session['id']}/calls", json=slow(1)))

        thread = threading.Thread(target=call)
        thread.start()
        time.sleep(0.5)
        below = descendants(pid)
        os.kill(pid, signal.SIGTERM)
        thread.join()
        assert json.loads(answers[0].json()["content"]) == {"slept": 1}
        assert below and gone(below | {pid})
    (row,) = map(json.loads, (out / "episodes.jsonl").read_text().splitlines())
    assert row["score"] is None and "server was stopped" in row["trajectory"]["error"]
    assert len(row["trajectory"]["calls"]) == 1
