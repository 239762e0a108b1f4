"""The tools of one or several servers under the names that an agent sees.

A name that only one server has stays as it is. A name that several have is prefixed with the
server's name, and numbered where that is not enough. The names depend on the set of servers, not
on their order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from astra.errors import ConfigError
from astra.trajectories.records import CollectedTool, CollectedToolServer
from astra.types import ToolSchema

LONGEST_NAME = 64
"""Characters; endpoints refuse longer ones."""
_LONGEST_PREFIX = 24


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool as the agent sees it."""

    document: ToolSchema
    """Under the agent's name for it."""
    server: CollectedToolServer
    tool: CollectedTool
    """As it was collected."""


class ToolSet(Mapping[str, AgentTool]):
    """Tools by the agent's name for them, in the order of the servers and of their tools."""

    def __init__(self, servers: Sequence[CollectedToolServer]) -> None:
        self.servers = tuple(servers)
        names = _agent_names(servers)
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

    def __getitem__(self, name: str) -> AgentTool:
        return self._tools[name]

    def documents(self) -> tuple[ToolSchema, ...]:
        """The documents of all tools."""
        return tuple(tool.document for tool in self._tools.values())


def _agent_names(servers: Sequence[CollectedToolServer]) -> dict[tuple[str, str], str]:
    """(server id, tool name) -> the agent's name."""
    # By id, so that the names do not depend on the order of the servers.
    ordered = sorted({server.id: server for server in servers}.values(), key=lambda s: s.id)
    pairs = [(server, tool.document.name) for server in ordered for tool in server.tools]
    uses = Counter(name for _, name in pairs)
    names = {(server.id, name): name for server, name in pairs if uses[name] == 1}
    taken = set(names.values())
    for server, name in pairs:
        if (server.id, name) in names:
            continue
        prefix = re.sub(r"[^a-z0-9]+", "_", server.name.lower()).strip("_")[:_LONGEST_PREFIX]
        if not prefix or not prefix[0].isalpha():
            prefix = f"server_{prefix}".rstrip("_")
        whole = f"{prefix}_{name}"
        unique, number = whole[:LONGEST_NAME], 1
        while unique in taken:
            number += 1
            suffix = f"_{number}"
            unique = whole[: LONGEST_NAME - len(suffix)] + suffix
        names[server.id, name] = unique
        taken.add(unique)
    return names


def find_server(servers: Sequence[CollectedToolServer], wanted: str) -> CollectedToolServer:
    """The server of that name or id, or the only one that begins so. Raises ConfigError."""
    names = {one.id: (one.name, one.connection.entry if one.connection else "") for one in servers}
    exact = [one for one in servers if wanted in (one.id, *names[one.id])]
    prefixed = [
        one
        for one in servers
        if one.id.startswith(wanted)
        or any(name.casefold().startswith(wanted.casefold()) for name in names[one.id] if name)
    ]
    matching = exact or prefixed
    if len(matching) == 1:
        return matching[0]
    if matching:
        several = ", ".join(f"{one.name} ({one.id})" for one in matching[:5])
        raise ConfigError(f"several servers begin with {wanted!r}: {several}: give an id")
    known = ", ".join(one.name for one in servers[:10]) or "none"
    raise ConfigError(f"there is no server {wanted!r}: there are {known}")
