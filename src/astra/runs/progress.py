"""The progress bar of a stage."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
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

from astra.runs.ledger import Ledger


def progress_console(progress: bool | None) -> Console | None:
    """The console for progress bars. None as `progress`: on terminals and in notebooks only."""
    if progress is False:
        return None
    return Console(stderr=True, highlight=False, force_terminal=progress)


class ProgressBar:
    """Accepted, rejected and failed items, their rate and cost. Without a terminal: nothing."""

    def __init__(self, progress: Progress | None, name: str, until: int | None, total: int | None):
        self._progress = progress
        self._accepted_only = until is not None
        self._first: tuple[float, int] | None = None
        if progress is not None:
            self._task = progress.add_task(name, total=until or total, rate="", failed="", cost="")

    @classmethod
    @contextmanager
    def shown(
        cls, name: str, console: Console | None, *, until: int | None, total: int | None
    ) -> Generator[ProgressBar]:
        """A bar that is on the screen within the block."""
        if console is None or not console.is_terminal:
            yield cls(None, name, until, total)
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
        ) as progress:
            yield cls(progress, name, until, total)

    def show(self, ledger: Ledger[Any, Any]) -> None:
        """Bring the bar up to date."""
        if self._progress is None:
            return
        rejected, broken = ledger.rejected.total(), ledger.errors.total()
        done = ledger.accepted + (0 if self._accepted_only else rejected + broken)
        now = time.monotonic()
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
        self._progress.update(self._task, completed=done, rate=rate, failed=failed, cost=cost)
