"""What commands that play arenas share: where episodes go, and how a report is printed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from astra.cli.console import err, out, plain
from astra.errors import ConfigError
from astra.evaluation.arenas import EvaluationSummary, PlayedEpisode
from astra.runs.jsonl import to_line

_GROUPS = (("scenario", "by_scenario"), ("hops", "by_hops"), ("language", "by_language"))


def api_key(variable: str | None) -> str | None:
    """The key. No variable is read unless named, so that no endpoint gets another's key."""
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigError(f"the environment variable {variable!r} is not set: export the key in it")
    return key


def label(name: str) -> str:
    """A model's name as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


class Episodes:
    """Writes the episodes as they come and shows how many there are."""

    def __init__(self, path: Path, total: int, *, quiet: bool) -> None:
        self._path = path
        self._progress = Progress(
            TextColumn("episodes"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]} failed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=err(),
            transient=True,
            disable=quiet or not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("episodes", total=total, failed=0)
        self._failed = 0

    def __enter__(self) -> Episodes:
        with _named(self._path):
            self._file = self._path.open("wb")
        self._progress.start()
        return self

    def add(self, episode: PlayedEpisode) -> None:
        """Write one."""
        with _named(self._path):
            self._file.write(to_line(episode))
        self._failed += episode.score is None
        self._progress.update(self._task, advance=1, failed=self._failed)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        with _named(self._path):
            self._file.close()


@contextmanager
def _named(path: Path) -> Generator[None]:
    """What the operating system says of a file, with its name and what to do."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"can't write {str(path)!r}: {error.strerror}. Choose another --out"
        ) from error


def print_report(report: EvaluationSummary, path: Path) -> None:
    """A report as tables and sentences, and where its episodes are."""
    console = out()
    if report.f1 is None:
        console.print("No episode could be scored.")
    else:
        f1 = report.f1
        console.print(f"F1 {f1.mean:.3f}  (95 % interval {f1.low:.3f} to {f1.high:.3f})")
        table = Table("", "episodes", "F1", "recall", "precision")
        for title, field in _GROUPS:
            for name, group in getattr(report, field).items():
                table.add_row(
                    f"{title} {name}",
                    str(group.episodes),
                    *(figure(v) for v in (group.f1, group.recall, group.precision)),
                )
        table.add_section()
        means = (report.f1.mean, report.recall, report.precision)
        table.add_row("all", str(report.episodes), *(figure(v) for v in means))
        console.print(table)
        if len(report.pass_k) > 1:
            chances = ", ".join(f"k={k}: {figure(value)}" for k, value in report.pass_k.items())
            console.print(f"pass^k (all goals solved in all of k episodes): {chances}")
        console.print(
            f"per episode: {figure(report.solved)} goals solved, {figure(report.calls)} calls, "
            f"{figure(report.turns)} turns\n"
            f"final answers right: {figure(report.answer_correct)} of the scored episodes"
        )
    stops = ", ".join(f"{count} {name}" for name, count in report.stop_reasons.items())
    console.print(f"{report.arenas} arenas, {report.episodes} episodes; ended by: {stops}")
    if report.infrastructure_failures:
        console.print(
            f"{report.infrastructure_failures} episodes ({report.failure_rate:.1%}) broke on our "
            "side or the endpoint's; they are not scored:"
        )
        for message, count in report.errors.items():
            console.print(plain(f"  {count} × {message}", "red", limit=600), soft_wrap=True)
    console.print(plain(f"episodes: {path}"), soft_wrap=True)


def figure(value: float | None) -> str:
    """A mean, or a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"
