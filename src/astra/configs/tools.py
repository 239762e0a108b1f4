"""Options of the commands on collected tools."""

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
    """MCP servers (mcpServers JSON), OpenAPI 3 documents, lists of functions, mcp_servers.jsonl, or
    folders of such files. The kind of a file follows from its content."""
    _: KW_ONLY
    out: Annotated[Path | str, RUNTIME]
    """Run folder to write."""
    min_tools: Annotated[int, at_least(1)] = 3
    """Minimum tools of a server."""
    skip_invalid_tools: bool = False
    """Leave out single tools that fail a check. Without it, such a tool rejects its server."""
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
