"""Bodies of requests, bounded in size and in time before anything reads them."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from astra.core.untrusted import read_json
from astra.errors import SessionError
from astra.types import Json

BODY_BYTES = 1 << 20
"""Longest body of a request."""
_DRAINED = 16
"""How much of a body that is too long is read, in longest bodies."""


class BoundedBodies:
    """Reads the whole body of a request before the application sees it.

    413 for one that is too long, 408 for one that does not come: a client may announce a body and
    then say nothing more.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        """`most`: bytes of a body."""
        self._app = app
        self._most = most
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"")
        too_long = announced.isdigit() and int(announced) > self._most
        more, read, body = not too_long, 0, bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    piece = message.get("body", b"")
                    read += len(piece)
                    too_long = read > self._most
                    if not too_long:
                        body += piece
                    # Some more is read and dropped: who is still sending when the connection ends
                    # does not get to read why it did.
                    more = message.get("more_body", False) and read <= _DRAINED * self._most
        except TimeoutError:
            problem = f"the body did not arrive within {self._seconds:g} s"
            await _refuse(408, problem, scope, receive, send)
            return
        if too_long:
            problem = f"the body is over {self._most} bytes"
            await _refuse(413, problem, scope, receive, send)
            return
        await self._app(scope, _from_memory(bytes(body), receive), send)


async def json_body(request: Request) -> dict[str, Json]:
    """The body as an object. Raises SessionError."""
    try:
        body = read_json((await request.body()).decode(), most=BODY_BYTES)
    except ValueError as error:
        raise SessionError(400, f"the body is not JSON that can be used: {error}") from error
    if not isinstance(body, dict):
        raise SessionError(400, f"the body is not an object but {type(body).__name__}")
    return body


async def replayed(receive: Receive) -> tuple[bytes, Receive]:
    """A body that was read whole, and the same to be read once more."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body), _from_memory(bytes(body), receive)


def _from_memory(body: bytes, receive: Receive) -> Receive:
    first: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": body, "more_body": False}
    ]

    async def read() -> MutableMapping[str, Any]:
        return first.pop() if first else await receive()

    return read


async def _refuse(status: int, message: str, scope: Scope, receive: Receive, send: Send) -> None:
    # What is left of the body would be taken for the next request.
    response = JSONResponse({"error": message}, status, headers={"Connection": "close"})
    await response(scope, receive, send)
