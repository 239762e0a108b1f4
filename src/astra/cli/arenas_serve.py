"""`astra arenas serve`: arenas as a server of sessions, or one as an MCP server over stdio."""

from __future__ import annotations

import asyncio

from astra.cli.command import command_from
from astra.cli.console import err
from astra.configs.serve import ServeArenasConfig
from astra.serve.server import serve


@command_from(
    ServeArenasConfig,
    examples=[
        "astra arenas serve runs/world --port 8080",
        "astra arenas serve runs/world --arena 3f2a --stdio",
        "astra arenas serve runs/world --host 0.0.0.0 --token-env ASTRA_TOKEN",
    ],
)
def command(config: ServeArenasConfig) -> None:
    """Serve arenas to agents and trainers: sessions, tools over MCP, scores.

    SIGTERM and Ctrl-C end it after the calls that run.
    """

    def ready(address: str) -> None:
        # On stderr: over stdio, stdout belongs to the protocol.
        err().print(f"serving at {address}", soft_wrap=True)

    asyncio.run(serve(config, on_ready=ready))
