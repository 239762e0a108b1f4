"""`astra arenas export`: arenas as rows of another layout, or gold episodes to learn from."""

from __future__ import annotations

import asyncio

from astra.arenas.sets import export_arenas
from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.configs.arenas import ExportArenasConfig


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
    written = asyncio.run(export_arenas(config))
    arenas, rows = written.arenas, written.rows
    if as_json:
        print_json({"out": str(written.path), "arenas": arenas, "rows": rows})
    else:
        text = f"{arenas} arenas in {written.path}" + (f", {rows} rows" if rows != arenas else "")
        out().print(text, markup=False)
