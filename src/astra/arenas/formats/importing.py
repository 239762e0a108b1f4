"""From rows of another layout to a run folder: every arena is certified again before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console

from astra.arenas.folder import ARENAS, CERTIFICATES, TOOLS, ToolRow
from astra.arenas.formats.rows import ImportedRow, LoadedRow, read
from astra.arenas.pipeline import CertifiedArena, require_certificate
from astra.errors import Rejected
from astra.protocols import Sandbox
from astra.runs.stage import SideFile, Stage, StageReport, run
from astra.runs.store import RunFolder


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
    return {
        TOOLS: await run(_tools_stage(), _tools(read_file(path)), folder, concurrency=1),
        ARENAS: await run(
            _arenas_stage(sandbox, seed),
            read_file(path),
            folder,
            concurrency=concurrency,
            console=console,
        ),
    }


def _tools(rows: Iterable[ImportedRow]) -> Iterator[ToolRow]:
    for row in rows:
        if isinstance(row.outcome, LoadedRow):
            arena, distractors = row.outcome
            for tool in distractors:
                yield ToolRow(id=tool.id, tool=tool, arena=arena.id, split=arena.split)


def _tools_stage() -> Stage[ToolRow, ToolRow]:
    async def work(row: ToolRow) -> ToolRow:
        return row

    return Stage(name=TOOLS, work=work, key=lambda row: row.id, stored_key=lambda row: row["id"])


def _arenas_stage(sandbox: Sandbox, seed: int) -> Stage[ImportedRow, CertifiedArena]:
    async def work(row: ImportedRow) -> CertifiedArena:
        if isinstance(row.outcome, Rejected):
            raise row.outcome
        arena, distractors = row.outcome
        certificate = await require_certificate(arena, list(distractors), sandbox, seed)
        return CertifiedArena(arena, certificate)

    return Stage(
        name=ARENAS,
        work=work,
        key=lambda row: row.key,
        stored_key=lambda row: row["id"],
        row=lambda certified: certified.arena,
        sides=(
            SideFile(
                name=CERTIFICATES,
                rows=lambda certified: (certified.certificate,),
                owner=lambda row: row["arena"],
            ),
        ),
    )
