"""Several run folders of arenas as one, so that a model trains on all of them at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import NamedTuple

from astra.arenas.certificates import Certificate
from astra.arenas.folder import TOOLS, write_arenas
from astra.arenas.sets import ArenaSet, open_arenas
from astra.configs.arenas import JoinArenasConfig
from astra.configs.base import identity, paths
from astra.configs.spelling import option_name
from astra.errors import ConfigError, StoreWarning
from astra.runs.folder import RunFolder
from astra.types import Arena, Json


class JoinedArenas(NamedTuple):
    """A folder of the arenas of others."""

    arenas: ArenaSet
    taken: dict[str, int]
    """Folder -> number of its arenas that are in."""
    repeated: int
    """Arenas that an earlier folder holds, too."""
    held_out: int
    """Arenas of split train whose question another folder holds out, which are left out."""


def join_arenas(config: JoinArenasConfig) -> JoinedArenas:
    """Write the arenas of all folders, in their order, with certificates, tools and databases.

    Warns of folders that were made from the same tables with different seeds. Raises ConfigError
    for fewer than two folders and for one without arenas, StoreError for arenas without a
    certificate.
    """
    named = paths(config.folders)
    folders = {folder.resolve() for folder in named}
    if len(folders) < 2:
        raise ConfigError(
            f"{', '.join(map(repr, map(str, named)))}: name two run folders of arenas or more"
        )
    path = Path(config.out)
    # Resolved, for another spelling of it would be emptied before it is read.
    if path.resolve() in folders:
        raise ConfigError(
            f"{option_name('out')} {str(path)!r} is one of the folders to join: name a new one"
        )
    if path.exists() and config.if_exists == "fail":
        raise ConfigError(
            f"{str(path)!r} exists: choose another {option_name('out')}, or add "
            f"{option_name('if_exists')} overwrite"
        )
    sets = [open_arenas(path, uncertified=config.uncertified)[: config.limit] for path in named]
    _warn_of_seeds(named)
    held_out = {arena.question for arenas in sets for arena in arenas if arena.split == "test"}
    taken = dict.fromkeys((str(path) for path in named), 0)
    known: set[str] = set()
    repeated = crossing = 0

    def every() -> Iterator[Arena]:
        nonlocal repeated, crossing
        for arenas in sets:
            for arena in arenas:
                if arena.id in known:
                    repeated += 1
                elif arena.split == "train" and arena.question in held_out:
                    crossing += 1
                else:
                    known.add(arena.id)
                    taken[str(arenas.path)] += 1
                    yield arena

    joined: dict[str, Json] = {"command": "join_arenas", **identity(config)}
    folder = RunFolder.create(path, joined, overwrite=path.exists())
    tools = chain.from_iterable(RunFolder.open(arenas.path).values(TOOLS) for arenas in sets)
    write_arenas(folder, every(), (row for _, row in tools), _certificates(sets, known))
    return JoinedArenas(ArenaSet.of_run(folder), taken, repeated, crossing)


def _certificates(sets: Sequence[ArenaSet], wanted: set[str]) -> Iterator[Certificate]:
    # Read after the arenas were written, so that `wanted` is complete by then.
    for certificate in chain.from_iterable(arenas.certificates() for arenas in sets):
        if certificate.arena in wanted:
            wanted.remove(certificate.arena)
            yield certificate


def _warn_of_seeds(folders: Sequence[Path]) -> None:
    configs: list[tuple[Path, dict[str, Json]]] = [
        (path, RunFolder.open(path).config()) for path in folders
    ]
    for (first, one), (second, other) in combinations(configs, 2):
        inputs, seed = one.get("inputs"), one.get("seed")
        if inputs and inputs == other.get("inputs") and seed != other.get("seed"):
            text = (
                f"{str(first)!r} and {str(second)!r} are of the same tables with seeds {seed} and "
                f"{other.get('seed')}: what one holds out, the other may train on"
            )
            warnings.warn(text, StoreWarning, stacklevel=3)
