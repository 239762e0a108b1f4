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
    return _unique(folder, name, lambda: folder.rows(name, kind), key)


def unique_values(
    folder: RunFolder, name: str, key: Callable[[Json], Hashable]
) -> Iterator[tuple[int, Json]]:
    """(offset, JSON object) of each row, as `unique_rows`."""
    return _unique(folder, name, lambda: folder.values(name), lambda row: key(row[1]))


def _unique(
    folder: RunFolder, name: str, rows: Callable[[], Iterable[T]], key: Callable[[T], Hashable]
) -> Iterator[T]:
    # Of hashes: keys may be as long as rows, and a folder may hold millions of them.
    seen: set[int] = set()
    repeated: dict[int, int] = {}
    for number, row in enumerate(rows(), start=1):
        hashed = hash(key(row))
        if hashed in seen:
            repeated[number] = hashed
        else:
            seen.add(hashed)
            yield row
    if not repeated:
        return
    # Compared only now: a file without repetitions, as nearly all are, is read once.
    compared = set(repeated.values())
    firsts: dict[int, tuple[int, bytes]] = {}
    for number, (row, (_, line)) in enumerate(zip(rows(), folder.lines(name), strict=False), 1):
        if (hashed := hash(key(row))) in compared:
            first, same = firsts.setdefault(hashed, (number, line))
            if line != same:
                raise folder.damaged(name, number, f"another row of the item of line {first}")
    number = min(repeated)
    others = f", and {len(repeated) - 1} more," if len(repeated) > 1 else ""
    warnings.warn(
        f"{folder.line_name(name, number)}{others}: a repetition of an earlier line, left out",
        StoreWarning,
        stacklevel=2,
    )
