"""The protocols of trainers: OpenEnv over a WebSocket, NeMo Gym over HTTP with a cookie."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astra.arenas.sets import ArenaSet
from astra.configs.serve import ServeArenasConfig
from astra.models.policies import Policy
from astra.rollouts.user_tool import LEFT, USER_TOOL, has_user
from astra.serve.app import arena_app
from astra.serve.server import session_table
from astra.serve.sessions import SessionTable
from astra.types import Arena
from tests.support.arena_server import RunningServer, bearer, play_messages, serving
from tests.support.arenas import multi_hop_arena
from tests.support.desk import desk_arena
from tests.support.ruled_desk import ruled_desk
from tests.support.talking_desk import talking_desk

ARENAS = {"read": multi_hop_arena(), "state": desk_arena(), "talk": talking_desk()}
ARENAS["rules"] = ruled_desk()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ArenaSet.of(ARENAS.values(), tmp_path_factory.mktemp("trainers") / "run").path


# --- OpenEnv --------------------------------------------------------------------------------------


class Peer:
    """A WebSocket client of an application, without a network between them."""

    def __init__(self, app: Any, path: str, headers: dict[str, str] | None = None) -> None:
        given = {"host": "127.0.0.1", **(headers or {})}
        self._scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "scheme": "ws",
            "server": ("127.0.0.1", 80),
            "headers": [(key.lower().encode(), value.encode()) for key, value in given.items()],
            "subprotocols": [],
        }
        self._app = app
        self._in: asyncio.Queue[Any] = asyncio.Queue()
        self.out: asyncio.Queue[Any] = asyncio.Queue()

    async def __aenter__(self) -> Peer:
        self._task = asyncio.create_task(self._app(self._scope, self._in.get, self.out.put))
        await self._in.put({"type": "websocket.connect"})
        self.first = await self.out.get()
        return self

    async def ask(self, message: Any) -> Any:
        text = message if isinstance(message, str) else json.dumps(message)
        await self._in.put({"type": "websocket.receive", "text": text})
        answer = await self.out.get()
        return json.loads(answer["text"]) if "text" in answer else answer

    async def __aexit__(self, *_: object) -> None:
        await self._in.put({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(self._task, 10)


@asynccontextmanager
async def application(folder: Path, **options: Any) -> AsyncGenerator[tuple[Any, SessionTable]]:
    token = options.pop("token", None)
    config = ServeArenasConfig(folder, uncertified=True, **options)
    async with session_table(config, ArenaSet(folder, uncertified=True), None) as table:
        yield arena_app(table, token=token), table


async def over_openenv(peer: Peer, arena: Arena, name: Policy) -> list[dict[str, Any]]:
    """The outcomes of all steps of an episode."""
    outcomes: list[dict[str, Any]] = []

    async def step(action: dict[str, Any]) -> dict[str, Any]:
        answer = await peer.ask({"type": "step", "data": action})
        assert answer["type"] == "observation", answer
        outcomes.append(answer["data"])
        return answer["data"]["observation"]

    async def call(tool: str, arguments: str) -> str:
        action = {"type": "call_tool", "tool_name": tool, "arguments": json.loads(arguments)}
        return (await step(action))["result"]["content"][0]["text"]

    async def say(text: str) -> str | None:
        return (await step({"type": "message", "content": text}))["user"]

    begun = await peer.ask({"type": "reset", "data": {"seed": 3}})
    assert begun["data"]["observation"]["messages"][1]["content"] == arena.question
    assert (begun["data"]["reward"], begun["data"]["done"]) == (0.0, False)
    await play_messages(arena, name, call, say)
    state = await peer.ask({"type": "state"})
    assert state["data"]["step_count"] == len(outcomes)
    return outcomes


async def test_openenv_plays_and_is_told_the_reward_at_the_end_only(folder: Path) -> None:
    async with application(folder, max_sessions=1) as (app, table):
        for arena in ARENAS.values():
            async with Peer(app, f"/openenv/{arena.id}/ws") as peer:
                for name, reward in (("gold", 1.0), ("null", 0.0)):
                    outcomes = await over_openenv(peer, arena, name)
                    assert [o["reward"] for o in outcomes[:-1]] == [0.0] * (len(outcomes) - 1)
                    assert [o["done"] for o in outcomes] == [False] * (len(outcomes) - 1) + [True]
                    assert outcomes[-1]["reward"] == reward
            assert len(table) == 0  # also after a client that leaves without a word


async def test_openenv_errors_are_answers(folder: Path) -> None:
    arena = ARENAS["read"]
    async with application(folder, max_sessions=1) as (app, _), Peer(app, "/openenv/ws") as peer:
        for message, code in [
            ("{", "INVALID_JSON"),
            ("[1]", "VALIDATION_ERROR"),
            ("[" * 100, "INVALID_JSON"),
            ({"type": "jump"}, "UNKNOWN_TYPE"),
            ({"type": "step", "data": {"type": "list_tools"}}, "SESSION_ERROR"),
            ({"type": "reset", "data": {}}, "VALIDATION_ERROR"),
            ({"type": "reset", "data": {"arena": "none"}}, "EXECUTION_ERROR"),
            ({"type": "reset", "data": {"arena": arena.id, "seed": -1}}, "VALIDATION_ERROR"),
        ]:
            answer = await peer.ask(message)
            assert (answer["type"], answer["data"]["code"]) == ("error", code), answer
        answer = await peer.ask({"type": "reset", "data": {"arena": arena.id}})
        assert answer["type"] == "observation"
        for action in ({}, {"type": "call_tool"}, {"type": "call_tool", "tool_name": 3}):
            answer = await peer.ask({"type": "step", "data": action})
            assert answer["data"]["code"] == "VALIDATION_ERROR"
        # A second connection finds no room, and is told so.
        async with Peer(app, f"/openenv/{arena.id}/ws") as other:
            answer = await other.ask({"type": "reset", "data": {}})
            assert answer["data"]["code"] == "CAPACITY_REACHED"
        assert (await peer.ask({"type": "close"}))["type"] == "websocket.close"


async def test_openenv_needs_the_token(folder: Path) -> None:
    async with application(folder, token="secret") as (app, _):
        for token, first in (("wrong", "websocket.close"), ("secret", "websocket.accept")):
            async with Peer(app, "/openenv/ws", bearer(token)) as peer:
                assert peer.first["type"] == first


# --- NeMo Gym -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    with serving(folder) as running:
        yield running


def response(text: str) -> dict[str, Any]:
    """What NeMo Gym's agent hands over, as the Responses API has it."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"type": "message", "role": "assistant", "id": "m", "content": content}
    return {"id": "r", "object": "response", "output": [message]}


@pytest.mark.parametrize(("name", "reward"), [("gold", 1.0), ("null", 0.0)])
@pytest.mark.parametrize("kind", ["read", "state", "rules"])
async def test_nemo_gym_seeds_calls_and_verifies(
    server: RunningServer, kind: str, name: Policy, reward: float
) -> None:
    arena = ARENAS[kind]
    row = {"verifier_metadata": {"arena": arena.id}, "responses_create_params": {"input": []}}
    async with httpx2.AsyncClient(base_url=server.url) as http:

        async def post(path: str, **body: Any) -> httpx2.Response:
            # An agent of NeMo Gym has the cookies of the last answer only.
            answer = await http.post(path, **body)
            http.cookies = answer.cookies
            assert answer.status_code == 200
            return answer

        await post("/seed_session", json=row)

        async def call(tool: str, arguments: str) -> str:
            return (await post(f"/{tool}", content=arguments)).text

        verified: list[Any] = []

        async def say(text: str) -> str | None:
            if has_user(arena):
                said = await call(USER_TOOL.name, json.dumps({"text": text}))
                if said != LEFT:
                    return said
            answer = await post("/verify", json={**row, "response": response(text)})
            verified.append(answer.json())
            return None

        await play_messages(arena, name, call, say)
    assert verified[0]["reward"] == reward
    assert verified[0]["verifier_metadata"] == {"arena": arena.id}


def test_nemo_gym_errors(server: RunningServer) -> None:
    def row(arena: Arena) -> dict[str, Any]:
        return {"verifier_metadata": {"arena": arena.id}}

    with httpx2.Client(base_url=server.url) as client:
        assert client.post("/capital_of_country", json={}).status_code == 400  # no cookie
        assert client.post("/verify", json={}).status_code == 400
        assert client.post("/seed_session", json={}).status_code == 422
        answer = client.post("/seed_session", json=row(ARENAS["talk"]))
        assert answer.status_code == 422 and "brings tools" in answer.json()["error"]
        assert client.post("/seed_session", json=row(ARENAS["read"])).status_code == 200
        answer = client.post("/no_such_tool", json={})
        assert answer.status_code == 200 and "there is no tool" in answer.text
        assert client.post("/verify", json={"response": None}).json()["reward"] == 0.0
        # It has ended: the score stays, and no call is made any more.
        assert client.post("/verify", json={"response": response("Paris")}).json()["reward"] == 0.0
        assert client.post("/capital_of_country", json={}).status_code == 409
