"""One episode for another container: its tools are open, its score is for the token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astra.arenas.sets import ArenaSet
from astra.configs.serve import ServeArenasConfig
from astra.exports.harbor import solution
from astra.serve.one_episode import episode_app
from astra.serve.server import session_table
from astra.types import Arena
from tests.support.arena_server import bearer
from tests.support.arenas import multi_hop_arena
from tests.support.desk import desk_arena
from tests.support.ruled_desk import ruled_desk


@asynccontextmanager
async def served(arena: Arena, path: Path) -> AsyncGenerator[httpx2.AsyncClient]:
    run = ArenaSet.of([arena], path / "run").path
    config = ServeArenasConfig(run, uncertified=True)
    async with session_table(config, ArenaSet(run, uncertified=True), None) as table:
        app = episode_app(table, await table.open(arena.id), "secret")
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://arena:8080") as client,
        ):
            yield client


async def rpc(client: httpx2.AsyncClient, method: str, params: dict[str, Any]) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"Accept": "application/json, text/event-stream"}
    return (await client.post("/mcp", json=body, headers=headers)).json()["result"]


@pytest.mark.parametrize("arena", [multi_hop_arena(), desk_arena(), ruled_desk()])
def test_the_solution_scores_one_and_only_for_the_token(arena: Arena, tmp_path: Path) -> None:
    async def play() -> None:
        async with served(arena, tmp_path) as client:
            told = solution(arena)
            client_info = {"name": "test", "version": "1"}
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client_info}
            assert "tools" in (await rpc(client, "initialize", hello))["capabilities"]
            for call in told["calls"]:
                params = {"name": call["tool"], "arguments": call["arguments"]}
                assert not (await rpc(client, "tools/call", params)).get("isError")
            answer = {"answer": told["answer"]}
            for headers in ({}, bearer("wrong")):
                refused = await client.post("/score", json=answer, headers=headers)
                assert refused.status_code == 401 and "reward" not in refused.text
            for _ in range(2):  # asked for again, it is the same
                scored = await client.post("/score", json=answer, headers=bearer("secret"))
                assert scored.json() == {"stop": "answered", "error": "", "reward": 1.0}

    asyncio.run(play())


def test_an_episode_without_calls_scores_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        async with served(desk_arena(), tmp_path) as client:
            wrong = await client.post("/score", json={"answer": 3}, headers=bearer("secret"))
            assert wrong.status_code == 400 and "write a text" in wrong.text
            scored = await client.post("/score", json={}, headers=bearer("secret"))
            assert scored.json()["reward"] == 0.0
            assert (await client.get("/health")).json() == {"status": "ok"}
            assert (await client.get("/arenas")).status_code == 404

    asyncio.run(play())
