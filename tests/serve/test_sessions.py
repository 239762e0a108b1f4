"""Sessions of the server: played over each way in, scored after the end, bounded."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from astra.arenas.sets import ArenaSet
from astra.cli.main import run as astra
from astra.types import Arena, Tool, ToolSchema
from tests.support.arena_server import (
    RunningServer,
    bearer,
    opened,
    play_messages,
    serving,
)
from tests.support.arenas import changed, good_arenas, single_hop_arena
from tests.support.desk import desk_arena
from tests.support.talking_desk import talking_desk

TOKEN = "the-token-of-the-server"


def dice_arena() -> Arena:
    """Its second tool answers at random, which only the seed of the episode decides."""
    document = ToolSchema(
        name="dice", description="A number.", parameters={"type": "object", "properties": {}}
    )
    source = "import random\ndef dice():\n    return random.random()\n"
    arena = single_hop_arena()
    return changed(arena, tools=(*arena.tools, Tool(document=document, source=source)))


ARENAS = {
    **good_arenas(),
    "desk": desk_arena(),
    "talking": talking_desk(),
    "dice": dice_arena(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ArenaSet.of(ARENAS.values(), tmp_path_factory.mktemp("serve") / "run").path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    with serving(folder, token=TOKEN, max_sessions=3, out=folder.parent / "episodes") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, headers=bearer(TOKEN)) as client:
        yield client


async def played_over_mcp(server: RunningServer, client: httpx2.Client, arena: Arena, name: Any):
    """The score of a policy that calls by MCP and speaks over HTTP, with the play token only."""
    session = opened(client, arena)
    path = f"/sessions/{session['id']}"
    async with (
        httpx2.AsyncClient(headers=bearer(session["play_token"])) as http,
        Client(streamable_http_client(session["mcp_url"], http_client=http)) as mcp,
    ):

        async def call(tool: str, arguments: str) -> str:
            result = await mcp.call_tool(tool, json.loads(arguments))
            return result.content[0].text

        async def say(text: str) -> str | None:
            answer = await http.post(f"{server.url}{path}/messages", json={"content": text})
            if answer.json()["user"] is not None:  # who may have brought tools
                names = {tool.name for tool in (await mcp.list_tools()).tools}
                assert names == {tool["function"]["name"] for tool in answer.json()["tools"]}
            return answer.json()["user"]

        shown = {tool.name: tool.input_schema for tool in (await mcp.list_tools()).tools}
        assert shown == {
            tool["function"]["name"]: tool["function"]["parameters"] for tool in session["tools"]
        }
        await play_messages(arena, name, call, say)
    answer = client.get(f"{path}/score", headers=bearer(session["score_token"]))
    return answer.json()["score"]


@pytest.mark.parametrize("name", ["multi_hop", "desk", "talking"])
async def test_gold_scores_one_and_null_zero(
    server: RunningServer, client: httpx2.Client, name: str
) -> None:
    gold = await played_over_mcp(server, client, ARENAS[name], "gold")
    assert (gold["f1"], gold["reward"]) == (1.0, 1.0)
    assert (await played_over_mcp(server, client, ARENAS[name], "null"))["f1"] == 0.0


async def test_the_handshake_at_an_arena_opens_a_session(
    server: RunningServer, client: httpx2.Client
) -> None:
    arena, other = ARENAS["multi_hop"], ARENAS["parallel"]
    (call,) = [goal.call for goal in arena.goals if goal.depends_on == ()]
    assert call is not None
    async with httpx2.AsyncClient(headers=bearer(TOKEN)) as http:
        transport = streamable_http_client(f"{server.url}/mcp/{arena.id}", http_client=http)
        async with Client(transport) as mcp:
            assert server.table is not None and len(server.table) == 1
            result = await mcp.call_tool(call.tool, dict(call.arguments))
            assert not result.is_error and str(arena.goals[0].answer) in result.content[0].text
            wrong = await mcp.call_tool("none_such", {})
            assert wrong.is_error and "there is no tool" in wrong.content[0].text
            # The session of one arena is not found at another.
            (session,) = server.table._open  # pyright: ignore[reportPrivateUsage]
            headers = {"Mcp-Session-Id": session, "Accept": "application/json"}
            answer = client.post(f"/mcp/{other.id}", json={}, headers=headers)
            assert answer.status_code == 404
        assert len(server.table) == 0  # the client ended it as it left
    answer = client.post(f"/mcp/{arena.id}", json={"jsonrpc": "2.0", "method": "tools/list"})
    assert answer.status_code == 400 and "initialize" in answer.json()["error"]["message"]


async def test_one_arena_over_stdio(folder: Path) -> None:
    arena = ARENAS["parallel"]
    served = ["arenas", "serve", str(folder), "--arena", arena.id, "--stdio", "--uncertified"]
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "astra", *served], env=dict(os.environ)
    )
    async with Client(server) as mcp:
        assert arena.question in (mcp.instructions or "")
        call = arena.goals[0].call
        assert call is not None
        result = await mcp.call_tool(call.tool, dict(call.arguments))
        assert str(arena.goals[0].answer) in result.content[0].text


# --- scores -------------------------------------------------------------------------------------


def test_a_score_is_told_after_the_end_and_for_its_token_only(client: httpx2.Client) -> None:
    session = opened(client, ARENAS["parallel"])
    score = f"/sessions/{session['id']}/score"
    for token in (TOKEN, session["score_token"]):
        answer = client.get(score, headers=bearer(token))
        assert answer.status_code == 409 and "goes on" in answer.json()["error"]
    assert client.delete(f"/sessions/{session['id']}").status_code == 204
    for token in ("none", "wrong", session["play_token"]):
        assert client.get(score, headers=bearer(token)).status_code == 401
    for token in (TOKEN, session["score_token"]):
        answer = client.get(score, headers=bearer(token)).json()
        assert answer["score"]["f1"] == 0.0 and answer["stop"] == "answered"
    # An unknown session is refused like a known one.
    assert client.get("/sessions/none/score", headers=bearer("wrong")).status_code == 401
    assert client.get("/sessions/none/score", headers=bearer(TOKEN)).status_code == 404


def test_without_a_token_of_the_server_a_score_still_needs_one(folder: Path) -> None:
    with serving(folder) as server, httpx2.Client(base_url=server.url) as client:
        session = opened(client, ARENAS["parallel"])
        client.delete(f"/sessions/{session['id']}")
        score = f"/sessions/{session['id']}/score"
        assert client.get(score).status_code == 401
        assert client.get(score, headers=bearer(session["score_token"])).status_code == 200


def test_without_a_token_of_the_server_a_wrong_one_opens_no_session(folder: Path) -> None:
    with serving(folder) as server, httpx2.Client(base_url=server.url) as client:
        session = opened(client, ARENAS["parallel"])
        calls = f"/sessions/{session['id']}/calls"
        for headers, status in (
            ({}, 400),
            (bearer(session["play_token"]), 400),
            (bearer("wrong"), 401),
            (bearer(session["score_token"]), 401),
        ):
            assert client.post(calls, json={}, headers=headers).status_code == status
        assert client.get("/arenas", headers=bearer("any")).status_code == 200


def test_what_a_player_is_told_holds_no_answer(client: httpx2.Client) -> None:
    for arena in ARENAS.values():
        told = json.dumps([opened(client, arena), client.get(f"/arenas/{arena.id}").json()])
        client.delete(f"/sessions/{json.loads(told)[0]['id']}")
        for goal in arena.goals:
            assert f'"{goal.answer}"' not in told and goal.question not in told.replace(
                arena.question, ""
            )
        assert "goals" not in told and "depends_on" not in told and "operation" not in told


def test_ended_episodes_are_kept(folder: Path, client: httpx2.Client) -> None:
    session = opened(client, ARENAS["parallel"], sample=7)
    client.post(f"/sessions/{session['id']}/messages", json={"content": "I give up."})
    row = json.loads((folder.parent / "episodes/episodes.jsonl").read_text().splitlines()[-1])
    assert (row["arena"], row["sample"]) == (ARENAS["parallel"].id, 7)
    assert row["trajectory"]["messages"][-1]["content"] == "I give up."
    assert row["score"]["f1"] == 0.0 and row["trajectory"]["stop"] == "answered"


def test_a_sample_is_its_seed(client: httpx2.Client) -> None:
    rolled: dict[int, set[str]] = {0: set(), 1: set()}
    for sample in (0, 1, 0, 1):
        session = opened(client, ARENAS["dice"], sample=sample)
        answer = client.post(f"/sessions/{session['id']}/calls", json={"tool": "dice"})
        rolled[sample].add(answer.json()["content"])
        client.delete(f"/sessions/{session['id']}")
    assert [len(values) for values in rolled.values()] == [1, 1] and rolled[0] != rolled[1]


# --- bounds and access --------------------------------------------------------------------------


def test_over_the_cap_a_client_is_told_to_come_back(client: httpx2.Client) -> None:
    arena = ARENAS["parallel"]
    sessions = [opened(client, arena) for _ in range(3)]
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
    accept = {"Accept": "application/json, text/event-stream"}
    for answer in (
        client.post("/sessions", json={"arena": arena.id}),
        client.post(f"/mcp/{arena.id}", json=body, headers=accept),
    ):
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    # Those that are open are not affected.
    for session in sessions:
        call = {"tool": "inhabitants_of_country", "arguments": {"country": "Japan"}}
        answer = client.post(f"/sessions/{session['id']}/calls", json=call)
        assert not answer.json()["is_error"]
        client.delete(f"/sessions/{session['id']}")
    client.delete(f"/sessions/{opened(client, arena)['id']}")
    metrics = client.get("/metrics").text
    assert "astra_sessions_open 0\n" in metrics and "astra_sessions_refused_total 2\n" in metrics
    count = re.search(r'astra_call_seconds_bucket\{le="\+Inf"\} (\d+)\n', metrics)
    assert count is not None and f"astra_call_seconds_count {count[1]}\n" in metrics
    # A handshake that is refused leaves no session behind.
    answer = client.post(f"/mcp/{arena.id}", json=body, headers=accept)
    assert answer.status_code < 500 and "astra_sessions_open 0\n" in client.get("/metrics").text


def test_who_may_use_a_server_with_a_token(server: RunningServer, client: httpx2.Client) -> None:
    session = opened(client, ARENAS["parallel"])
    other = opened(client, ARENAS["desk"])
    played = f"/sessions/{session['id']}"
    with httpx2.Client(base_url=server.url) as stranger:
        assert stranger.get("/health").status_code == 200
        for headers in ({}, bearer("wrong"), {"Authorization": TOKEN}, bearer(TOKEN[:-1])):
            for path in ("/metrics", "/arenas", played + "/mcp", f"/mcp/{ARENAS['desk'].id}"):
                assert stranger.get(path, headers=headers).status_code == 401, (path, headers)
        # The play token opens its own session, and of that only what an agent needs.
        play = bearer(session["play_token"])
        assert stranger.post(played + "/messages", json={}, headers=play).status_code == 400
        for method, path in [
            ("POST", f"/sessions/{other['id']}/messages"),
            ("POST", "/sessions"),
            ("DELETE", played),
            ("GET", "/arenas"),
        ]:
            answer = stranger.request(method, path, headers=play, json={})
            assert answer.status_code == 401, (method, path)
    for opened_session in (session, other):
        client.delete(f"/sessions/{opened_session['id']}")


def test_web_pages_can_not_reach_a_server_on_the_loopback(client: httpx2.Client) -> None:
    for host in ("evil.example", "x@evil.example", "no name"):
        assert client.get("/arenas", headers={"Host": host}).status_code == 421
    assert client.get("/arenas", headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/arenas", headers={"Origin": "http://localhost:3000"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ("{", 400, "not JSON"),
        ("[]", 400, "not an object but list"),
        ('{"arena": 3}', 400, "'arena' is 3"),
        ('{"arena": "x", "sample": -1}', 400, "'sample' is -1"),
        ('{"arena": "x"}', 404, "there is no arena 'x'"),
        ('{"arena":' + "[" * 10_000, 400, "not JSON"),
        ("x" * 1_100_000, 413, "over 1048576 bytes"),
        (b"\xff\xfe", 400, "not JSON"),
    ],
)
def test_a_wrong_body_is_an_error_that_says_so(
    client: httpx2.Client, body: str | bytes, status: int, problem: str
) -> None:
    answer = client.post("/sessions", content=body)
    assert answer.status_code == status and problem in answer.json()["error"]


def test_unknown_addresses_are_not_found(client: httpx2.Client) -> None:
    for path in ("/nope", "/nope/more"):
        answer = client.get(path)
        assert answer.status_code == 404 and answer.json() == {"error": "Not Found"}
    assert client.get("/seed_session").status_code == 405
    assert client.delete("/arenas").status_code == 405


def test_a_session_that_is_over_takes_no_calls(client: httpx2.Client) -> None:
    session = opened(client, ARENAS["parallel"])
    path = f"/sessions/{session['id']}"
    assert client.post(path + "/calls", json={"tool": 3}).status_code == 400
    done = client.post(path + "/messages", json={"content": "126 million."}).json()
    assert (done["user"], done["done"]) == (None, True)
    for answer in (
        client.post(path + "/calls", json={"tool": "inhabitants_of_country"}),
        client.post(path + "/messages", json={"content": "more"}),
        client.post(path + "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
        client.delete(path),
    ):
        assert answer.status_code == 409 and "is over (answered)" in answer.text


def test_the_limit_of_turns_ends_an_episode(folder: Path) -> None:
    with serving(folder, max_turns=2) as server, httpx2.Client(base_url=server.url) as client:
        session = opened(client, ARENAS["parallel"])
        for number in range(3):
            call = {"tool": "inhabitants_of_country", "arguments": {"country": "Japan"}}
            answer = client.post(f"/sessions/{session['id']}/calls", json=call)
            assert answer.status_code == (200 if number < 2 else 409)
        headers = bearer(session["score_token"])
        result = client.get(f"/sessions/{session['id']}/score", headers=headers).json()
        assert result["stop"] == "turn_limit" and result["score"]["solved"] == 1


def test_another_host_than_the_loopback_needs_a_token(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = ["arenas", "serve", str(folder), "--uncertified", "--host", "0.0.0.0"]
    assert astra(serve) == 2 and "--token-env" in capsys.readouterr().err
    monkeypatch.delenv("ARENA_TOKEN", raising=False)
    assert astra([*serve, "--token-env", "ARENA_TOKEN"]) == 2
    assert "'ARENA_TOKEN'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--stdio"], "--arena"),
        (["--arena", "none"], "no arena 'none'"),
        (["--port", "70000"], "at most 65535"),
        (["--host", "no.such.invalid"], "--token-env"),
        (["--max-sessions", "100000000"], "--max-sessions"),
    ],
)
def test_a_wrong_option_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], problem: str
) -> None:
    serve = ["arenas", "serve", str(folder), "--uncertified", "--port", "0"]
    assert astra([*serve, *options]) == 2
    assert problem in capsys.readouterr().err


def test_the_arenas_are_listed(client: httpx2.Client, folder: Path) -> None:
    shown = client.get("/arenas").json()["arenas"]
    assert [row["id"] for row in shown] == ArenaSet(folder, uncertified=True).ids
