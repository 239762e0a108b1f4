"""Bounds and errors of a session with an MCP server, without what it is spoken to with.

The SDK takes seconds of CPU time to import, and most commands speak to no server.
"""

from __future__ import annotations

from dataclasses import dataclass

from astra.errors import AstraError, HostError

MESSAGE_BYTES = 16 * 2**20
"""Longest message of a server; 5,000 tools with long documents fit in."""


@dataclass(frozen=True, slots=True)
class McpSessionOptions:
    """Bounds of a session."""

    connect_seconds: float = 60.0
    """Time to start and greet; the first start of a package may download it."""
    call_seconds: float = 60.0
    """Time for one answer."""
    message_bytes: int = MESSAGE_BYTES
    confined: bool = True
    """Whether a process is kept from files that are not its own; see `confine`."""


class McpRefused(AstraError):
    """The server answered with an error, or with something that is not a result."""


class McpServerGone(HostError):
    """The server's process or connection ended, or never answered."""
