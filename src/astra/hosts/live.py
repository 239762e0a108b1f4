"""A live MCP server as a tool host: a session per episode, in a fresh working folder.

Nothing of an episode is left to the next one: a server that we start is started anew, on fresh
copies of its files, and brought to where it begins by the calls of its entry (`mcp_state`). One
that we reach over HTTP is not ours to restart; what it remembers, it remembers.

Whose failure is whose: an error that a tool reports is a result. A server that dies or stays
silent under a call is asked again, by a new session, when nothing that has been called so far may
have changed anything (its source says that these tools only read). If it fails in the same way and
yet starts again, the call is the tool's to answer for, and comes back as an error: were that a
failure of ours, a model could choose such arguments to have a bad episode left out of its scores.
Where a tool may have changed something, no call is made twice: the episode ends with `HostError`.

A server that can't write what it keeps, because its entry does not declare it, is not the agent's
failure: `HostError` says what to declare.

What this does not guarantee: a server that lies about which tools only read is believed.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from astra.errors import HostError
from astra.hosts.joined import JoinedHost
from astra.hosts.mcp_entries import McpServerEntry
from astra.hosts.mcp_options import McpRefused, McpServerGone, McpSessionOptions
from astra.hosts.mcp_results import as_result, problem
from astra.hosts.wrapped import WrappedHost
from astra.protocols import ToolHost, ToolResult
from astra.types import Json, RecordedCall, ServerStart, ToolSchema

if TYPE_CHECKING:
    from astra.hosts.mcp_session import McpSession

_log = logging.getLogger(__name__)


@functools.cache  # once, not for every call
def _warn(name: str, advice: str) -> None:
    _log.warning("server %r was kept from a file: %s", name, advice)


@dataclass(frozen=True, slots=True)
class LiveTool:
    """A tool as it is shown, and how its server calls it."""

    document: ToolSchema
    original_name: str
    read_only: bool = False
    """Whether the source says that a call changes nothing."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """Which tools may be called, and how much may come back."""

    read_only: bool = False
    """Show only tools whose source says that they change nothing."""
    allow: frozenset[str] | None = None
    """Show only these, by the names that are shown; None: all."""
    result_characters: int = 50_000
    """Longest result that is kept."""
    session: McpSessionOptions = McpSessionOptions()


class LiveHost:
    """One episode with a live server. Calls are answered one at a time, in the order asked.

    Raises HostError on entering when the server can't be started or reached, or when an allowed
    name is not one of its tools.
    """

    def __init__(
        self, entry: McpServerEntry, tools: Sequence[LiveTool], options: LiveOptions = LiveOptions()
    ) -> None:
        self._entry = entry
        self._options = options
        self._tools = {
            tool.document.name: tool
            for tool in tools
            if (tool.read_only or not options.read_only)
            and (options.allow is None or tool.document.name in options.allow)
        }
        self._unknown = (options.allow or set()) - {tool.document.name for tool in tools}
        self._session: McpSession | None = None
        self._began: ServerStart | None = None
        self._turn = asyncio.Lock()
        self._changed = False

    async def __aenter__(self) -> Self:
        if self._unknown:
            raise HostError(
                f"server {self._entry.name!r} has no tool {sorted(self._unknown)[0]!r}: "
                "correct the list of allowed tools"
            )
        self._changed = False
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    @property
    def start(self) -> ServerStart:
        """What the episode began with. HostError before the host is entered."""
        if self._began is None:
            raise HostError("the host was never open: use it as an async context")
        return self._began

    def tools(self) -> Sequence[ToolSchema]:
        """Documents of the allowed tools, as they were collected."""
        return [tool.document for tool in self._tools.values()]

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        """Call a tool by the name that is shown. HostError for one that is not, and as above."""
        tool = self._tools.get(name)
        if tool is None:
            raise HostError(f"server {self._entry.name!r} has no tool {name!r} that may be called")
        async with self._turn:
            # Before the call: one that breaks half-way may have changed something.
            self._changed = self._changed or not tool.read_only
            try:
                result = await self._ask(tool, arguments)
            except (McpServerGone, TimeoutError) as broken:
                result = await self._ask_again(tool, arguments, broken)
            self._check_writes(name, arguments, result)
        return ToolResult(self._entry.hide(result.content), is_error=result.is_error)

    async def _ask(self, tool: LiveTool, arguments: dict[str, Json]) -> ToolResult:
        if self._session is None:
            raise HostError("the host is not open: use it as an async context")
        try:
            result = await self._session.call_tool(tool.original_name, arguments)
        except McpRefused as refused:
            return problem("tool_failed", str(refused))
        return as_result(result, most=self._options.result_characters)

    async def _ask_again(
        self, tool: LiveTool, arguments: dict[str, Json], broken: Exception
    ) -> ToolResult:
        name = tool.document.name
        if self._changed:
            raise HostError(
                f"server {self._entry.name!r} broke under {name!r}, and may have changed "
                f"something, so that nothing is called again: {broken}"
            ) from broken
        await self._restart()
        try:
            return await self._ask(tool, arguments)
        except (McpServerGone, TimeoutError) as again:
            await self._restart()  # a server that is down fails here too
            return problem("tool_failed", f"the tool broke under these arguments: {again}")

    # --- the session -----------------------------------------------------------------------

    async def _start(self) -> None:
        from astra.hosts.mcp_session import McpSession  # late: slow to import

        entry = self._entry
        session = McpSession(entry, self._options.session)
        await session.__aenter__()
        self._session = session
        try:
            calls = [
                await self._start_call(session, number) for number in range(len(entry.state.calls))
            ]
        except BaseException:
            await self._stop()
            raise
        kept = entry.kind != "stdio" or bool(entry.state.shared)
        self._began = ServerStart(
            server=entry.name,
            state="kept" if kept else "fresh",
            files=session.files.digest if session.files else None,
            shared=tuple(map(str, entry.state.shared)),
            calls=tuple(calls),
        )

    async def _start_call(self, session: McpSession, number: int) -> RecordedCall:
        call = self._entry.state.calls[number]
        where = f"server {self._entry.name!r}, call {number + 1} of its start ({call.tool})"
        arguments = dict(call.arguments)
        try:
            answer = await session.call_tool(call.tool, arguments)
        except (McpRefused, TimeoutError) as error:
            raise HostError(f"{where}: {error}: correct it in the entry") from error
        result = as_result(answer, most=self._options.result_characters)
        content = self._entry.hide(result.content)
        self._check_writes(call.tool, arguments, result)
        if result.is_error:
            raise HostError(f"{where} failed: {content!r:.500}: correct it in the entry")
        return RecordedCall(tool=call.tool, arguments=self._entry.hide(arguments), content=content)

    def _check_writes(self, name: str, arguments: dict[str, Json], result: ToolResult) -> None:
        """HostError when a result says that the server can't write files of its own."""
        if self._session is None:
            return
        if advice := self._session.refused_read(result, arguments):
            _warn(self._entry.name, self._entry.hide(advice))
        if advice := self._session.refused_write(result, arguments):
            advice = self._entry.hide(advice)
            raise HostError(f"server {self._entry.name!r} under {name!r}: {advice}")

    async def _stop(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.__aexit__(None, None, None)

    async def _restart(self) -> None:
        await self._stop()
        await self._start()


def server_starts(host: ToolHost) -> tuple[ServerStart, ...]:
    """What the live servers of an entered host began with."""
    match host:
        case LiveHost():
            return (host.start,)
        case WrappedHost():
            return server_starts(host.host)
        case JoinedHost():
            return tuple(start for each in host.hosts for start in server_starts(each))
        case _:
            return ()
