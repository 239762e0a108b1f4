"""Which tools of a source are wanted, and in which servers those of a large document stand.

A document of a thousand operations is no server that an agent could be shown: its tools are put
into servers by the document's tags, else by the beginning of their paths.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from astra.errors import Rejected
from astra.trajectories.collect.drafts import BrokenTool, RawServer, RawTool

_VERSION = re.compile(r"v?\d+(\.\d+)*|api|rest", re.I)


@dataclass(frozen=True, slots=True)
class ToolSelection:
    """What to take of each source."""

    tags: Sequence[str] = ()
    """Tags of OpenAPI operations, in any case. Empty: all."""
    include: Sequence[str] = ()
    """Patterns (`*`, `?`, `[…]`) of names, or of "METHOD /path". Empty: all."""
    exclude: Sequence[str] = ()
    max_tools: int = 24
    """Largest number of tools of a server that is made of a document."""

    def selected(self, server: RawServer) -> RawServer:
        """The server with the tools that are wanted. Raises Rejected if there are none."""
        tools = tuple(tool for tool in server.tools if self._wants(tool))
        if server.tools and not tools:
            reason = f"none of its {len(server.tools)} tools has such a tag, name or path"
            raise Rejected("selection", reason)
        return server if len(tools) == len(server.tools) else replace(server, tools=tools)

    def _wants(self, tool: RawTool | BrokenTool) -> bool:
        if self.tags:
            wanted = {tag.casefold() for tag in self.tags}
            if not wanted & {tag.casefold() for tag in tool.tags}:
                return False
        names = [tool.name.casefold(), tool.operation.casefold()]
        return (not self.include or _matches(self.include, names)) and not (
            self.exclude and _matches(self.exclude, names)
        )

    def split(self, server: RawServer, *, min_tools: int) -> list[RawServer]:
        """The servers that a document's tools stand in, at most `max_tools` in each.

        Groups smaller than `min_tools` stand together.
        """
        if len(server.tools) <= self.max_tools:
            return [server]
        groups: dict[str, list[RawTool | BrokenTool]] = {}
        for tool in server.tools:
            groups.setdefault(_group(tool), []).append(tool)
        rest: list[RawTool | BrokenTool] = []
        parts: list[tuple[str, list[RawTool | BrokenTool]]] = []
        for name, tools in groups.items():
            if len(tools) < min_tools:
                rest += tools
                continue
            parts += _even(name, tools, self.max_tools)
        parts += _even("other", rest, self.max_tools)
        return [
            replace(server, name=f"{server.name}: {name}", tools=tuple(tools))
            for name, tools in parts
        ]


def _matches(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern.casefold()) for pattern in patterns for name in names)


def _group(tool: RawTool | BrokenTool) -> str:
    if tool.tags:
        return tool.tags[0]
    segments = tool.operation.partition(" ")[2].strip("/").split("/")
    return next((s for s in segments if s and "{" not in s and not _VERSION.fullmatch(s)), "other")


def _even(
    name: str, tools: list[RawTool | BrokenTool], most: int
) -> list[tuple[str, list[RawTool | BrokenTool]]]:
    """The tools in parts of nearly equal size, so that the last one is not too small."""
    count = math.ceil(len(tools) / most)
    if count < 2:
        return [(name, tools)] if tools else []
    bounds = [round(len(tools) * part / count) for part in range(count + 1)]
    return [
        (f"{name} ({number} of {count})", tools[start:end])
        for number, (start, end) in enumerate(itertools.pairwise(bounds), start=1)
    ]
