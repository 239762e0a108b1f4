"""Arguments and options that several commands share."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from astra.errors import ConfigError

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
ArenaId = Annotated[
    str, typer.Argument(metavar="ID", help="Id of an arena, or its beginning.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Level = Literal["auto", "namespaces", "landlock", "unsafe"]
SandboxLevel = Annotated[
    Level,
    typer.Option(
        "--sandbox",
        help="How tool code is confined. auto: the strongest that works here. "
        "unsafe: not at all, with your rights.",
    ),
]


def require_training() -> None:
    """ConfigError, with what to install, where the packages for training are missing."""
    missing = [name for name in ("torch", "trl", "peft") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training needs {missing[0]!r}, which is not installed: pip install "
            "'astra-arenas[train]' (in a clone: make install)"
        )
