"""Running the pages: as a command until a signal ends it, and beside a notebook."""

from __future__ import annotations

import asyncio
import html
import socket
import threading
from collections.abc import Callable
from contextlib import closing

import uvicorn

from astra.configs.base import configured, paths
from astra.configs.spelling import option_name
from astra.configs.view import ViewConfig
from astra.errors import ConfigError
from astra.models.keys import api_key
from astra.serve.access import LOOPBACK
from astra.serve.running import listening, run_app
from astra.viewer.server import view_app
from astra.viewer.shelf import Shelf
from astra.viewer.site import Site

_PORT = 7070
_START_SECONDS = 10


async def serve_view(config: ViewConfig, *, on_ready: Callable[[str], None]) -> None:
    """Serve the pages until a signal ends it. `on_ready` receives their address.

    Raises ConfigError for paths without runs, and for an address that others reach without a token.
    """
    token = api_key(config.token_env)
    if config.host not in LOOPBACK and token is None:
        raise ConfigError(
            f"{option_name('host')} {config.host!r} can be reached from other machines: give "
            f"{option_name('token_env')}, a variable with a token that browsers have to send"
        )
    site = Site(Shelf(paths(config.runs)))
    with closing(_listening(config)) as taken:
        app = view_app(site, token=token, loopback=config.host in LOOPBACK)
        await run_app(app, taken, lambda: on_ready(_address(taken)))


def _listening(config: ViewConfig) -> socket.socket:
    if config.port is not None:
        return listening(config.host, config.port)
    try:
        return listening(config.host, _PORT)
    except ConfigError:
        return listening(config.host, 0)


def _address(taken: socket.socket) -> str:
    host, port = taken.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class View:
    """Pages that are served beside the program that opened them: in a notebook, as its output."""

    def __init__(self, site: Site, taken: socket.socket) -> None:
        """`taken`: a socket that listens, which is closed at the end."""
        self.url = _address(taken)
        """Address of the list of runs."""
        app = view_app(site, framed=True)
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        )
        # Signals are the program's own, and only the main thread may handle them.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve(sockets=[taken])), daemon=True
        )
        self._thread.start()
        for _ in range(_START_SECONDS * 100):
            if self._server.started or not self._thread.is_alive():
                break
            self._thread.join(0.01)

    def close(self) -> None:
        """End the server. The pages can't be loaded any more."""
        self._server.should_exit = True
        self._thread.join(_START_SECONDS)

    def __repr__(self) -> str:
        return f"View({self.url!r})"

    def _repr_html_(self) -> str:
        url = html.escape(self.url)
        return (
            f'<iframe src="{url}" width="100%" height="700" title="ASTRA" '
            f'style="border:1px solid #ccc"></iframe><p><a href="{url}">{url}</a></p>'
        )


@configured(ViewConfig)
def view(config: ViewConfig) -> View:
    """Serve pages over run folders from a thread of this program, on the loopback.

    In a notebook the result shows them. Raises ConfigError for paths without runs.
    """
    if config.host not in LOOPBACK or config.export is not None:
        raise ConfigError(
            f"{option_name('host')} and {option_name('export')} are for the command `astra view`"
        )
    return View(Site(Shelf(paths(config.runs))), _listening(config))
