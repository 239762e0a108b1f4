"""`astra arenas certify`: every check again, from a run folder's files alone."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from astra.arenas.certificate import certify
from astra.arenas.certificates import Certificate
from astra.arenas.folder import ARENAS, CERTIFICATES, ToolPool, complete_arena
from astra.cli.command import command_from
from astra.cli.console import err, out, plain, print_json
from astra.configs.arenas import CertifyArenasConfig
from astra.errors import Rejected, SandboxRemote, SandboxUnavailable, StoreError
from astra.protocols import Sandbox
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.sandbox import sandbox_from
from astra.types import Arena, ArenaRow, Json

_SHOWN = 20
_AHEAD = 2
"""Arenas that run or wait to be reported, per worker."""


@dataclass(frozen=True, slots=True)
class CertifyOutcome:
    """Outcome of one arena. `certificate` is None if it did not reach the checks."""

    arena: str
    certificate: Certificate | None
    check: str = ""
    reason: str = ""
    """Both empty when certified."""


@command_from(
    CertifyArenasConfig,
    examples=[
        "astra arenas certify runs/world",
        "astra arenas certify runs/world --json",
        "astra arenas certify runs/world --sandbox landlock --write",
    ],
)
def command(config: CertifyArenasConfig, *, as_json: bool) -> int:
    """Run the certificate's checks again, from the files alone.

    Also recomputes the content hash of every arena and of every tool that it shows. Exit status 1
    if an arena fails. Nothing is written without --write.
    """
    folder = RunFolder.open(config.run)
    total = sum(1 for _ in folder.lines(ARENAS))
    if not total:
        raise StoreError(f"{str(config.run)!r} holds no arenas: make some with `astra arenas make`")
    report = asyncio.run(_certify(folder, config, total))
    if as_json:
        print_json(report)
    else:
        _print(report)
    return 1 if report["failed"] else 0


async def _certify(folder: RunFolder, config: CertifyArenasConfig, total: int) -> dict[str, Json]:
    """What `--json` prints; certificates are replaced at the end, all or none."""
    failed: list[Json] = []
    arenas = 0
    workers = config.concurrency or os.cpu_count() or 1
    with ExitStack() as stack:
        if config.write:
            stack.enter_context(folder.lock())
        spool = cast(BinaryIO, stack.enter_context(TemporaryFile()))
        bar = stack.enter_context(_progress())
        task = bar.add_task("certify", total=total, failed=0)
        async with sandbox_from(config, workers=workers) as sandbox:
            async for outcome in _outcomes(folder, config, sandbox, workers):
                arenas += 1
                if outcome.check:
                    row = {"id": outcome.arena, "check": outcome.check}
                    failed.append({**row, "reason": outcome.reason})
                if config.write and outcome.certificate is not None:
                    spool.write(to_line(outcome.certificate))
                bar.update(task, advance=1, failed=len(failed))
            level = sandbox.level
        if config.write:
            spool.seek(0)
            folder.replace(f"{CERTIFICATES}.jsonl", spool)
    certified = arenas - len(failed)
    return {"arenas": arenas, "certified": certified, "failed": failed, "sandbox": level}


async def _outcomes(
    folder: RunFolder, config: CertifyArenasConfig, sandbox: Sandbox, workers: int
) -> AsyncGenerator[CertifyOutcome]:
    """The outcomes in the folder's order; `workers` arenas run at the same time."""
    slots = asyncio.Semaphore(workers)
    window: deque[asyncio.Task[CertifyOutcome]] = deque()

    async def one(arena_id: str, arena: Arena | Rejected) -> CertifyOutcome:
        async with slots:
            return await _outcome(arena_id, arena, config, sandbox)

    try:
        for arena_id, arena in _arenas(folder):
            window.append(asyncio.create_task(one(arena_id, arena)))
            # Bounded, so that memory does not grow with the folder.
            if len(window) >= _AHEAD * workers:
                yield await window.popleft()
        while window:
            yield await window.popleft()
    finally:
        for running in window:
            running.cancel()
        await asyncio.gather(*window, return_exceptions=True)


def _arenas(folder: RunFolder) -> Iterator[tuple[str, Arena | Rejected]]:
    """Ids and complete arenas; `Rejected` where the content does not match the id."""
    pool = ToolPool(folder)
    seen: set[str] = set()
    for row in folder.rows(ARENAS, ArenaRow):
        try:
            if row.id in seen:
                raise Rejected("hash", "another arena of the folder has the same id")
            seen.add(row.id)
            yield row.id, complete_arena(row, pool)
        except StoreError as error:
            yield row.id, Rejected("hash", str(error))
        except Rejected as rejected:
            yield row.id, rejected


async def _outcome(
    arena_id: str, arena: Arena | Rejected, config: CertifyArenasConfig, sandbox: Sandbox
) -> CertifyOutcome:
    if isinstance(arena, Rejected):
        return CertifyOutcome(arena_id, None, arena.check, arena.reason)
    try:
        certificate = await certify(arena, sandbox, seed=config.seed, all_checks=config.all_checks)
    except (SandboxUnavailable, SandboxRemote):
        raise
    except Exception as error:  # noqa: BLE001 - one arena's, and in the report
        return CertifyOutcome(arena.id, None, "error", f"{type(error).__name__}: {error}")
    if certificate.certified:
        return CertifyOutcome(arena.id, certificate)
    first = next((check for check in certificate.checks if not check.passed), None)
    if first is None:
        return CertifyOutcome(arena.id, certificate, "incomplete", "not every check was run")
    return CertifyOutcome(arena.id, certificate, first.check, first.reason)


def _progress() -> Progress:
    console = err()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _print(report: dict[str, Json]) -> None:
    console = out()
    failed = report["failed"]
    if failed:
        table = Table("arena", "check", Column("reason", overflow="fold"))
        for row in failed[:_SHOWN]:
            table.add_row(*(plain(row[name], limit=300) for name in ("id", "check", "reason")))
        console.print(table)
        checks = Counter(row["check"] for row in failed).most_common()
        if len(failed) > _SHOWN:
            console.print(f"… and {len(failed) - _SHOWN} more; --json lists all")
        console.print(plain("failed by check: " + ", ".join(f"{n} {check}" for check, n in checks)))
    style = "red" if failed else "green"
    line = f"{report['certified']} of {report['arenas']} arenas certified"
    console.print(plain(f"{line} (sandbox: {report['sandbox']})", style))
