"""Live MCP servers, asked for their tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from astra.errors import ConfigError, HostError, Rejected
from astra.hosts.mcp_entries import read_entry
from astra.hosts.mcp_options import McpRefused, McpSessionOptions
from astra.hosts.mcp_session import McpSession
from astra.trajectories.collect.drafts import TASK_ONLY, BrokenTool, RawServer, RawTool
from astra.trajectories.records import Connection

MOST_TOOLS = 10_000
MOST_RELISTS = 3
"""How often the tools are listed again when the server says that its list has changed."""


async def mcp_server(
    connection: Connection, overrides: Mapping[str, str], options: McpSessionOptions
) -> RawServer:
    """The server of an `mcpServers` entry, with its tools.

    `overrides`: name, description and domain from the entry, which win over the server's own.
    Raises Rejected for a wrong entry or answer, HostError for a server that can't be reached,
    dies or does not answer.
    """
    try:
        entry = read_entry(Path(connection.file), connection.entry)
        async with McpSession(entry, options) as session:
            listed = await session.list_tools(most=MOST_TOOLS)
            for _ in range(MOST_RELISTS):
                if not session.list_changed:
                    break
                session.list_changed = False
                listed = await session.list_tools(most=MOST_TOOLS)
            # Servers may echo what they were started with: `hide` removes the entry's keys. Names
            # are left alone, since calls need them.
            tools: list[RawTool | BrokenTool] = [
                BrokenTool(name, Rejected("protocol", reason))
                for name, reason in session.unreadable.items()
            ]
            for tool in listed:
                if tool.execution is not None and tool.execution.task_support == "required":
                    reason = "it can only be called as a task"
                    tools.append(BrokenTool(tool.name, Rejected(TASK_ONLY, reason)))
                    continue
                description, parameters, output = entry.hide(
                    [tool.description or tool.title or "", tool.input_schema, tool.output_schema]
                )
                hints = tool.annotations
                tools.append(
                    RawTool(
                        name=tool.name,
                        description=description,
                        parameters=parameters,
                        output_schema=output,
                        read_only=None if hints is None else hints.read_only_hint,
                    )
                )
            return RawServer(
                name=overrides.get("name") or entry.hide(session.title) or entry.name,
                source="mcp",
                tools=tuple(tools),
                description=overrides.get("description") or entry.hide(session.instructions),
                domain=overrides.get("domain", ""),
                connection=connection,
            )
    except ConfigError as error:
        raise Rejected("entry", str(error)) from error
    except McpRefused as refused:
        raise Rejected("protocol", str(refused)) from refused
    except TimeoutError as error:
        raise HostError(f"server {connection.entry!r}: the tool list: {error}") from error
