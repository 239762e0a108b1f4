"""`astra view`: run folders as pages in a browser."""

from __future__ import annotations

import asyncio
import webbrowser
from pathlib import Path

from astra.cli.command import command_from
from astra.cli.console import err, out
from astra.configs.base import paths
from astra.configs.view import ViewConfig


@command_from(
    ViewConfig,
    examples=[
        "astra view runs/world runs/rl runs/bfcl",
        "astra view runs --port 0 --no-open",
        "astra view runs/world --export site",
    ],
)
def command(config: ViewConfig) -> None:
    """Browse run folders in a web page.

    Arenas with their certificates, episodes with scores and credit, trajectories, tools, curves of
    training, comparisons. A run that is being written updates. Nothing is written into the folders,
    and nothing is loaded from elsewhere. Ctrl-C ends it.
    """
    from astra.viewer.export import export_site
    from astra.viewer.serving import serve_view
    from astra.viewer.shelf import Shelf

    if config.export is not None:

        def told(count: int) -> None:
            if count % 500 == 0:
                err().print(f"{count} pages so far", soft_wrap=True)

        shelf = Shelf(paths(config.runs))
        count = export_site(shelf, Path(config.export), rows=config.export_rows, on_page=told)
        first = Path(config.export) / "index.html"
        out().print(f"{count} pages: open {first}", soft_wrap=True, markup=False)
        return

    def ready(address: str) -> None:
        err().print(f"viewing at {address}", soft_wrap=True)
        if config.open:
            webbrowser.open(address)

    asyncio.run(serve_view(config, on_ready=ready))
