"""Folders that were published for other trainers: those of ours are read, others told why not.

An environment of OpenEnv, a taskset of verifiers and rows of NeMo Gym hold tools and rewards as
code of a server, and no gold calls: nothing of them could be replayed, so nothing certified. Those
that `astra arenas export` wrote hold the arenas beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from astra.arenas.folder import ARENAS
from astra.arenas.formats.rows import ImportedRow
from astra.arenas.sets import load_arenas
from astra.errors import ConfigError

_FOREIGN = {
    "openenv.yaml": "an environment of OpenEnv",
    "task.toml": "a task of Harbor",
    "resources_server.yaml": "a resources server of NeMo Gym",
    "pyproject.toml": "a package, as tasksets of verifiers are",
}
"""File that a foreign folder has -> what it is then."""


def published_file(folder: Path) -> Path:
    """The file of arenas in a published folder. Raises ConfigError if it holds none."""
    path = folder / ARENAS / f"{ARENAS}.jsonl"
    if path.is_file():
        return path
    if not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is not a folder: give one that `arenas export` wrote")
    kind = next((what for name, what in _FOREIGN.items() if (folder / name).exists()), None)
    if kind is None:
        raise ConfigError(
            f"{str(folder)!r} holds no published arenas: give a folder that `arenas export` wrote"
        )
    raise ConfigError(
        f"{str(folder)!r} is {kind} that `arenas export` did not write: its tools and rewards are "
        "code that tells no gold calls, so nothing of it can be certified. Make arenas of its "
        "tables instead (`astra arenas make`)"
    )


def read_published(folder: Path) -> Iterator[ImportedRow]:
    """The arenas of a published folder. Raises StoreError for one that was changed."""
    for arena in load_arenas(folder / ARENAS, uncertified=True):
        yield ImportedRow(arena.id, arena)
