"""Arenas from rows of another layout: each is certified again before it counts."""

from __future__ import annotations

import hashlib
from functools import partial
from operator import itemgetter
from pathlib import Path

from astra.arenas.database_file import DatabaseSpool
from astra.arenas.folder import ARENAS, CERTIFICATES, TOOLS, ToolRow
from astra.arenas.formats.published import published_file, read_published
from astra.arenas.formats.rows import read
from astra.arenas.pipeline import (
    ArenaProduction,
    certification_stage,
    noting_databases,
    store_databases,
)
from astra.arenas.sets import ArenaSet
from astra.configs.arenas import ImportArenasConfig
from astra.errors import ConfigError
from astra.runs.opening import open_run
from astra.runs.progress import progress_console
from astra.runs.runner import StageRunner
from astra.runs.stage import copy_stage
from astra.sandbox import sandbox_from
from astra.types import Arena


async def import_arenas(config: ImportArenasConfig) -> ArenaProduction:
    """Read rows, certify their arenas, and keep those that pass with their distractors.

    Nothing in the file is trusted. Raises ConfigError for a file that does not hold rows.
    """
    path = given = Path(config.file)
    rows = partial(read, given)
    if config.format == "published":
        path, rows = published_file(given), partial(read_published, given)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    folder = open_run(config, config.out, inputs={"sha256": digest})
    with folder.lock():
        async with sandbox_from(config) as sandbox:
            runner = StageRunner(folder, config.concurrency, progress_console(config.progress))
            arenas = (row.outcome for row in rows() if isinstance(row.outcome, Arena))
            tools = (
                ToolRow(id=tool.id, tool=tool, arena=arena.id, split=arena.split)
                for arena in arenas
                for tool in arena.distractors
            )
            await runner.run(copy_stage(TOOLS, ToolRow), tools)
            stage = certification_stage(
                sandbox, config.seed, ARENAS, CERTIFICATES, itemgetter("id")
            )
            with DatabaseSpool() as found:
                candidates = noting_databases(rows(), found)
                await runner.run(stage, candidates)
                await store_databases(runner, ARENAS, candidates, found)
            return ArenaProduction(ArenaSet.of_run(folder), runner.reports, {}, sandbox.level)
