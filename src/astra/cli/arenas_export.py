"""`astra arenas export`: arenas as rows of another layout, or gold episodes to learn from."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path

from astra.arenas.formats.rows import to_row
from astra.arenas.gold import gold_rows
from astra.arenas.rename import Renamer
from astra.arenas.sets import Split, load_arenas
from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.configs.arenas import ExportArenasConfig
from astra.errors import ConfigError
from astra.sandbox import sandbox_from
from astra.types import Json


@command_from(
    ExportArenasConfig,
    examples=[
        "astra arenas export runs/world --format astra-rl --out world.jsonl",
        "astra arenas export runs/world --split test --out test.jsonl --if-exists overwrite",
        "astra arenas export runs/world --format sft --out sft/train.jsonl",
        "astra arenas export runs/world --format sft --renamed-copies 3 --out sft.jsonl",
    ],
)
def command(config: ExportArenasConfig, *, as_json: bool) -> None:
    """Write arenas in another format.

    One arena or episode a line. The results in gold episodes come from running the gold calls.
    """
    out_file, split = Path(config.out), config.split
    if out_file.exists() and config.if_exists == "fail":
        raise ConfigError(
            f"{str(out_file)!r} exists: choose another --out, or add --if-exists overwrite"
        )
    if config.format == "sft":
        episodes = asyncio.run(_episodes(config, split or "train"))
        arenas = len(episodes)
        rows = _write(out_file, _with_copies(episodes, config.renamed_copies, config.seed))
    else:
        rows = arenas = _write(out_file, map(to_row, load_arenas(config.run, split)))
    if as_json:
        print_json({"out": str(out_file), "arenas": arenas, "rows": rows})
    else:
        text = f"{arenas} arenas in {out_file}" + (f", {rows} rows" if rows != arenas else "")
        out().print(text, markup=False)


async def _episodes(config: ExportArenasConfig, split: Split) -> list[dict[str, Json]]:
    async with sandbox_from(config) as sandbox:
        rows: AsyncGenerator[dict[str, Json]] = gold_rows(
            load_arenas(config.run, split), sandbox, reasoning=config.reasoning
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
    """Write all rows or none, and return their number."""
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
