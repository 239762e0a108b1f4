"""`astra tools collect`: from MCP servers, OpenAPI documents and lists of functions to a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from astra.cli.console import err, out, plain, print_json
from astra.cli.options import (
    AsJson,
    Budget,
    Prices,
    PromptFolder,
    TeacherKeyEnv,
    TeacherTemperature,
    TeacherUrl,
)
from astra.cli.teacher_options import (
    StageMeters,
    TeacherOptions,
    any_teacher,
    greet,
    teacher_options,
)
from astra.hosts.mcp_session import McpSessionOptions
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.stage import StageReport
from astra.trajectories.collect.normalize import ToolFilter
from astra.trajectories.collect.sources import source_digest, source_files
from astra.trajectories.collect.stages import COLLECTED, SERVERS, CollectOptions, collect
from astra.types import Json

_MOST_REASONS = 5
"""Of a stage, that are told when it ends; `tools show` tells all."""
_LONG = 300


def collect_command(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE…",
            help="mcpServers JSON, OpenAPI 3 (JSON, YAML), lists of functions, mcp_servers.jsonl; "
            "or folders of such files. What a file is, is seen from its content.",
            show_default=False,
        ),
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="The run folder to write.", show_default=False)
    ],
    min_tools: Annotated[int, typer.Option(min=1, help="Least tools of a server.")] = 3,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Leave out single tools that fail; without it, they set their server aside.",
        ),
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds for one answer of a live server.")
    ] = 60.0,
    start_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds for a live server to start and greet.")
    ] = 120.0,
    unconfined: Annotated[
        bool,
        typer.Option(
            "--unconfined", help="Start servers with all your rights on files. See docs/tools.md."
        ),
    ] = False,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Who names the domains: a model of --base-url, or `rules`.  [default: nobody]"
        ),
    ] = None,
    base_url: TeacherUrl = None,
    api_key_env: TeacherKeyEnv = None,
    seed: Annotated[int, typer.Option(help="Sent to the teacher.")] = 0,
    temperature: TeacherTemperature = None,
    prompts: PromptFolder = None,
    prices: Prices = None,
    budget: Budget = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Servers asked at once.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Collect tools: ask live MCP servers, read documents, normalise, filter, name domains.

    Run it again to go on after a stop, and to ask again the servers that could not be reached. Ends
    with status 1 if no server was kept.

    \b
    Examples:
      astra tools collect mcp.json openapi.yaml tools.json --out runs/tools
      astra tools collect specs/ --min-tools 5 --teacher rules --out runs/tools
      astra tools collect mcp.json --teacher NAME --base-url URL --out runs/tools
    """
    asked = teacher_options(
        teacher,
        base_url,
        api_key_env=api_key_env,
        seed=seed,
        temperature=temperature,
        prices=prices,
        budget=budget,
        prompts=prompts,
    )
    options = CollectOptions(
        keep=ToolFilter(min_tools, partial),
        session=McpSessionOptions(
            connect_seconds=start_timeout, call_seconds=timeout, confined=not unconfined
        ),
        concurrency=concurrency,
    )
    paths = source_files(sources)
    reports = asyncio.run(_collect(paths, out_folder, options, asked))
    kept = reports[SERVERS].accepted
    if as_json:
        print_json(_as_json(reports, out_folder))
    else:
        _print(reports, out_folder)
    if not kept:
        raise typer.Exit(1)


async def _collect(
    paths: Sequence[Path],
    out_folder: Path,
    options: CollectOptions,
    asked: TeacherOptions | None,
) -> dict[str, StageReport]:
    config: dict[str, Json] = {
        "sources": {path.name: source_digest(path) for path in paths},
        "min_tools": options.keep.min_tools,
        "partial": options.keep.partial,
        "teacher": None if asked is None else asked.config(),
    }
    folder = RunFolder.create(
        out_folder, config, seeds={} if asked is None else {"seed": asked.seed}
    )
    if asked is None:
        return await collect(paths, folder, options, console=err())
    meters = StageMeters(lambda prompt: SERVERS)
    async with any_teacher(asked, folder, meters) as teacher:
        greet(err(), teacher, asked)
        return await collect(paths, folder, options, teacher=teacher, meter=meters, console=err())


def _as_json(reports: dict[str, StageReport], out_folder: Path) -> Json:
    return {
        "out": str(out_folder),
        "servers": reports[SERVERS].accepted,
        "stages": {
            name: {
                "accepted": report.accepted,
                "rejected": report.rejected,
                "errors": report.errors,
                "resumed": report.resumed,
            }
            for name, report in reports.items()
        },
    }


def _print(reports: dict[str, StageReport], out_folder: Path) -> None:
    console = out()
    console.print(plain(f"{reports[SERVERS].accepted} servers in {out_folder}"))
    folder = RunFolder(out_folder)
    for name in (COLLECTED, SERVERS):
        report = reports[name]
        if report.rejected:
            listed = ", ".join(f"{check} {n}" for check, n in sorted(report.rejected.items()))
            console.print(plain(f"  {name}: set aside: {listed}"))
        if report.errors:
            broken = sum(report.errors.values())
            console.print(plain(f"  {name}: broken, asked again by the same command: {broken}"))
        for failure in islice(folder.rows(f"{name}.failed", FailureRow), _MOST_REASONS):
            said = f"    {failure.key}: {failure.message}"
            console.print(plain(said, limit=_LONG), soft_wrap=True)
    console.print(plain(f"  see: astra tools show {out_folder}"))
