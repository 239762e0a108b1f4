"""`astra arenas import`: rows of another layout to a run folder, each certified again."""

from __future__ import annotations

import asyncio

from astra.arenas.folder import ARENAS
from astra.arenas.formats.importing import import_arenas
from astra.cli.arenas_make import stage_lines
from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.arenas import ImportArenasConfig


@command_from(
    ImportArenasConfig,
    examples=["astra arenas import world.jsonl --format astra-rl --out runs/imported"],
)
def command(config: ImportArenasConfig, *, as_json: bool) -> int:
    """Read arenas from another format and certify them.

    Nothing in the file is trusted. Rows whose tool names collide, or that hold no gold calls, are
    rejected with the reason. Exit status 1 if a row was rejected.
    """
    production = asyncio.run(import_arenas(config))
    report = production.reports[ARENAS]
    if as_json:
        counts = {"rejected": report.rejected, "errors": report.errors}
        print_json({"out": str(config.out), "arenas": report.accepted, **counts})
    else:
        first = plain(f"{report.accepted} certified arenas in {config.out}")
        for line in [first, *stage_lines(production.arenas.path, ARENAS, report)]:
            out().print(line, soft_wrap=True)
    return 1 if report.rejected or report.errors else 0
