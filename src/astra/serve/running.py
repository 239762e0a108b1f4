"""Serving an application on a socket until a signal ends it. Imports nothing of what is served."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn
from starlette.types import ASGIApp

from astra.configs.spelling import option_name
from astra.errors import ConfigError

_BACKLOG = 2048
_GRACE_SECONDS = 20
"""How long running calls may take to finish when the server is ended."""
_MESSAGE_BYTES = 1 << 20
"""Longest message on a WebSocket."""


class ArenaServer(uvicorn.Server):
    """A server that leaves signals to us: uvicorn would raise them once more at its end."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    def stop(self) -> None:
        self.should_exit = True


async def run_app(
    app: ASGIApp, listening: socket.socket, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Serve an application on a socket until SIGTERM or SIGINT."""
    server = ArenaServer(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # addresses hold ids of sessions
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            ws_max_size=_MESSAGE_BYTES,
            server_header=False,
        ),
        on_ready,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    try:
        await server.serve(sockets=[listening])
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ConfigError if the address can't be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"{option_name('host')} {host!r}, {option_name('port')} {port}: "
            f"{error.strerror or error}; choose another one"
        ) from error
