"""Servers and tools as their sources have them, before anything is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from astra.errors import Rejected
from astra.trajectories.records import Connection
from astra.types import Json, Record

SourceKind = Literal["mcp", "openapi", "functions", "astra"]
TASK_ONLY = "task"
"""Check of tools that exist, but can only be called as MCP tasks."""


@dataclass(frozen=True, slots=True)
class RawTool:
    """A tool as its source has it."""

    name: str
    description: str = ""
    parameters: Json = None
    """JSON Schema of the arguments. None: the source gives none."""
    output_schema: Json = None
    read_only: bool | None = None
    examples: tuple[Json, ...] = ()
    notes: tuple[str, ...] = ()
    """Changes that reading made, e.g. a cycle that was cut."""
    tags: tuple[str, ...] = ()
    operation: str = ""
    """Of an OpenAPI operation, "get /pets/{id}"."""


@dataclass(frozen=True, slots=True)
class BrokenTool:
    """A tool that could not be read."""

    name: str
    rejected: Rejected
    tags: tuple[str, ...] = ()
    operation: str = ""


@dataclass(frozen=True, slots=True)
class RawServer:
    """A server as its source has it, its tools in their order."""

    name: str
    source: SourceKind
    tools: tuple[RawTool | BrokenTool, ...]
    description: str = ""
    domain: str = ""
    connection: Connection | None = None


@dataclass(frozen=True, slots=True)
class DraftServer:
    """One server that a source names, to be collected."""

    key: str
    """File and server in it; identifies the row, also when the server is rejected."""
    content: RawServer | Connection | Rejected
    """Connection: a live server that has yet to be asked. Rejected: it can't be read."""
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name, description and domain that the file gives a live server."""


class ToolNote(Record):
    """A row of `notes.jsonl`: a tool that was left out, or changed."""

    server: str
    """Id of the server in `collected.jsonl`."""
    tool: str
    """Name at the source."""
    kept: bool
    """False: the tool was left out."""
    check: str
    reason: str
