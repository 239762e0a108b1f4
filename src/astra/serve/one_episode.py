"""One episode of one arena, for a runner that plays it from another container.

POST /mcp     MCP (streamable HTTP): the tools, and a user who answers as one of them
POST /score   {"answer": TEXT} ends the episode and gives its reward, for who sends the token
GET  /health  200

    ASTRA_SCORE_TOKEN=… python -m astra.serve.one_episode FOLDER PORT
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from astra.arenas.sets import load_arenas
from astra.configs.base import SandboxConfig
from astra.errors import ConfigError, SessionError
from astra.models.keys import api_key
from astra.sandbox import sandbox_from
from astra.serve.access import bearer_token, is_one_of
from astra.serve.app import BODY_SECONDS, AsgiEndpoint, http_error, session_error
from astra.serve.bodies import BODY_BYTES, BoundedBodies, json_body
from astra.serve.mcp_server import McpEndpoint
from astra.serve.running import run_app
from astra.serve.sessions import ServedSession, SessionLimits, SessionTable
from astra.types import StopReason

TOKEN = "ASTRA_SCORE_TOKEN"
_DAY = 86_400.0
"""The runner has time-outs of its own."""


def episode_app(table: SessionTable, session: ServedSession, token: str) -> Starlette:
    """The application of an open session. `token`: what the score is given for."""
    endpoint = McpEndpoint(table, user_tool=True)

    async def mcp(scope: Scope, receive: Receive, send: Send) -> None:
        named = {**scope, "path_params": {"session": session.id}}
        await endpoint.of_session(named, receive, send)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def score(request: Request) -> Response:
        if not is_one_of(bearer_token(request), {token}):
            raise SessionError(401, "the score is given for its token only")
        answer = (await json_body(request)).get("answer", "")
        if not isinstance(answer, str):
            raise SessionError(400, f"'answer' is {answer!r:.100}: write a text")
        if not session.episode.over:
            await table.say(session, answer)
            await table.end(session, StopReason.answered)
        result = table.result(session.id)
        reward = None if result.score is None else result.score.reward
        return JSONResponse({"stop": result.stop.value, "error": result.error, "reward": reward})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with endpoint.manager.run():
            yield

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/score", score, methods=["POST"]),
            Route("/mcp", AsgiEndpoint(mcp)),
        ],
        lifespan=lifespan,
        exception_handlers={SessionError: session_error, HTTPException: http_error},
        middleware=[Middleware(BoundedBodies, BODY_BYTES, BODY_SECONDS)],
    )


async def serve_episode(folder: Path, listening: socket.socket, token: str) -> None:
    """Serve the one arena of a folder until a signal ends it. Raises ConfigError."""
    arenas = load_arenas(folder)
    if len(arenas) != 1:
        raise ConfigError(f"{str(folder)!r} holds {len(arenas)} arenas: give a folder of one")
    limits = SessionLimits(sessions=1, idle_seconds=_DAY, episode_seconds=_DAY)
    async with (
        sandbox_from(SandboxConfig()) as sandbox,
        SessionTable(arenas, sandbox, limits=limits) as table,
    ):
        session = await table.open(arenas.ids[0])
        await run_app(episode_app(table, session, token), listening)


def main() -> None:
    """Serve the folder and the port of the command line."""
    folder, port = sys.argv[1:]
    token = api_key(TOKEN)
    assert token is not None
    # From another container: there is nothing here that the agent may not reach without the token.
    with closing(socket.create_server(("0.0.0.0", int(port)))) as listening:
        asyncio.run(serve_episode(Path(folder), listening, token))


if __name__ == "__main__":
    main()
