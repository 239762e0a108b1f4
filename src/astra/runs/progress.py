"""The progress of a stage: a bar on the terminal, and lines in the run folder's log."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from astra.runs.folder import RunFolder
from astra.runs.ledger import Ledger

LOG_SECONDS = 10.0
"""Between two lines of the log, while a stage runs."""


def progress_console(progress: bool | None) -> Console | None:
    """The console for progress bars. None as `progress`: on terminals and in notebooks only."""
    if progress is False:
        return None
    return Console(stderr=True, highlight=False, force_terminal=progress)


class StageProgress:
    """Accepted, rejected and failed items of a stage, their rate and cost.

    Shown as a bar on a terminal, and as lines of `progress.log` in the run folder: when the stage
    begins, every `LOG_SECONDS`, and when it ends.
    """

    def __init__(
        self,
        folder: RunFolder,
        bar: Progress | None,
        stage: str,
        until: int | None,
        total: int | None,
    ) -> None:
        self._folder = folder
        self._bar = bar
        self._stage = stage
        self._accepted_only = until is not None
        self._total = until or total
        self._first: tuple[float, int] | None = None
        self._logged = 0.0
        if bar is not None:
            self._task = bar.add_task(stage, total=self._total, rate="", failed="", cost="")

    @classmethod
    @contextmanager
    def opened(
        cls,
        folder: RunFolder,
        stage: str,
        console: Console | None,
        *,
        until: int | None,
        total: int | None,
    ) -> Generator[StageProgress]:
        """The progress of a stage, on the screen within the block if `console` is a terminal."""
        if console is None or not console.is_terminal:
            yield cls(folder, None, stage, until, total)
            return
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[failed]}"),
            TextColumn("{task.fields[cost]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as bar:
            yield cls(folder, bar, stage, until, total)

    def show(self, ledger: Ledger[Any, Any], *, event: str = "") -> None:
        """Bring the bar up to date, and log a line if the last one is old or `event` is given."""
        now = time.monotonic()
        log = bool(event) or now - self._logged >= LOG_SECONDS
        if self._bar is None and not log:
            return
        rejected, broken = ledger.rejected.total(), ledger.errors.total()
        done = ledger.accepted + (0 if self._accepted_only else rejected + broken)
        if self._first is None:
            # What earlier runs did would count for the rate else.
            self._first = (now, done)
        elapsed = now - self._first[0]
        rate = f"{(done - self._first[1]) / elapsed:.1f}/s" if elapsed > 0 else ""
        failed = f"{ledger.accepted} accepted, {rejected} rejected"
        if broken:
            failed += f", {broken} errors"
        counts = ledger.counts()
        tokens = counts.usage.prompt_tokens + counts.usage.completion_tokens
        parts = [f"{tokens / 1000:,.1f}k tokens"] if tokens else []
        if counts.dollars:
            parts.append(f"cost {counts.dollars:.4f}")
        cost = ", ".join(parts)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, rate=rate, failed=failed, cost=cost)
        if log:
            self._logged = now
            of = f"{done}/{self._total or '?'}"
            told = ", ".join(filter(None, (f"{self._stage} {of}", failed, rate, cost, event)))
            self._folder.append_log(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {told}")
