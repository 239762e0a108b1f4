"""A real HTTP/1.1 server on the loopback for servers that answer, or go wrong, on purpose.

It understands what clients of JSON APIs send: requests with a `content-length`, several on one
connection. No TLS, no chunked bodies, no streaming: it is not made for the open.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Literal, NamedTuple, Self

from astra.types import Json

LONGEST_REQUEST = 32 * 2**20
"""Bytes of a request's body."""
_LONGEST_HEAD = 64 * 2**10
_PIECES = 20
"""Parts in which a slow reply comes."""

WireFault = Literal["reset", "silent", "truncated", "slow", "trickle"]
"""How a reply is sent wrong. reset: the connection is torn down. silent: nothing for
`HttpReply.seconds`, then the end. truncated: half of the announced body, then the end. slow: the
whole reply, spread over `seconds`. trickle: a byte twenty times a second, then the end."""


class HttpRequest(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    """Without the query."""
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


class HttpReply(NamedTuple):
    """A reply, and how it is sent wrong."""

    status: int
    body: bytes | Json
    """Bytes are sent as they are, anything else as JSON."""
    headers: Mapping[str, str] = {}
    fault: WireFault | None = None
    seconds: float = 0.0
    """How long `silent` and `slow` take."""


class LoopbackServer:
    """A server as a context, which runs in a thread of its own. Override `respond`."""

    def __init__(self, port: int = 0) -> None:
        """`port`: 0 takes a free one. Entering raises OSError if it is taken."""
        self._port = port
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    async def respond(self, request: HttpRequest) -> HttpReply:
        """The reply to a request. It runs in the server's thread, and must not block it."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:  # the port is taken: raised where the server was entered
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        connections: set[asyncio.Task[None]] = set()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._connection(reader, writer))
            connections.add(task)  # the loop holds tasks weakly
            task.add_done_callback(connections.discard)

        # The default backlog of 100 refuses some of the connections that clients open at once.
        server = await asyncio.start_server(
            accepted, "127.0.0.1", self._port, backlog=1024, limit=_LONGEST_HEAD
        )
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one connection, one after the other. Clients may go away at any time."""
        try:
            while (request := await _read(reader)) is not None:
                if not await _send(await self.respond(request), writer):
                    break
        except _BadRequest as error:
            with suppress(OSError):
                await _send(HttpReply(400, {"error": {"message": str(error)}}), writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class _BadRequest(ValueError):
    """Something that is not a request of the kind that is understood here."""


async def _read(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request; None when the client has left."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise _BadRequest("the head of the request is too long") from None
    first, *lines = head.splitlines()
    method, _, rest = first.partition(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LONGEST_REQUEST or "transfer-encoding" in headers:
        raise _BadRequest(f"a body needs a content-length of at most {LONGEST_REQUEST}")
    body = await reader.readexactly(int(length))
    return HttpRequest(method, rest.partition(" ")[0].partition("?")[0], headers, body)


async def _send(reply: HttpReply, writer: asyncio.StreamWriter) -> bool:
    """Write a reply, as wrong as it is meant to be; whether the connection can go on."""
    content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    head = {"content-type": "application/json", "content-length": len(content), **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    phrase = HTTPStatus(reply.status).phrase
    start = f"HTTP/1.1 {reply.status} {phrase}\r\n{lines}\r\n".encode("latin-1")
    match reply.fault:
        case "reset":
            # Zero linger: the kernel sends a reset in place of an orderly end.
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        case "silent":
            await asyncio.sleep(reply.seconds)
        case "truncated":
            writer.write(start + content[: len(content) // 2])
            await writer.drain()
        case "trickle":
            writer.write(start)
            for number in range(len(content)):
                writer.write(content[number : number + 1])
                await writer.drain()
                await asyncio.sleep(0.05)
        case "slow":
            writer.write(start)
            for number in range(_PIECES):
                await asyncio.sleep(reply.seconds / _PIECES)
                a, b = (len(content) * n // _PIECES for n in (number, number + 1))
                writer.write(content[a:b])
                await writer.drain()
        case None:
            writer.write(start + content)
            await writer.drain()
    return reply.fault in (None, "slow")
