"""The application: sessions over plain HTTP, and the protocols of other readers beside them.

GET    /health                      200 while sessions can be opened, without a token
GET    /metrics                     counters for Prometheus
GET    /arenas                      ids and kinds of the arenas
GET    /arenas/ID                   question, system prompt and tools
POST   /sessions                    {"arena": ID, "sample": 0} opens a session
POST   /sessions/ID/calls           {"tool": NAME, "arguments": {...}} calls a tool
POST   /sessions/ID/messages        {"content": TEXT}: say something, to the user or as the answer
GET    /sessions/ID/score           after the end, with the server's or the session's score token
DELETE /sessions/ID                 ends it
/sessions/ID/mcp, /mcp/ARENA        MCP (streamable HTTP)
/openenv/ARENA/ws, /openenv/ws      OpenEnv (WebSocket)
POST /seed_session, /TOOL, /verify  NeMo Gym
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from astra.errors import SessionError
from astra.hosts.arena import arena_messages, shown_tools
from astra.serve.access import TokenAccess, bearer_token, is_one_of
from astra.serve.bodies import BODY_BYTES, BoundedBodies, json_body
from astra.serve.mcp_server import McpEndpoint, rpc_error
from astra.serve.nemo_gym import NemoGymEndpoint
from astra.serve.openenv_server import OpenEnvEndpoint
from astra.serve.sessions import RETRY_SECONDS, ServedSession, SessionTable
from astra.types import Arena, Json, StopReason

BODY_SECONDS = 30.0
"""Longest time for a body to arrive."""


def arena_app(
    table: SessionTable,
    *,
    token: str | None = None,
    loopback: bool = True,
    system_prompt: str | None = None,
    body_bytes: int = BODY_BYTES,
    body_seconds: float = BODY_SECONDS,
    further: Callable[[SessionTable], list[BaseRoute]] | None = None,
) -> Starlette:
    """The application of a server. `further`: routes beside its own."""
    mcp = McpEndpoint(table)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "sessions": len(table)})

    async def metrics(_: Request) -> Response:
        text = table.metrics.text(len(table), table.limits.sessions)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def list_arenas(_: Request) -> Response:
        hops = table.arenas.hops
        return JSONResponse({"arenas": [{"id": key, "hops": hops[key]} for key in hops]})

    async def show_arena(request: Request) -> Response:
        return JSONResponse(shown_arena(table.arena(request.path_params["arena"]), system_prompt))

    async def open_session(request: Request) -> Response:
        body = await json_body(request)
        arena_id, sample = body.get("arena"), body.get("sample", 0)
        if not isinstance(arena_id, str):
            raise SessionError(400, f"'arena' is {arena_id!r:.100}: write the id of an arena")
        if not isinstance(sample, int) or isinstance(sample, bool) or not 0 <= sample < 1 << 31:
            raise SessionError(400, f"'sample' is {sample!r:.100}: write a whole number from 0")
        session = await table.open(arena_id, sample)
        return JSONResponse(opened_session(session, str(request.base_url)), 201)

    async def call_tool(request: Request) -> Response:
        session = table.find(request.path_params["session"])
        body = await json_body(request)
        tool, arguments = body.get("tool"), body.get("arguments", {})
        if not isinstance(tool, str):
            raise SessionError(400, f"'tool' is {tool!r:.100}: write the name of a tool")
        reply = await table.call(session, tool, as_arguments(arguments))
        return JSONResponse({"content": reply.text, "is_error": reply.is_error})

    async def say(request: Request) -> Response:
        session = table.find(request.path_params["session"])
        content = (await json_body(request)).get("content")
        if not isinstance(content, str):
            raise SessionError(400, f"'content' is {content!r:.100}: write a text")
        answer = await table.say(session, content)
        tools: list[Json] = session.episode.tools
        return JSONResponse({"user": answer, "done": session.episode.over, "tools": tools})

    async def end_session(request: Request) -> Response:
        await table.end(table.find(request.path_params["session"]), StopReason.answered)
        return Response(status_code=204)

    async def score(request: Request) -> Response:
        # Known or not, running or not: nothing is told without a token.
        session_id, given = request.path_params["session"], bearer_token(request)
        if not is_one_of(given, {token, table.score_token(session_id)}):
            raise SessionError(401, "a score is given for the score token of its session only")
        result = table.result(session_id)
        scored = None if result.score is None else result.score.model_dump(mode="json")
        return JSONResponse(
            {
                "arena": result.arena,
                "sample": result.sample,
                "stop": result.stop.value,
                "error": result.error,
                "score": scored,
            }
        )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with mcp.manager.run():
            yield

    routes: list[BaseRoute] = [
        Route("/health", health),
        Route("/metrics", metrics),
        Route("/arenas", list_arenas),
        Route("/arenas/{arena}", show_arena),
        Route("/sessions", open_session, methods=["POST"]),
        Route("/sessions/{session}", end_session, methods=["DELETE"]),
        Route("/sessions/{session}/calls", call_tool, methods=["POST"]),
        Route("/sessions/{session}/messages", say, methods=["POST"]),
        Route("/sessions/{session}/score", score),
        Route("/sessions/{session}/mcp", AsgiEndpoint(mcp.of_session)),
        Route("/mcp/{arena}", AsgiEndpoint(mcp.of_arena)),
        *(further(table) if further is not None else ()),
        *OpenEnvEndpoint(table).routes(),
        *NemoGymEndpoint(table).routes(),
    ]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={SessionError: session_error, HTTPException: http_error},
        middleware=[
            Middleware(TokenAccess, table, token, loopback=loopback),
            Middleware(BoundedBodies, body_bytes, body_seconds),
        ],
    )


class AsgiEndpoint:
    """An ASGI function as an endpoint: Starlette takes plain functions for those of requests."""

    def __init__(self, function: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._function: ASGIApp = function

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._function(scope, receive, send)


def shown_arena(arena: Arena, system_prompt: str | None) -> dict[str, Json]:
    """What an agent may know of an arena."""
    system, question = arena_messages(arena, system_prompt)
    return {
        "id": arena.id,
        "question": question.content,
        "system_prompt": system.content,
        "tools": [document.openai() for document in shown_tools(arena)],
    }


def opened_session(session: ServedSession, base_url: str) -> dict[str, Json]:
    """What the opener of a session is told."""
    return {
        "id": session.id,
        "arena": session.arena.id,
        "play_token": session.play_token,
        "score_token": session.score_token,
        "mcp_url": f"{base_url}sessions/{session.id}/mcp",
        "messages": session.episode.messages,
        "tools": session.episode.tools,
    }


def as_arguments(arguments: Any) -> str:
    """Arguments as a model writes them: JSON text. An object is written out."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


async def session_error(request: Request, error: Exception) -> Response:
    """What a client is told of an error of its session."""
    assert isinstance(error, SessionError)
    headers = {"Retry-After": str(RETRY_SECONDS)} if error.status == 503 else {}
    if "mcp" in request.url.path.split("/"):
        # Clients of MCP show their users the message of an error of this form only.
        content = rpc_error(str(error))
    else:
        content = {"error": str(error)}
    return JSONResponse(content, error.status, headers=headers)


async def http_error(_: Request, error: Exception) -> Response:
    """What a client is told of a request that no route takes."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
