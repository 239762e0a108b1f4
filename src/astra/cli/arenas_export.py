"""`astra arenas export`: arenas as rows of another layout, or gold episodes to learn from."""

from __future__ import annotations

import asyncio
from pathlib import Path

from astra.arenas.export import ExportedArenas, export_gold, export_rows
from astra.arenas.sets import load_arenas
from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.configs.arenas import ExportArenasConfig
from astra.errors import ConfigError
from astra.sandbox import sandbox_from


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
        written = asyncio.run(_export_gold(config, out_file))
    else:
        written = export_rows(load_arenas(config.run, split), out_file)
    arenas, rows = written.arenas, written.rows
    if as_json:
        print_json({"out": str(out_file), "arenas": arenas, "rows": rows})
    else:
        text = f"{arenas} arenas in {out_file}" + (f", {rows} rows" if rows != arenas else "")
        out().print(text, markup=False)


async def _export_gold(config: ExportArenasConfig, out_file: Path) -> ExportedArenas:
    async with sandbox_from(config) as sandbox:
        return await export_gold(
            *(load_arenas(config.run, config.split or "train"), out_file, sandbox),
            reasoning=config.reasoning,
            renamed_copies=config.renamed_copies,
            seed=config.seed,
        )
