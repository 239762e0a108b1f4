"""Serving MCP servers for tests: over stdio, and over HTTP from a command line or a thread."""

from __future__ import annotations

import argparse
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from mcp.server.mcpserver import MCPServer


def main(make: Callable[[], MCPServer]) -> None:
    """What `python -m` of a server does: stdio, or HTTP on the loopback with `--port`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, help="Serve over HTTP; 0 takes a free port.")
    port = parser.parse_args().port
    if port is None:
        make().run("stdio")
        return
    server, taken = _http(make(), port)
    print(f"http://127.0.0.1:{taken.getsockname()[1]}/mcp", flush=True)  # noqa: T201 - its result
    server.run(sockets=[taken])


def _http(made: MCPServer, port: int) -> tuple[uvicorn.Server, socket.socket]:
    taken = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(made.streamable_http_app(), log_level="error", lifespan="on")
    return uvicorn.Server(config), taken


@contextmanager
def http_server(made: MCPServer) -> Generator[str]:
    """The server's address, while a thread serves it."""
    server, taken = _http(made, 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        thread.join()
        taken.close()
