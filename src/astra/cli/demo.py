"""`astra demo`: the example tables made into arenas and played by the reference policies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astra.cli.demo_policies import demo_policies
from astra.cli.options import SandboxLevel
from astra.errors import ConfigError

EXAMPLE = Path("examples/world")


def demo_command(
    tables: Annotated[
        Path, typer.Option(help="The tables to make arenas from.", show_default=True)
    ] = EXAMPLE,
    out_folder: Annotated[Path, typer.Option("--out", help="The run folder.")] = Path("runs/demo"),
    count: Annotated[int, typer.Option(min=4, help="How many arenas.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
    sandbox: SandboxLevel = "auto",
) -> None:
    """Tables to certified arenas to scores, with the reference policies as players.

    \b
    Examples:
      astra demo
      astra demo --tables data/ --count 50 --out runs/mine
    """
    if tables == EXAMPLE and not tables.exists():
        raise ConfigError(
            f"{str(EXAMPLE)!r} is not here: run this in a clone of the repository, or name tables "
            "of your own with --tables"
        )
    demo_policies(tables, out_folder, count, seed, sandbox)
