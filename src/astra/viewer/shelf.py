"""The run folders that are shown: found under the paths that were given, each under a name.

A page is addressed by these names, never by paths, so that no address leads out of the folders.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from pathlib import Path

from astra.errors import ConfigError, StoreError
from astra.runs.folder import RunFolder
from astra.viewer.listings import LISTINGS, Listing
from astra.viewer.row_index import RowIndex

_DEPTH = 3
"""Levels below a given folder where run folders are looked for."""
_MOST_FOLDERS = 5_000
"""Run folders of one path at most."""
RESERVED = frozenset({"static", "index", "training", "compare", "benchmarks"})
"""First parts of addresses that are no runs."""


@dataclass(frozen=True)
class Run:
    """One run folder under its name."""

    name: str
    """First part of the addresses of its pages."""
    folder: RunFolder

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def kind(self) -> str:
        """What the run made, by the first of its files that says it."""
        for kind, file in _KINDS:
            if self.folder.exists(file):
                return kind
        return "run"

    @property
    def listings(self) -> list[Listing]:
        """The tables of rows that the folder has files for, now."""
        return [listing for listing in LISTINGS if listing.present_files(self.folder)]

    @cached_property
    def _indexes(self) -> dict[str, RowIndex]:
        return {}

    def index(self, listing: Listing) -> RowIndex:
        """The index of one of the tables, which is kept from page to page."""
        if listing.name not in self._indexes:
            self._indexes.setdefault(listing.name, RowIndex(self.folder, listing))
        return self._indexes[listing.name]


_KINDS = (
    ("training", "metrics.jsonl"),
    ("benchmark", "benchmark.json"),
    ("evaluation", "episodes.jsonl"),
    ("trajectories", "rollouts.jsonl"),
    ("arenas", "arenas.jsonl"),
    ("arenas", "candidates.jsonl"),
    ("tools", "servers.jsonl"),
)
"""Kind of a run -> the file that shows it, the most telling first."""


class Shelf:
    """All runs, by name. Those that come under the given paths later are found, too."""

    def __init__(self, paths: Iterable[Path | str]) -> None:
        """Raises ConfigError if a path is no folder, StoreError if none holds a run."""
        self._paths = [Path(path) for path in paths]
        for path in self._paths:
            if not path.is_dir():
                raise ConfigError(f"there is no folder {str(path)!r}: give folders of runs")
        self._lock = threading.Lock()
        self._runs: dict[Path, Run] = {}
        if not self.runs():
            listed = ", ".join(repr(str(path)) for path in self._paths)
            raise StoreError(
                f"there is no run folder in {listed}: give folders that astra commands wrote"
            )

    def runs(self) -> Mapping[str, Run]:
        """Name -> run, in the order of the paths, and below each by name. As long as a run is
        there, its name stays the same."""
        found = list(dict.fromkeys(self._found()))
        with self._lock:
            for folder in found:
                if folder not in self._runs:
                    self._runs[folder] = Run(self._free_name(folder), RunFolder(folder))
            return {run.name: run for run in map(self._runs.__getitem__, found)}

    def _found(self) -> Iterator[Path]:
        for path in self._paths:
            yield from islice(_run_folders(path, _DEPTH), _MOST_FOLDERS)

    def _free_name(self, folder: Path) -> str:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip(".-") or "run"
        names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
        taken = RESERVED | {run.name for run in self._runs.values()}
        return next(name for name in names if name not in taken)


def _run_folders(path: Path, depth: int) -> Iterator[Path]:
    """Run folders at or below a path, links not followed. Nothing is looked for within a run.

    One without options, put together by hand, is a run if it has rows and no run below it.
    """
    try:
        with os.scandir(path) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    names = {entry.name for entry in inside}
    if "config.toml" in names:
        yield path
        return
    below = 0
    for entry in inside if depth else ():
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            for folder in _run_folders(path / entry.name, depth - 1):
                below += 1
                yield folder
    if not below and any(f"{file}.jsonl" in names for each in LISTINGS for file in each.files):
        yield path
