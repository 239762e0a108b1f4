"""What sources give before anything is checked: servers and tools as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from astra.errors import Rejected
from astra.trajectories.records import Connection
from astra.types import Json, Record, content_hash

SourceKind = Literal["mcp", "openapi", "functions", "astra"]
TASK_ONLY = "task"
"""Check of tools that are there, but can't be called as others are (MCP's task augmentation)."""


@dataclass(frozen=True, slots=True)
class RawTool:
    """A tool as its source has it."""

    name: str
    description: str = ""
    parameters: Json = None
    """JSON Schema of the arguments, or nothing."""
    output_schema: Json = None
    read_only: bool | None = None
    examples: tuple[Json, ...] = ()
    notes: tuple[str, ...] = ()
    """What was changed on the way here, e.g. a cycle that was cut."""


@dataclass(frozen=True, slots=True)
class BrokenTool:
    """A tool that could not even be read."""

    name: str
    rejected: Rejected


@dataclass(frozen=True, slots=True)
class RawServer:
    """A service as its source has it, its tools in their order."""

    name: str
    source: SourceKind
    tools: tuple[RawTool | BrokenTool, ...]
    description: str = ""
    domain: str = ""
    connection: Connection | None = None


@dataclass(frozen=True, slots=True)
class DraftServer:
    """One service that a source speaks of, to be collected."""

    key: str
    """Names it in the rows of what was left out: the file, and the server in it."""
    content: RawServer | Connection | Rejected
    """What a file says; a live server that has yet to be asked; why it can't be read."""
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name, description and domain that the file gives a live server."""


class ToolNote(Record):
    """A row of `notes.jsonl`: what became of a tool that is not as its source has it."""

    server: str
    """Id of the server in `collected.jsonl`."""
    tool: str
    """Name at the source."""
    kept: bool
    """False: the tool was left out."""
    check: str
    reason: str


def draft_key(file: str, name: str, content: Json = None) -> str:
    """A key that tells servers of one name in one file apart by their content."""
    return f"{file}#{name}" if content is None else f"{file}#{name}#{content_hash(content)[:8]}"
