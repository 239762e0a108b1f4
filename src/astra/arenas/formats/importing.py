"""From rows of another layout to a run folder: every arena is certified again before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from pathlib import Path

from rich.console import Console

from astra.arenas.folder import ARENAS, CERTIFICATES, TOOLS, ToolRow
from astra.arenas.formats.rows import ImportedRow, read
from astra.arenas.pipeline import CertifiedArena, certificates_file, require_certificate
from astra.errors import Rejected
from astra.protocols import Sandbox
from astra.runs.folder import RunFolder
from astra.runs.runner import StageRunner
from astra.runs.stage import Stage, StageReport, copy_stage
from astra.types import Arena


async def import_rows(
    path: Path,
    folder: RunFolder,
    *,
    sandbox: Sandbox,
    seed: int = 0,
    concurrency: int = 8,
    console: Console | None = None,
    read_file: Callable[[Path], Iterable[ImportedRow]] = read,
) -> dict[str, StageReport]:
    """Stages `tools` (distractors of the rows) and `arenas` (those that pass the certificate)."""
    runner = StageRunner(folder, concurrency, console)
    await runner.run(copy_stage(TOOLS, ToolRow), _tools(read_file(path)))
    await runner.run(_arenas_stage(sandbox, seed), read_file(path))
    return runner.reports


def _tools(rows: Iterable[ImportedRow]) -> Iterator[ToolRow]:
    for row in rows:
        if isinstance(row.outcome, Arena):
            arena = row.outcome
            for tool in arena.distractors:
                yield ToolRow(id=tool.id, tool=tool, arena=arena.id, split=arena.split)


def _arenas_stage(sandbox: Sandbox, seed: int) -> Stage[ImportedRow, CertifiedArena]:
    async def work(row: ImportedRow) -> CertifiedArena:
        if isinstance(row.outcome, Rejected):
            raise row.outcome
        certificate = await require_certificate(row.outcome, sandbox, seed)
        return CertifiedArena(row.outcome, certificate)

    return Stage(
        ARENAS,
        work,
        stored_key=itemgetter("id"),
        row=lambda certified: certified.arena.row(),
        side_files=(certificates_file(CERTIFICATES),),
    )
