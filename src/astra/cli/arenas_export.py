"""`astra arenas export`: arenas as rows of another layout, or gold episodes to learn from."""

from __future__ import annotations

import asyncio
from pathlib import Path

from astra.arenas.export import ExportedArenas, export_gold, export_rows
from astra.arenas.sets import load_arenas
from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.configs.arenas import ExportArenasConfig
from astra.configs.spelling import option_name
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
    written = asyncio.run(export_arenas(config))
    arenas, rows = written.arenas, written.rows
    if as_json:
        print_json({"out": str(written.path), "arenas": arenas, "rows": rows})
    else:
        text = f"{arenas} arenas in {written.path}" + (f", {rows} rows" if rows != arenas else "")
        out().print(text, markup=False)


async def export_arenas(config: ExportArenasConfig) -> ExportedArenas:
    """Write the arenas of a run folder as rows of a file. ConfigError if the file exists."""
    out = Path(config.out)
    if out.exists() and config.if_exists == "fail":
        raise ConfigError(
            f"{str(out)!r} exists: choose another {option_name('out')}, or add "
            f"{option_name('if_exists')} overwrite"
        )
    if config.format == "astra-rl":
        arenas = load_arenas(config.run, config.split, uncertified=config.uncertified)
        return export_rows(arenas, out)
    split = config.split or "train"
    arenas = load_arenas(config.run, split, uncertified=config.uncertified)
    async with sandbox_from(config) as sandbox:
        return await export_gold(
            *(arenas, out, sandbox),
            reasoning=config.reasoning,
            renamed_copies=config.renamed_copies,
            seed=config.seed,
        )
