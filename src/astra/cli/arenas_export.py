"""`astra arenas export`: certified arenas as rows of another layout."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from astra.arenas.exchange import to_row
from astra.arenas.folder import read_arenas
from astra.cli.console import out, print_json
from astra.cli.options import AsJson, Run
from astra.errors import ConfigError

Format = Annotated[
    Literal["astra-rl"],
    typer.Option("--format", help="Layout of the rows; astra-rl: that of the published data."),
]


def export_command(
    run: Run,
    out_file: Annotated[
        Path, typer.Option("--out", help="The JSONL file to write.", show_default=False)
    ],
    form: Format = "astra-rl",
    split: Annotated[
        Literal["train", "test"] | None, typer.Option(help="Only this split.  [default: both]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run folder's arenas in another layout, one per line.

    \b
    Examples:
      astra arenas export runs/world --format astra-rl --out world.jsonl
      astra arenas export runs/world --split test --out test.jsonl --force
    """
    del form  # there is one
    if out_file.exists() and not force:
        raise ConfigError(f"{str(out_file)!r} exists: give another --out, or --force to replace it")
    temporary = out_file.with_name(f".{out_file.name}.new")
    count = 0
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for arena, distractors in read_arenas(run, split):
                row = to_row(arena, distractors)
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                count += 1
        os.replace(temporary, out_file)
    finally:
        temporary.unlink(missing_ok=True)
    if as_json:
        print_json({"out": str(out_file), "arenas": count})
    else:
        out().print(f"{count} arenas in {out_file}", markup=False)
