"""`astra arenas export`: arenas as rows, gold episodes to learn from, or published folders."""

from __future__ import annotations

import asyncio
from pathlib import Path

from astra.arenas.export import ExportedArenas, export_gold, export_rows
from astra.arenas.index import Split
from astra.arenas.sets import ArenaSet, load_arenas
from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.configs.arenas import ExportArenasConfig
from astra.configs.spelling import option_name
from astra.errors import ConfigError
from astra.exports.publish import ExportedFolder, publish
from astra.exports.registry import FORMATS
from astra.sandbox import sandbox_from


@command_from(
    ExportArenasConfig,
    examples=[
        "astra arenas export runs/world --format astra-rl --out world.jsonl",
        "astra arenas export runs/world --split test --out test.jsonl --if-exists overwrite",
        "astra arenas export runs/world --format sft --out sft/train.jsonl",
        "astra arenas export runs/world --format sft --renamed-copies 3 --out sft.jsonl",
        "astra arenas export runs/world --format sft --limit 50 --out seen.jsonl",
        "astra arenas export runs/world --format trl --split train --out published/trl",
    ],
)
def command(config: ExportArenasConfig, *, as_json: bool) -> None:
    """Write arenas in another format.

    Rows: one arena or episode a line; the results in gold episodes come from running the gold
    calls. Folders for other trainers hold the arenas too, and rows without answers.
    """
    if config.format in FORMATS:
        _report(publish_arenas(config), as_json=as_json)
        return
    written = asyncio.run(export_arenas(config))
    arenas, rows = written.arenas, written.rows
    if as_json:
        print_json({"out": str(written.path), "arenas": arenas, "rows": rows})
    else:
        text = f"{arenas} arenas in {written.path}" + (f", {rows} rows" if rows != arenas else "")
        out().print(text, markup=False)


async def export_arenas(config: ExportArenasConfig) -> ExportedArenas:
    """Write the arenas of a run folder as rows of a file. ConfigError if the file exists."""
    out = _free(config)
    if config.format == "astra-rl":
        return export_rows(_chosen(config, config.split), out)
    arenas = _chosen(config, config.split or "train")
    async with sandbox_from(config) as sandbox:
        return await export_gold(
            *(arenas, out, sandbox),
            reasoning=config.reasoning,
            renamed_copies=config.renamed_copies,
            seed=config.seed,
        )


def publish_arenas(config: ExportArenasConfig) -> ExportedFolder:
    """Write the folder of a reader. ConfigError if it exists, or if the reader can play none."""
    out = _free(config)
    arenas = _chosen(config, config.split)
    reader = FORMATS[config.format]
    return publish(
        *(arenas, out, config.format, reader),
        uncertified=config.uncertified,
        license=config.license,
    )


def _chosen(config: ExportArenasConfig, split: Split | None) -> ArenaSet:
    return load_arenas(config.run, split, uncertified=config.uncertified)[: config.limit]


def _free(config: ExportArenasConfig) -> Path:
    out = Path(config.out)
    if out.exists() and config.if_exists == "fail":
        raise ConfigError(
            f"{str(out)!r} exists: choose another {option_name('out')}, or add "
            f"{option_name('if_exists')} overwrite"
        )
    return out


def _report(written: ExportedFolder, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "out": str(written.path),
                "arenas": written.arenas,
                "left_out": {each.reason: each.count for each in written.left_out},
                "lost_keywords": written.lost_keywords,
            }
        )
        return
    out().print(f"{written.arenas} arenas in {written.path}", markup=False)
    for each in written.left_out:
        out().print(f"{each.count} left out: {each.reason}", markup=False)
    if written.lost_keywords:
        lost = ", ".join(f"{name} ({count} tools)" for name, count in written.lost_keywords.items())
        out().print(f"not shown to the model there: {lost}", markup=False)
