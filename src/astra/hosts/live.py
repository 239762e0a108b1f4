"""A live MCP server as a tool host: a session per episode, in a fresh working folder.

Nothing of an episode is left to the next one: a server that we start is started anew. One that we
reach over HTTP is not ours to restart; what it remembers, it remembers.

Whose failure is whose: an error that a tool reports is a result. A server that dies or stays
silent under a call is asked again, by a new session, when nothing that has been called so far may
have changed anything (its source says that these tools only read). If it fails in the same way and
yet starts again, the call is the tool's to answer for, and comes back as an error: were that a
failure of ours, a model could choose such arguments to have a bad episode left out of its scores.
Where a tool may have changed something, no call is made twice: the episode ends with `HostError`.

What this does not guarantee: a server that lies about which tools only read is believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from astra.errors import HostError
from astra.hosts.mcp_entries import McpServerEntry
from astra.hosts.mcp_results import as_result, problem
from astra.hosts.mcp_session import McpRefused, McpServerGone, McpSession, McpSessionOptions
from astra.protocols import ToolResult
from astra.types import Json, ToolSchema


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
        session = McpSession(self._entry, self._options.session)
        await session.__aenter__()
        self._session = session

    async def _stop(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.__aexit__(None, None, None)

    async def _restart(self) -> None:
        await self._stop()
        await self._start()
