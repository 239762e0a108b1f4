"""`astra arenas import`: rows of another layout to a run folder, each certified again."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated

import typer

from astra.arenas.folder import ARENAS
from astra.arenas.formats.importing import import_rows
from astra.cli.arenas_export import Format
from astra.cli.console import err, out, print_json
from astra.cli.options import AsJson, Level, SandboxLevel
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.runs.stage import StageReport
from astra.sandbox import open_sandbox


def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JSONL file of rows.")],
    out_folder: Annotated[
        Path, typer.Option("--out", help="The run folder to write.", show_default=False)
    ],
    form: Format = "astra-rl",
    seed: Annotated[int, typer.Option(help="Seed of the certificate's random choices.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Arenas certified at once.")] = 8,
    sandbox: SandboxLevel = "auto",
    as_json: AsJson = False,
) -> None:
    """Read arenas from another layout. Nothing is trusted: each is certified again.

    Rows whose tool names collide, or that hold no gold calls, are set aside with the reason. Ends
    with status 1 if a row was set aside.

    \b
    Examples:
      astra arenas import world.jsonl --format astra-rl --out runs/imported
    """
    reports = asyncio.run(_import(file, out_folder, form, seed, concurrency, sandbox))
    report = reports[ARENAS]
    if as_json:
        print_json(
            {
                "out": str(out_folder),
                "arenas": report.accepted,
                "rejected": report.rejected,
                "errors": report.errors,
            }
        )
    else:
        _print(report, out_folder)
    if report.rejected or report.errors:
        raise typer.Exit(1)


async def _import(
    file: Path, out_folder: Path, form: str, seed: int, concurrency: int, level: Level
) -> dict[str, StageReport]:
    config = {"import": file.name, "format": form, "sha256": _digest(file), "seed": seed}
    folder = RunFolder.create(out_folder, config, seeds={"seed": seed})
    async with open_sandbox(level) as sandbox:
        return await import_rows(
            file, folder, sandbox=sandbox, seed=seed, concurrency=concurrency, console=err()
        )


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"can't read {str(file)!r}: {error.strerror}") from error


def _print(report: StageReport, folder: Path) -> None:
    console = out()
    console.print(f"{report.accepted} certified arenas in {folder}", markup=False)
    reasons = {**report.rejected, **report.errors}
    if reasons:
        listed = ", ".join(f"{check} {number}" for check, number in sorted(reasons.items()))
        console.print(f"  set aside: {listed} (see arenas.failed.jsonl)", markup=False)
