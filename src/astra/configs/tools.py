"""Options of the commands on collected tools."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from astra.configs.base import (
    RUNTIME,
    Config,
    OutputConfig,
    Paths,
    TeacherConfig,
    above,
    at_least,
)


@dataclass(frozen=True)
class CollectToolsConfig(TeacherConfig, OutputConfig):
    """Tools."""

    sources: Annotated[Paths, RUNTIME]
    """MCP servers (mcpServers JSON), OpenAPI documents, lists of functions, rows of data sets,
    mcp_servers.jsonl, or folders of such files. The kind of a file follows from its content."""
    _: KW_ONLY
    out: Annotated[Path | str, RUNTIME]
    """Run folder to write."""
    min_tools: Annotated[int, at_least(1)] = 3
    """Minimum tools of a server."""
    strict: bool = False
    """A tool that fails a check rejects its server, as in the paper. Without it, only the tool."""
    tags: Sequence[str] = ()
    """Tags of the OpenAPI operations to take. Empty: all."""
    include: Sequence[str] = ()
    """Patterns of the tools to take: of their names, or of "GET /pets/*". Empty: all."""
    exclude: Sequence[str] = ()
    """Patterns of the tools to leave out."""
    max_tools: Annotated[int, at_least(1)] = 24
    """Maximum tools of a server made of an OpenAPI document; a larger one is split by its tags, or
    by its paths."""
    max_document_mib: Annotated[int, at_least(1), RUNTIME] = 64
    """Maximum size of a document, in MiB."""
    tool_timeout: Annotated[float, above(0), RUNTIME] = 60.0
    """Seconds to wait for one answer of a live server."""
    start_timeout: Annotated[float, above(0), RUNTIME] = 120.0
    """Seconds for a live server to start and answer."""
    confine_servers: Annotated[bool, RUNTIME] = True
    """Keep live servers that we start from your files. See docs/tools.md."""
    teacher: str | None = None
    """Model that acts as teacher; rules: the built-in teacher for trying out. None: no one names
    missing domains."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 4
    """Items at the same time: servers."""


@dataclass(frozen=True)
class ShowToolsConfig(Config):
    """Tools."""

    run: Path | str
    """Run folder of collected tools."""
    server: str | None = None
    """Name or id of the server, or its beginning. None: all servers."""


@dataclass(frozen=True)
class ToolGraphConfig(Config):
    """Tools."""

    run: Path | str
    """Run folder of trajectories."""
    server: str
    """Name or id of the server."""
    _: KW_ONLY
    out: Annotated[Path | str | None, RUNTIME] = None
    """File to write, an SVG. None: none."""
