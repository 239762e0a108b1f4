"""Certifies the arenas of a run folder again, from its files alone."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple, cast

from astra.arenas.certificate import certify
from astra.arenas.certificates import Certificate
from astra.arenas.database_file import DatabasePool
from astra.arenas.folder import ARENAS, CERTIFICATES, ToolPool, complete_arena
from astra.configs.arenas import CertifyArenasConfig
from astra.errors import Rejected, SandboxRemote, SandboxUnavailable, StoreError, WorkerLost
from astra.protocols import Sandbox
from astra.runs.executor import at_once, executing, spread
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.runs.ray_cluster import executor_from
from astra.runs.runner import release_slot, taken_slot
from astra.sandbox import sandbox_from
from astra.types import Arena, ArenaRow, Record

_AHEAD = 8
"""Arenas that run or wait to be reported, per worker."""


class FailedArena(Record):
    """An arena that is not certified any more, and why."""

    id: str
    check: str
    """The check it failed first; `hash`: changed after it got its id, `error`: a check broke."""
    reason: str


class RecertifyReport(Record):
    """Outcome of certifying a run folder again."""

    arenas: int
    certified: int
    failed: tuple[FailedArena, ...]
    sandbox: str
    """Level of confinement."""


class _Outcome(NamedTuple):
    certificate: Certificate | None
    """None if the arena did not reach the checks."""
    failed: FailedArena | None


async def certify_arenas(
    config: CertifyArenasConfig,
    *,
    on_arena: Callable[[int, int], None] = lambda total, failed: None,
) -> RecertifyReport:
    """Run the checks of every arena, and recompute the hashes of arenas and tools.

    With `write`, certificates are replaced at the end, all or none. `on_arena` receives the number
    of all arenas and of those that failed so far. Raises StoreError for a folder without arenas.
    """
    folder = RunFolder.open(config.run)
    total = sum(1 for _ in folder.lines(ARENAS))
    if not total:
        raise StoreError(f"{str(config.run)!r} holds no arenas: make some with `astra arenas make`")
    failed: list[FailedArena] = []
    workers = config.concurrency or os.cpu_count() or 1
    with ExitStack() as stack:
        if config.write:
            stack.enter_context(folder.lock())
        # On disk: a folder may hold more certificates than memory.
        spool = cast(BinaryIO, stack.enter_context(TemporaryFile()))
        async with (
            sandbox_from(config, workers=workers) as sandbox,
            executor_from(config) as executor,
        ):
            stack.enter_context(executing(executor))
            workers = at_once(workers, executor)
            async for outcome in _outcomes(folder, config, sandbox, workers):
                if outcome.failed is not None:
                    failed.append(outcome.failed)
                if config.write and outcome.certificate is not None:
                    spool.write(to_line(outcome.certificate))
                on_arena(total, len(failed))
            level = sandbox.level
        if config.write:
            spool.seek(0)
            folder.replace_rows(CERTIFICATES, spool)
    return RecertifyReport(
        arenas=total, certified=total - len(failed), failed=tuple(failed), sandbox=level
    )


async def _outcomes(
    folder: RunFolder, config: CertifyArenasConfig, sandbox: Sandbox, workers: int
) -> AsyncGenerator[_Outcome]:
    """The outcomes in the folder's order; `workers` arenas run at the same time, others pause."""
    slots = asyncio.Semaphore(workers)
    window: deque[asyncio.Task[_Outcome]] = deque()

    async def one(arena_id: str, arena: Arena | Rejected) -> _Outcome:
        if isinstance(arena, Rejected):
            return _failed(arena_id, arena.check, arena.reason)
        async with taken_slot(slots):
            try:
                certificate = await spread(
                    certify,
                    arena,
                    sandbox,
                    seed=config.seed,
                    all_checks=config.all_checks,
                    before_waiting=release_slot,
                )
            except (SandboxUnavailable, SandboxRemote, WorkerLost):
                raise  # ours, not the arena's: every arena may fail so
            except Exception as error:  # noqa: BLE001 - one arena's, and in the report
                return _failed(arena_id, "error", f"{type(error).__name__}: {error}")
        if certificate.certified:
            return _Outcome(certificate, None)
        first = next((check for check in certificate.checks if not check.passed), None)
        if first is None:
            return _failed(arena_id, "incomplete", "not every check was run", certificate)
        return _failed(arena_id, first.check, first.reason, certificate)

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


def _failed(
    arena: str, check: str, reason: str, certificate: Certificate | None = None
) -> _Outcome:
    return _Outcome(certificate, FailedArena(id=arena, check=check, reason=reason))


def _arenas(folder: RunFolder) -> Iterator[tuple[str, Arena | Rejected]]:
    """Ids and complete arenas; `Rejected` where the content does not match the id."""
    pool, databases = ToolPool(folder), DatabasePool(folder)
    seen: set[str] = set()
    for row in folder.rows(ARENAS, ArenaRow):
        try:
            if row.id in seen:
                raise Rejected("hash", "another arena of the folder has the same id")
            seen.add(row.id)
            yield row.id, complete_arena(row, pool, databases)
        except StoreError as error:
            yield row.id, Rejected("hash", str(error))
        except Rejected as rejected:
            yield row.id, rejected
