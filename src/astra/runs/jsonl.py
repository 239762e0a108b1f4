"""JSONL files: a record as a line, and appending of whole lines.

After `kill -9` every line is whole or absent. Not guaranteed: that lines written moments before a
power cut are on the disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, Self

from pydantic_core import to_jsonable_python

from astra.errors import StoreError
from astra.types import Record

LINE_BYTES = 64 * 2**20
"""Longest row. A longer one is refused, so that reading stays within memory."""
_BLOCK = 2**16


class FailureRow(Record):
    """A row of `<stage>.failed.jsonl`: an item that failed, and why."""

    key: str
    stage: str
    kind: Literal["rejected", "error"]
    """`rejected`: by a check, for good. `error`: an exception; tried again on resume."""
    check: str | None = None
    """Id of the check, for `rejected`."""
    type: str | None = None
    """Class name of the exception, for `error`."""
    message: str


def to_line(record: Record) -> bytes:
    """A record as one line of JSONL. ValueError for NaN, lone surrogates and giant rows."""
    # Not pydantic's JSON mode: it writes NaN as null without a word.
    value = record.model_dump(exclude_none=isinstance(record, FailureRow))
    text = json.dumps(
        value,
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
        default=to_jsonable_python,
    )
    line = text.encode() + b"\n"
    if len(line) > LINE_BYTES:
        raise ValueError(f"a row of {len(line)} bytes is over the limit of {LINE_BYTES}")
    return line


def read_lines(file: BinaryIO, path: Path, *, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """(offset, line) from an offset on. An unfinished last line is left out."""
    file.seek(start)
    offset = start
    while line := file.readline(LINE_BYTES + 1):
        if len(line) > LINE_BYTES:
            raise StoreError(
                f"{str(path)!r} has a line of over {LINE_BYTES} bytes at byte {offset}: this is "
                "not a file of a run"
            )
        if not line.endswith(b"\n"):
            return
        yield offset, line
        offset += len(line)


class JsonlLog:
    """An append-only JSONL file that is open for writing. An unfinished last line is cut off."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        file.truncate(_end_of_last_line(file))

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines in one piece. StoreError, and nothing written, when it can't."""
        if not lines:
            return
        data = memoryview(b"".join(lines))
        start = self._file.seek(0, os.SEEK_END)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self._file.truncate(start)
            raise StoreError(
                f"can't write {str(self._path)!r}: {error.strerror}. Make room, then run the same "
                "command again to resume"
            ) from error

    def cut(self, size: int) -> None:
        """Drop everything after the first `size` bytes."""
        self._file.truncate(size)

    def close(self) -> None:
        """Bring what was written to the disk and close."""
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _end_of_last_line(file: BinaryIO) -> int:
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        # From the end in blocks: the file may be large, and its last line is near.
        start = max(0, end - _BLOCK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
