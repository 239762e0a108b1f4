"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

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
