"""Candidates over tables, shared by the tests of this folder."""

from __future__ import annotations

import atexit
import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from astra.arenas.tables.load.tables import Tables, load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.source import CandidateTableArena, TableSource, TableSourceOptions
from astra.types import Arena, Language, Tool

WORLD = Path(__file__).parents[2] / "examples" / "world"
BOTH: dict[Language, float] = {"en": 0.5, "zh": 0.5}


def candidates(
    paths: Sequence[Path], number: int, options: TableSourceOptions
) -> list[CandidateTableArena]:
    with load(paths) as tables:
        source = TableSource(tables, profile(tables), options)
        return list(itertools.islice(source.candidates(), number))


@cache
def _world() -> tuple[Tables, Schema]:
    tables = load([WORLD])
    atexit.register(tables.close)
    return tables, profile(tables)


def of_world(number: int, options: TableSourceOptions) -> list[CandidateTableArena]:
    """The first candidates over the example tables, which are loaded once."""
    return list(itertools.islice(TableSource(*_world(), options).candidates(), number))


@cache
def _drawn(seed: int) -> tuple[list[CandidateTableArena], Iterator[CandidateTableArena]]:
    source = TableSource(*_world(), TableSourceOptions(languages=BOTH, seed=seed))
    return [], source.candidates()


def world(number: int, seed: int) -> list[CandidateTableArena]:
    """The first candidates over the example tables in both languages, each made once."""
    found, more = _drawn(seed)
    found.extend(itertools.islice(more, max(0, number - len(found))))
    return found[:number]


def arenas(found: Iterable[CandidateTableArena]) -> list[Arena]:
    return [c.outcome for c in found if isinstance(c.outcome, Arena)]


@cache
def _compiled(source: str) -> CodeType:
    return compile(source, "tool", "exec")


def play(tool: Tool, arguments: dict[str, Any]) -> Any:
    """Run a tool here and now: the tests trust what the package writes itself."""
    space: dict[str, Any] = {"DATA": tool.data}
    exec(_compiled(tool.source), space)
    return space[tool.name](**arguments)
