"""Reading rows each once, where a line that stands twice would be counted or written twice.

A file may hold a line twice after it was put together by hand, or copied while it was written.
Stages remove such lines when they resume (`runs.ledger`); this is for those who only read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from astra.errors import StoreWarning
from astra.runs.folder import RunFolder
from astra.types import Json, Record

R = TypeVar("R", bound=Record)
T = TypeVar("T")


def unique_rows(
    folder: RunFolder, name: str, kind: type[R], key: Callable[[R], Hashable]
) -> Iterator[R]:
    """The rows of `<name>.jsonl` without repetitions, which are told at the end.

    Raises StoreError at the end for two different rows of one key.
    """
    return _unique(folder, name, folder.rows(name, kind), key)


def unique_values(
    folder: RunFolder, name: str, key: Callable[[Json], Hashable]
) -> Iterator[tuple[int, Json]]:
    """(offset, JSON object) of each row, as `unique_rows`."""
    return _unique(folder, name, folder.values(name), lambda row: key(row[1]))


def _unique(
    folder: RunFolder, name: str, rows: Iterable[T], key: Callable[[T], Hashable]
) -> Iterator[T]:
    numbers: dict[Hashable, int] = {}
    repeated: dict[int, int] = {}
    for number, row in enumerate(rows, start=1):
        first = numbers.setdefault(key(row), number)
        if first == number:
            yield row
        else:
            repeated[number] = first
    if not repeated:
        return
    # Compared only now: a file without repetitions, as nearly all are, is read once.
    compared = {*repeated, *repeated.values()}
    lines = {n: hash(line) for n, (_, line) in enumerate(folder.lines(name), 1) if n in compared}
    for number, first in repeated.items():
        if lines[number] != lines[first]:
            raise folder.damaged(name, number, f"another row of the item of line {first}")
    number = min(repeated)
    others = f", and {len(repeated) - 1} more," if len(repeated) > 1 else ""
    path = str(folder.path / f"{name}.jsonl")
    warnings.warn(
        f"{path!r}, line {number}{others}: a repetition of an earlier line, left out",
        StoreWarning,
        stacklevel=2,
    )
