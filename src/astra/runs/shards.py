"""Rows that go on in further files (`astra.runs.jsonl`), read as if they were one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import BinaryIO

from astra.errors import StoreError
from astra.runs.jsonl import read_lines, shard_name

_FURTHER = re.compile(r"(?P<name>.+)\.(?P<number>(?!00000)\d{5})\.jsonl")


def shard_files(folder: Path, name: str) -> list[Path]:
    """The files that rows `name` have, in their order."""
    files = (folder / shard_name(name, number) for number in count())
    return list(takewhile(os.path.lexists, files))


def require_no_gap(folder: Path) -> None:
    """Raise StoreError for a further file without the one that it continues."""
    names = set(os.listdir(folder))
    for found in filter(None, map(_FURTHER.fullmatch, names)):
        before = shard_name(found["name"], int(found["number"]) - 1)
        if before not in names:
            raise StoreError(
                f"{str(folder)!r} holds no {before!r}, which {found[0]!r} continues: restore it"
            )


def read_shards(
    open_file: Callable[[str], BinaryIO], folder: Path, name: str, *, start: int = 0
) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of all files of rows `name` from an offset on. Empty without any.

    Raises StoreError where a file that is continued does not end with a whole line.
    """
    base = 0
    for number in count():
        path, following = (folder / shard_name(name, each) for each in (number, number + 1))
        try:
            file = open_file(path.name)
        except FileNotFoundError:
            return
        with file:
            at = max(start - base, 0)
            while True:
                # Looked for before reading: a file that is continued grows no more.
                continued = os.path.lexists(following)
                size = os.fstat(file.fileno()).st_size
                if at < size:
                    for offset, line in read_lines(file, path, start=at):
                        yield base + offset, line
                        at = offset + len(line)
                    if continued and at != size:
                        raise StoreError(
                            f"{str(path)!r} does not end with a whole line, but is continued in "
                            f"{following.name!r}: restore it"
                        )
                if continued:
                    break
                if not os.path.lexists(following):
                    return
            base += size


def place_of(
    open_file: Callable[[str], BinaryIO], folder: Path, name: str, number: int
) -> tuple[Path, int]:
    """The file that holds the row of a number from 1, and the row's number there."""
    *before, last = shard_files(folder, name) or [folder / shard_name(name, 0)]
    for path in before:
        with open_file(path.name) as file:
            lines = sum(1 for _ in read_lines(file, path))
        if number <= lines:
            return path, number
        number -= lines
    return last, number
