"""Who may use the server: a token, sent as `Authorization: Bearer TOKEN`.

The server's token opens everything. A session's play token opens what an agent needs of that
session: its tools and its user. Scores are given for the server's token and for the session's score
token only. Without a token of its own the server takes whoever reaches it on the loopback without
one; a session takes no wrong token, and scores need a score token then, too.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

if TYPE_CHECKING:
    # Pages over run folders have the same rules and no sessions: they start without all of these.
    from astra.serve.sessions import SessionTable

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PLAY = ("calls", "mcp", "messages", "v1")
"""What of a session its play token opens."""
_FREE = ("/health",)


def bearer_token(connection: HTTPConnection) -> str:
    """The token of a request. Empty if there is none."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def host_name(connection: HTTPConnection) -> str:
    """The name that the client has for this server, as it was sent.

    Not by `connection.url`: where that can't read the header, it has this machine's own address.
    """
    return re.sub(r":\d*$", "", connection.headers.get("host", "")).strip("[]").lower()


def is_one_of(token: str, allowed: Collection[str | None]) -> bool:
    """Whether a token is one of some, in a time that tells nothing about them."""
    matches = [hmac.compare_digest(token.encode(), known.encode()) for known in allowed if known]
    return any(matches)


class TokenAccess:
    """Refuses requests without a right token (401), and what a browser was tricked into.

    On the loopback, only requests to a loopback name are served: a web page may have its own name
    lead to this machine.
    """

    def __init__(
        self, app: ASGIApp, table: SessionTable, token: str | None, *, loopback: bool
    ) -> None:
        self._app = app
        self._table = table
        self._token = token
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        host = host_name(connection)
        origin = urlsplit(connection.headers.get("origin", "")).hostname
        if self._loopback and host not in LOOPBACK:
            await _refuse(421, f"the host {host[:100]!r} is not served here", scope, receive, send)
        elif origin is not None and origin not in (host, *LOOPBACK):
            problem = f"pages of {origin[:100]!r} may not use this server"
            await _refuse(403, problem, scope, receive, send)
        elif self._allowed(connection):
            await self._app(scope, receive, send)
        else:
            problem = "a token is needed: send the header `Authorization: Bearer TOKEN`"
            await _refuse(401, problem, scope, receive, send)

    def _allowed(self, connection: HTTPConnection) -> bool:
        path, given = connection.url.path, bearer_token(connection)
        if path in _FREE or (self._token is None and not given):
            return True
        allowed = {self._token}
        match path.split("/")[1:]:
            case ["sessions", session_id, part, *_] if part in _PLAY:
                allowed.add(self._table.play_token(session_id))
            case ["sessions", _, "score"]:
                return True  # the endpoint asks for a token of its own
            case _ if self._token is None:
                return True
            case _:
                pass
        return is_one_of(given, allowed)


async def _refuse(status: int, message: str, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocketClose(code=1008, reason=message[:120])(scope, receive, send)
        return
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    await JSONResponse({"error": message}, status, headers=headers)(scope, receive, send)
