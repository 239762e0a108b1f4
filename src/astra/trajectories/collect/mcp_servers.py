"""Live MCP servers: asked for their tools, and played on in rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mcp_types as wire

from astra.errors import ConfigError, HostError, Rejected
from astra.hosts.live import LiveHost, LiveOptions, LiveTool
from astra.hosts.mcp_entries import McpServerEntry, read_entry
from astra.hosts.mcp_session import McpRefused, McpSession, McpSessionOptions
from astra.trajectories.collect.drafts import TASK_ONLY, BrokenTool, RawServer, RawTool
from astra.trajectories.records import CollectedToolServer, Connection

MOST_TOOLS = 10_000
RELISTS = 3
"""How often a list that changes while it is read is read again."""


async def collect(
    connection: Connection, given: Mapping[str, str], options: McpSessionOptions
) -> RawServer:
    """The server behind an entry, with its tools; Rejected for an entry or answers that are
    wrong, HostError for a server that can't be reached, dies or is silent.

    `given`: name, description and domain from the entry, which go before the server's own.
    """
    try:
        entry = read_entry(Path(connection.file), connection.entry)
        return await _ask(entry, connection, given, options)
    except ConfigError as error:
        raise Rejected("entry", str(error)) from error
    except McpRefused as refused:
        raise Rejected("protocol", str(refused)) from refused
    except TimeoutError as error:
        raise HostError(f"server {connection.entry!r}: the tool list: {error}") from error


async def _ask(
    entry: McpServerEntry,
    connection: Connection,
    given: Mapping[str, str],
    options: McpSessionOptions,
) -> RawServer:
    async with McpSession(entry, options) as session:
        listed = await session.list_tools(most=MOST_TOOLS)
        for _ in range(RELISTS):
            if not session.list_changed:
                break
            session.list_changed = False
            listed = await session.list_tools(most=MOST_TOOLS)
        tools = tuple(_tool(entry, tool) for tool in listed)
        said = entry.hide(session.instructions)
        return RawServer(
            name=given.get("name") or entry.hide(session.title) or entry.name,
            source="mcp",
            tools=tools,
            description=given.get("description") or said,
            domain=given.get("domain", ""),
            connection=connection,
        )


def _tool(entry: McpServerEntry, tool: wire.Tool) -> RawTool | BrokenTool:
    """A tool as it was listed, the entry's keys taken out; its name stays, for calls need it."""
    if tool.execution is not None and tool.execution.task_support == "required":
        return BrokenTool(tool.name, Rejected(TASK_ONLY, "it can only be called as a task"))
    description, parameters, output = entry.hide(
        [tool.description or tool.title or "", tool.input_schema, tool.output_schema]
    )
    hints = tool.annotations
    return RawTool(
        name=tool.name,
        description=description,
        parameters=parameters,
        output_schema=output,
        read_only=None if hints is None else hints.read_only_hint,
    )


def live_host(server: CollectedToolServer, options: LiveOptions = LiveOptions()) -> LiveHost:
    """A host for one episode on a collected server; ConfigError when its entry can't be read."""
    if server.connection is None:
        raise ConfigError(
            f"server {server.name!r} is known from documents only: use the emulator for it"
        )
    entry = read_entry(Path(server.connection.file), server.connection.entry)
    tools = [
        LiveTool(tool.document, tool.original_name, tool.read_only is True) for tool in server.tools
    ]
    return LiveHost(entry, tools, options)
