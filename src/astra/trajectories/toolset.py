"""The tools of one or several servers under the names that an agent is shown.

Names that only one server has are shown as they are. A name that several have gets its server's
name before it, and a number where that is not enough. What a tool is called depends on which
servers there are alone, not on their order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from astra.trajectories.records import CollectedTool, CollectedToolServer
from astra.types import ToolSchema

LONGEST_NAME = 64
"""Characters; endpoints refuse longer ones."""
_LONGEST_PREFIX = 24


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool as it is shown."""

    document: ToolSchema
    """Under the name that is shown."""
    server: CollectedToolServer
    tool: CollectedTool
    """As it was collected."""


class ToolSet:
    """Shown name -> server and tool. The order is that of the servers and of their tools."""

    def __init__(self, servers: Sequence[CollectedToolServer]) -> None:
        self.servers = tuple(servers)
        names = _names(servers)
        self._tools: dict[str, AgentTool] = {}
        for server in servers:
            for tool in server.tools:
                name = names[server.id, tool.document.name]
                document = tool.document.model_copy(update={"name": name})
                self._tools[name] = AgentTool(document, server, tool)

    def __len__(self) -> int:
        return len(self._tools)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __getitem__(self, name: str) -> AgentTool:
        return self._tools[name]

    def get(self, name: str) -> AgentTool | None:
        """The tool of that name; None: there is none."""
        return self._tools.get(name)

    def documents(self) -> tuple[ToolSchema, ...]:
        """What the agent is shown."""
        return tuple(shown.document for shown in self._tools.values())


def _names(servers: Sequence[CollectedToolServer]) -> dict[tuple[str, str], str]:
    """(server id, tool name) -> shown name."""
    ordered = sorted({server.id: server for server in servers}.values(), key=lambda s: s.id)
    pairs = [(server, tool.document.name) for server in ordered for tool in server.tools]
    common = Counter(name for _, name in pairs)
    shown = {(s.id, name): name for s, name in pairs if common[name] == 1}
    taken = set(shown.values())
    for server, name in pairs:
        if (server.id, name) not in shown:
            shown[server.id, name] = _free(f"{_prefix(server)}_{name}", taken)
            taken.add(shown[server.id, name])
    return shown


def _prefix(server: CollectedToolServer) -> str:
    prefix = re.sub(r"[^a-z0-9]+", "_", server.name.lower()).strip("_")[:_LONGEST_PREFIX]
    return prefix if prefix and prefix[0].isalpha() else f"server_{prefix}".rstrip("_")


def _free(name: str, taken: set[str]) -> str:
    wanted, number = name[:LONGEST_NAME], 1
    while wanted in taken:
        number += 1
        end = f"_{number}"
        wanted = name[: LONGEST_NAME - len(end)] + end
    return wanted
