"""One session with an MCP server, by whichever transport its entry names.

The SDK's client must be left in the task that entered it, and calls come from many; so a task of
the session's own holds it open. All that can go wrong with a server ends as one of two errors:
`HostError` when it can't be reached or is gone, `McpRefused` when it answers that it won't.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
import mcp_types as wire
from mcp.client import Client
from mcp.client._transport import TransportStreams
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

from astra.errors import AstraError
from astra.hosts.mcp_entries import McpServerEntry
from astra.hosts.mcp_options import McpRefused, McpServerGone, McpSessionOptions
from astra.hosts.mcp_state import EpisodeFiles, episode_files
from astra.hosts.mcp_stdio import ServerProcess, stdio_transport
from astra.protocols import ToolResult
from astra.types import Json

MOST_PAGES = 1000
"""Pages of a tool list that are asked for."""

# What a server sends is its affair, and is told in the errors; the SDK would log all of it.
logging.getLogger("mcp").addHandler(logging.NullHandler())
logging.getLogger("client").addHandler(logging.NullHandler())
_TRANSPORT = (
    *("Connection closed", "SSE stream ", "Server returned an error response"),
    *("Session terminated", "Not Found"),
)
"""What the SDK says in the server's stead when the connection fails below the protocol; its codes
are also those of servers' own errors."""

_R = TypeVar("_R", bound=BaseModel)


class McpSession:
    """An open session; an async context. `list_changed` tells of a changed tool list."""

    def __init__(
        self, entry: McpServerEntry, options: McpSessionOptions = McpSessionOptions()
    ) -> None:
        self.entry = entry
        self.list_changed = False
        self.unreadable: dict[str, str] = {}
        """Why entries of the tool list are no tools, by name."""
        self.alive = False
        self.files: EpisodeFiles | None = None
        """Of a server that we started."""
        self._options = options
        self._process = ServerProcess()
        self._ready: asyncio.Future[Client] | None = None
        self._leave = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start or reach the server. Raises HostError with what it said last, keys taken out."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._task = asyncio.create_task(self._hold(self._ready))
        try:
            async with asyncio.timeout(self._options.connect_seconds):
                # Shielded: a time-out must not cancel what `_hold` still has to resolve.
                self._client = await asyncio.shield(self._ready)
        except TimeoutError:
            await self._end()
            raise self._gone(f"no greeting within {self._options.connect_seconds:g} s") from None
        except asyncio.CancelledError:
            await self._end()
            raise
        self.alive = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        self.alive = False
        self._leave.set()
        assert self._task is not None and self._ready is not None
        if not self._ready.done():
            self._ready.cancel()
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _hold(self, ready: asyncio.Future[Client]) -> None:
        """Enter the client, wait until it is to be left, and leave it, all in one task."""
        try:
            async with self._transport() as streams:
                client = Client(
                    # The SDK wants a transport that it opens itself; ours is open already.
                    contextlib.nullcontext(streams),
                    read_timeout_seconds=self._options.connect_seconds,
                    message_handler=self._on_message,
                    cache=None,
                )
                async with client:
                    ready.set_result(client)
                    await self._leave.wait()
        except Exception as error:  # noqa: BLE001 - told to whoever waits for the session
            if not ready.done():
                cause: BaseException = error
                while isinstance(cause, BaseExceptionGroup):
                    cause = cause.exceptions[0]
                text = f"it can't be spoken to: {type(cause).__name__}: {cause}"
                if isinstance(cause, AstraError):  # ours, and complete
                    text = str(cause)
                ready.set_exception(self._gone(text))
        finally:
            self.alive = False

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[TransportStreams]:
        entry, options = self.entry, self._options

        def make_client(
            headers: Any = None, timeout: Any = None, auth: Any = None
        ) -> httpx2.AsyncClient:
            return httpx2.AsyncClient(
                headers=dict(headers or {}),
                timeout=timeout,
                auth=auth,
                transport=_BoundedTransport(options.message_bytes),
                # The proxy and the key files of our environment are none of the server's business.
                trust_env=False,
            )

        async with contextlib.AsyncExitStack() as stack:
            if entry.kind == "stdio":
                # Servers leave files behind that can't be removed, e.g. of another user.
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="astra-mcp-", ignore_cleanup_errors=True)
                )
                root = Path(folder).resolve()
                self.files = await asyncio.to_thread(episode_files, entry.state, root)
                transport = stdio_transport(
                    entry,
                    self.files,
                    self._process,
                    message_bytes=options.message_bytes,
                    confined=options.confined,
                )
            elif entry.kind == "sse":
                transport = sse_client(
                    entry.url,
                    headers=dict(entry.headers),
                    httpx_client_factory=make_client,
                )
            else:
                timeout = httpx2.Timeout(options.connect_seconds, read=options.call_seconds)
                http = await stack.enter_async_context(make_client(entry.headers, timeout))
                transport = streamable_http_client(
                    entry.url, http_client=http, max_sse_event_size=options.message_bytes
                )
            yield await stack.enter_async_context(transport)

    async def _on_message(self, message: object) -> None:
        if isinstance(message, wire.ToolListChangedNotification):
            self.list_changed = True

    # --- requests --------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """What the server calls itself; "" when it does not say."""
        info = self._client.server_info
        return "" if info is None else info.title or info.name

    @property
    def instructions(self) -> str:
        return self._client.instructions or ""

    async def list_tools(self, *, most: int) -> list[wire.Tool]:
        """All pages of the tool list. Refused when there are more than `most`, or pages no end.

        Entries that are no tools are left out, and told in `unreadable`, if there are others.
        """
        tools: list[wire.Tool] = []
        unreadable: dict[str, ValidationError] = {}
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            request = wire.ListToolsRequest(params=wire.PaginatedRequestParams(cursor=cursor))
            page = await self._ask(request, _ToolPage, unchecked=True)
            for number, value in enumerate(page.tools, start=len(tools) + len(unreadable) + 1):
                try:
                    tools.append(wire.Tool.model_validate(value))
                except ValidationError as error:
                    name = value.get("name") if isinstance(value, dict) else None
                    shown = name if isinstance(name, str) and name else f"number {number}"
                    unreadable[shown] = error
            if len(tools) + len(unreadable) > most:
                raise McpRefused(f"over {most} tools")
            if not page.next_cursor or page.next_cursor == cursor:
                break
            cursor = page.next_cursor
        else:
            raise McpRefused(f"the tool list has over {MOST_PAGES} pages")
        if unreadable and not tools:
            raise _no_result(next(iter(unreadable.values())))
        self.unreadable = {
            name: self.entry.hide(str(_no_result(error))) for name, error in unreadable.items()
        }
        return tools

    async def call_tool(self, name: str, arguments: dict[str, Json]) -> wire.CallToolResult:
        """One call. Raises TimeoutError, `McpServerGone` or `McpRefused`."""
        params = wire.CallToolRequestParams(name=name, arguments=arguments)
        return await self._ask(wire.CallToolRequest(params=params), wire.CallToolResult)

    async def _ask(self, request: Any, wanted: type[_R], *, unchecked: bool = False) -> _R:
        """Ask past the client's own `call_tool`, which would compile the server's schemas.

        `unchecked`: `wanted` alone says what is a result, not the version of the protocol, by which
        one wrong tool makes the whole list wrong.
        """
        if not self.alive:
            raise self._gone("it is gone")
        session = self._client.session
        try:
            if unchecked:
                data = request.model_dump(by_alias=True, mode="json", exclude_none=True)
                call: Any = {"timeout": self._options.call_seconds}
                # The public way checks the answer; there is none without.
                session._stamp(data, call)  # pyright: ignore[reportPrivateUsage]
                dispatcher = session._dispatcher  # pyright: ignore[reportPrivateUsage]
                answer = await dispatcher.send_raw_request(data["method"], data.get("params"), call)
                return wanted.model_validate(answer, by_name=False)
            return await session.send_request(request, wanted, self._options.call_seconds)
        except MCPError as error:
            if error.code == wire.REQUEST_TIMEOUT:
                raise TimeoutError(f"no answer within {self._options.call_seconds:g} s") from error
            if error.message.startswith(_TRANSPORT):
                self.alive = False
                raise self._gone("it ended during the request") from error
            raise McpRefused(self.entry.hide(f"{error.message} (code {error.code})")) from error
        except ValidationError as error:
            raise _no_result(error) from error

    def refused_write(self, result: ToolResult, arguments: Mapping[str, Json]) -> str:
        """What to declare, when a result says that the server may not write what it keeps."""
        access = self._process.access
        return "" if access is None else access.refused_write(result, arguments)

    def refused_read(self, result: ToolResult, arguments: Mapping[str, Json]) -> str:
        """What to declare, when an error says that the server may not read a file that it needs."""
        access = self._process.access
        return "" if access is None else access.refused_read(result, arguments)

    def _gone(self, what: str) -> McpServerGone:
        said = self._process.said()
        text = f"server {self.entry.name!r}: {what}" + (f" ({said})" if said else "")
        return McpServerGone(self.entry.hide(text))


class _ToolPage(wire.PaginatedResult):
    """A page of a tool list whose entries are validated one by one."""

    tools: list[Any]


def _no_result(error: ValidationError) -> McpRefused:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return McpRefused(f"its answer is not a result: {where}: {first['msg']}")


# --- HTTP -------------------------------------------------------------------------------------


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error when it is over the bound."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for part in self._stream:
            seen += len(part)
            if seen > self._most:
                raise httpx2.StreamError(f"a reply of over {self._most} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _BoundedTransport(httpx2.AsyncHTTPTransport):
    """Bounds bodies that are read whole; streams of events are bounded event by event."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if "text/event-stream" not in response.headers.get("content-type", ""):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(response.stream, self._most)
        return response
