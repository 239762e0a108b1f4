"""Serving an MCP server over streamable HTTP, from a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from mcp.server.mcpserver import MCPServer


@contextmanager
def http_server(made: MCPServer) -> Generator[str]:
    """The server's address, while a thread serves it."""
    taken = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(made.streamable_http_app(), log_level="error", lifespan="on")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        thread.join()
        taken.close()
