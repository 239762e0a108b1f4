"""`astra arenas export`: arenas as rows of another layout, or gold episodes to learn from."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Literal

import typer

from astra.arenas.formats.rows import to_row
from astra.arenas.gold import gold_rows
from astra.arenas.rename import Renamer
from astra.arenas.sets import load_arenas
from astra.cli.console import out, print_json
from astra.cli.options import AsJson, Run, SandboxLevel
from astra.errors import ConfigError
from astra.sandbox import open_sandbox
from astra.types import Json

Format = Annotated[
    Literal["astra-rl", "sft"],
    typer.Option(
        "--format",
        help="Layout of the rows. astra-rl: that of the published data; sft: gold episodes as "
        "conversations with tools.",
    ),
]


def export_command(
    run: Run,
    out_file: Annotated[
        Path, typer.Option("--out", help="The JSONL file to write.", show_default=False)
    ],
    form: Format = "astra-rl",
    split: Annotated[
        Literal["train", "test"] | None,
        typer.Option(help="Only this split.  [default: both; of sft: train]"),
    ] = None,
    reasons: Annotated[
        bool, typer.Option("--reasons/--no-reasons", help="sft: say why before the calls.")
    ] = True,
    renamed: Annotated[
        int, typer.Option(min=0, help="sft: more copies of each episode, with other names.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="sft: seed of those names.")] = 0,
    sandbox: SandboxLevel = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run folder's arenas in another layout, one per line.

    The results in gold episodes are those of really running the gold calls.

    \b
    Examples:
      astra arenas export runs/world --format astra-rl --out world.jsonl
      astra arenas export runs/world --split test --out test.jsonl --force
      astra arenas export runs/world --format sft --out sft/train.jsonl
      astra arenas export runs/world --format sft --no-reasons --renamed 3 --out sft/more.jsonl
    """
    if out_file.exists() and not force:
        raise ConfigError(f"{str(out_file)!r} exists: give another --out, or --force to replace it")
    arenas = 0

    def published() -> Iterable[dict[str, Json]]:
        for arena in load_arenas(run, split):
            yield to_row(arena)

    if form == "sft":
        episodes = asyncio.run(_episodes(run, split or "train", sandbox, reasons=reasons))
        arenas = len(episodes)
        rows = _write(out_file, _with_copies(episodes, renamed, seed))
    else:
        rows = arenas = _write(out_file, published())
    if as_json:
        print_json({"out": str(out_file), "arenas": arenas, "rows": rows})
    else:
        text = f"{arenas} arenas in {out_file}" + (f", {rows} rows" if rows != arenas else "")
        out().print(text, markup=False)


async def _episodes(
    run: Path, split: Literal["train", "test"], level: SandboxLevel, *, reasons: bool
) -> list[dict[str, Json]]:
    async with open_sandbox(level) as server:
        rows: AsyncGenerator[dict[str, Json]] = gold_rows(
            load_arenas(run, split), server, reasons=reasons
        )
        async with aclosing(rows):
            return [row async for row in rows]


def _with_copies(rows: list[dict[str, Json]], copies: int, seed: int) -> Iterable[dict[str, Json]]:
    yield from rows
    rename = Renamer(rows if copies else ())
    for copy in range(copies):
        for index, row in enumerate(rows):
            rng = random.Random(f"rename:{seed}:{copy}:{index}")
            yield {**rename(row, rng), "copy": copy + 1}


def _write(path: Path, rows: Iterable[dict[str, Json]]) -> int:
    """Write all rows or none; how many there are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    count = 0
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                count += 1
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return count
