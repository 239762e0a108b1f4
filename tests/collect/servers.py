"""Entries of the servers in `astra.testing` and of the hostile one, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astra.hosts.confine import available
from astra.hosts.live import LiveOptions, LiveTool
from astra.hosts.mcp_entries import McpServerEntry, parse_entry
from astra.hosts.mcp_options import McpSessionOptions
from astra.types import ToolSchema
from tests.support import mcp_hostile

SOURCE = Path(__file__).parents[2] / "src"
KEY = "sk-very-secret-0123456789"
SESSION = McpSessionOptions(connect_seconds=30, call_seconds=20, confined=available())
QUICK = McpSessionOptions(connect_seconds=3, call_seconds=1, confined=available())


def value(module: str, *args: str, **more: Any) -> dict[str, Any]:
    """An entry that starts one of our servers."""
    env = {"PYTHONPATH": str(SOURCE), "API_KEY": KEY}
    hostile = Path(mcp_hostile.__file__)
    start = [str(hostile)] if module == hostile.stem else ["-m", f"astra.testing.{module}"]
    return {
        "command": "python",
        "args": [*start, *args],
        "env": env,
        **more,
    }


def entry(module: str, *args: str, **more: Any) -> McpServerEntry:
    return parse_entry(module, value(module, *args, **more))


def mcp_file(path: Path, **entries: Any) -> Path:
    path.write_text(json.dumps({"mcpServers": entries}))
    return path


PATH = {"type": "object", "properties": {"path": {"type": "string"}}}


def live_tool(name: str, *, read_only: bool = True, shown: str = "") -> LiveTool:
    document = ToolSchema(name=shown or name, description=f"Does {name}.", parameters=PATH)
    return LiveTool(document, name, read_only)


def options(session: McpSessionOptions = SESSION, **more: Any) -> LiveOptions:
    return LiveOptions(session=session, **more)
