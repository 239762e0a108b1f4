"""Options of the pages over run folders."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from astra.configs.base import RUNTIME, VARIABLE, Config, Paths, at_least, at_most


@dataclass(frozen=True)
class ViewConfig(Config):
    """Pages."""

    runs: Paths
    """Run folders, or folders that hold some."""
    _: KW_ONLY
    host: Annotated[str, RUNTIME] = "127.0.0.1"
    """Address to listen at. Another one than the loopback needs --token-env."""
    port: Annotated[int | None, at_least(0), at_most(65535), RUNTIME] = None
    """Port to listen at. 0: a free one. None: 7070, or a free one if that is taken."""
    token_env: Annotated[str | None, VARIABLE, RUNTIME] = None
    """Environment variable with the token that clients have to send. None: none is needed."""
    open: Annotated[bool, RUNTIME] = True
    """Open the page in the browser of this machine."""
    export: Annotated[Path | str | None, RUNTIME] = None
    """Folder to write the pages to, so that they open without a server. None: serve them."""
    export_rows: Annotated[int, at_least(1), RUNTIME] = 1000
    """Maximum rows of each list that are exported."""
