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
from astra.arenas.folder import ARENAS, CERTIFICATES, ToolPool, complete_arena
from astra.cli.command import command_from
from astra.cli.console import err, out, plain, print_json
from astra.configs.arenas import CertifyArenasConfig
from astra.configs.base import SandboxLevel
from astra.errors import Rejected, SandboxRemote, SandboxUnavailable, StoreError
from astra.protocols import Sandbox
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.sandbox import open_sandbox
from astra.types import Arena, ArenaRow, Certificate, Json

_SHOWN = 20
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class CertifyOutcome:
    """Outcome of one arena. `certificate` is None when it never got as far as the checks."""

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
    workers = config.concurrency or os.cpu_count() or 1
    certifier = _Certifier(folder, config.sandbox, config.seed, workers, config.all_checks)
    report = asyncio.run(certifier.report(total, write=config.write))
    if as_json:
        print_json(report)
    else:
        _print(report)
    return 1 if report["failed"] else 0


@dataclass(frozen=True, slots=True)
class _Certifier:
    """Certifies a folder's arenas, a few at once, in their order."""

    folder: RunFolder
    level: SandboxLevel
    seed: int
    workers: int
    all_checks: bool

    async def report(self, total: int, *, write: bool) -> dict[str, Json]:
        """What `--json` prints; certificates are replaced at the end, all or none."""
        failed: list[Json] = []
        arenas = 0
        with ExitStack() as stack:
            if write:
                stack.enter_context(self.folder.lock())
            spool = cast(BinaryIO, stack.enter_context(TemporaryFile()))
            bar = stack.enter_context(_progress())
            task = bar.add_task("certify", total=total, failed=0)
            async with open_sandbox(self.level, workers=self.workers) as sandbox:
                level = sandbox.level
                async for verdict in self._verdicts(sandbox):
                    arenas += 1
                    if verdict.check:
                        row = {"id": verdict.arena, "check": verdict.check}
                        failed.append({**row, "reason": verdict.reason})
                    if write and verdict.certificate is not None:
                        spool.write(to_line(verdict.certificate))
                    bar.update(task, advance=1, failed=len(failed))
            if write:
                spool.seek(0)
                self.folder.replace(f"{CERTIFICATES}.jsonl", spool)
        certified = arenas - len(failed)
        return {"arenas": arenas, "certified": certified, "failed": failed, "sandbox": level}

    async def _verdicts(self, sandbox: Sandbox) -> AsyncGenerator[CertifyOutcome]:
        gate = asyncio.Semaphore(self.workers)
        ahead: deque[asyncio.Task[CertifyOutcome]] = deque()

        async def one(arena_id: str, arena: Arena | Rejected) -> CertifyOutcome:
            async with gate:
                return await self._verdict(arena_id, arena, sandbox)

        try:
            for arena_id, arena in self._arenas():
                ahead.append(asyncio.create_task(one(arena_id, arena)))
                if len(ahead) >= _AHEAD * self.workers:
                    yield await ahead.popleft()
            while ahead:
                yield await ahead.popleft()
        finally:
            for running in ahead:
                running.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    def _arenas(self) -> Iterator[tuple[str, Arena | Rejected]]:
        """Ids and complete arenas, or why these are not what they claim to be."""
        pool = ToolPool(self.folder)
        seen: set[str] = set()
        for row in self.folder.rows(ARENAS, ArenaRow):
            try:
                if row.id in seen:
                    raise Rejected("hash", "another arena of the folder has the same id")
                seen.add(row.id)
                yield row.id, complete_arena(row, pool)
            except StoreError as error:
                yield row.id, Rejected("hash", str(error))
            except Rejected as rejected:
                yield row.id, rejected

    async def _verdict(
        self, arena_id: str, arena: Arena | Rejected, sandbox: Sandbox
    ) -> CertifyOutcome:
        if isinstance(arena, Rejected):
            return CertifyOutcome(arena_id, None, arena.check, arena.reason)
        try:
            certificate = await certify(arena, sandbox, seed=self.seed, all_checks=self.all_checks)
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
