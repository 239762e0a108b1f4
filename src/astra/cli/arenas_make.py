"""`astra arenas make`: from tables to certified arenas."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from rich.padding import Padding
from rich.text import Text

from astra.arenas.make import ArenaProduction, produce_arenas
from astra.arenas.openapi.service import DocumentNote
from astra.arenas.tables.profile.descriptions import describe
from astra.arenas.tables.schema import Schema
from astra.cli.arenas_select import print_selection, selection_report
from astra.cli.command import command_from
from astra.cli.console import err, out, plain, print_json, reasons
from astra.cli.evaluation_report import counting_episodes
from astra.configs.arenas import MakeArenasConfig
from astra.evaluation.target import produce_arenas_for_target
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.stage import StageReport
from astra.types import Json


@command_from(
    MakeArenasConfig,
    examples=[
        "astra arenas make examples/world --count 100 --out runs/world",
        "astra arenas make sales.csv shops.db --min-hops 2 --languages en,zh --out runs/sales",
        "astra arenas make --openapi examples/tools/openapi.yaml --count 200 --out runs/api",
        "astra arenas make examples/world --difficulty 1:5 --target runs/sft/final --out runs/fit",
        "astra arenas make @arenas.toml --count 1000",
    ],
)
def command(config: MakeArenasConfig, *, as_json: bool) -> int:
    """Make certified arenas from your tables, or from an OpenAPI document. No model is needed.

    Run the same command again to resume. Exit status 1 if fewer than --count are certified, with
    --target if none is kept.
    """
    if config.target is not None:
        return _make_for_target(config, as_json=as_json)
    production = asyncio.run(produce_arenas(config, print_schema, print_notes))
    if as_json:
        print_json(production_report(production))
    else:
        print_production(production, config.count)
    return 1 if len(production.arenas) < config.count else 0


def _make_for_target(config: MakeArenasConfig, *, as_json: bool) -> int:
    with counting_episodes(config.progress) as count:
        drawn, kept = asyncio.run(
            produce_arenas_for_target(config, print_schema, print_notes, count)
        )
    if as_json:
        print_json({**selection_report(kept), "drawn": production_report(drawn)})
    else:
        print_production(drawn, config.count)
        print_selection(kept)
    return 0 if kept else 1


def print_schema(schema: Schema) -> None:
    """Print what the tables were read as; without a terminal only what was doubtful."""
    console = err()
    for line in describe(schema):
        text = line.lstrip()
        if console.is_terminal or text.startswith("note: "):
            console.print(Padding(plain(text), (0, 0, 0, len(line) - len(text)), expand=False))


def print_notes(notes: Sequence[DocumentNote]) -> None:
    """Print what is left out of a document."""
    console = err()
    for note in notes:
        console.print(plain(f"note: {note.id}: {note.reason}"))


def production_report(production: ArenaProduction) -> dict[str, Json]:
    """What `--json` prints."""
    return {
        "out": str(production.arenas.path),
        "arenas": len(production.arenas),
        "sandbox": production.sandbox,
        "stages": {
            name: {
                "accepted": report.accepted,
                "rejected": report.rejected,
                "errors": report.errors,
                "resumed": report.resumed,
                "seconds": round(report.seconds, 3),
            }
            for name, report in production.reports.items()
        },
        "draws": production.draws,
    }


def print_production(production: ArenaProduction, count: int) -> None:
    """Print how many arenas there are, what was rejected, and what to do next."""
    console, arenas = out(), production.arenas
    folder = arenas.path
    at = quote(str(folder))
    seconds = sum(report.seconds for report in production.reports.values())
    lines = [
        plain(
            f"{len(arenas)} certified arenas in {folder} "
            f"(sandbox: {production.sandbox}; {seconds:.1f} s this time)"
        )
    ]
    for name, report in production.reports.items():
        lines += stage_lines(folder, name, report)
    if len(arenas) < count:
        lines.append(
            plain(
                f"  {count - len(arenas)} of {count} are missing: `astra arenas stats {at}` lists "
                "what was rejected and why"
            )
        )
    for arena in arenas[:1]:
        lines.append(plain(f"next: astra arenas show {at} {quote(arena.id)}"))
        lines.append(plain(f"  or: astra evaluate arenas {at} --policy gold"))
    for line in lines:
        console.print(line, soft_wrap=True)


def stage_lines(folder: Path, name: str, report: StageReport) -> list[Text]:
    """What a stage rejected, with the last error if something broke.

    Only the error is cut: paths and commands are there to be copied, however long they are.
    """
    if not (report.rejected or report.errors):
        return []
    listed = reasons(report.rejected, report.errors)
    see = f"`astra arenas stats {quote(str(folder))}` says more"
    lines = [plain(f"  {name}: rejected {listed} ({see})")]
    if report.errors:
        rows = RunFolder.open(folder).rows(f"{name}.failed", FailureRow)
        broken = [row for row in rows if row.kind == "error"][-1:]
        error = f"e.g. {broken[0].type}: {broken[0].message}" if broken else "retried since"
        lines.append(plain(f"    {error}", limit=400))
    return lines
