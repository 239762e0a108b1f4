"""JSONL files: a record as a line, and appending of whole lines.

Rows go on in a further file (`arenas.jsonl`, `arenas.00001.jsonl`, …) where the next line would
make one longer than `SHARD_BYTES`: the lines alone decide what stands where. Offsets count the
bytes of the files before, too. `astra.runs.shards` reads them as one.

After `kill -9` every line is whole, or is the last one and is cut off: then it is left out, with a
StoreWarning. Not guaranteed: that lines written moments before a power cut are on the disk.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, Self

from pydantic_core import to_jsonable_python

from astra.errors import StoreError, StoreWarning
from astra.types import Record

LINE_BYTES = 64 * 2**20
"""Longest row. A longer one is refused, so that reading stays within memory."""
SHARD_BYTES = 512 * 2**20
"""Longest file of rows, if no single row is longer."""
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
    """(offset, line) from an offset on. A last line that is cut off is left out, with a warning."""
    file.seek(start)
    offset = start
    while line := file.readline(LINE_BYTES + 1):
        if len(line) > LINE_BYTES:
            raise StoreError(
                f"{str(path)!r} has a line of over {LINE_BYTES} bytes at byte {offset}: this is "
                "not a file of a run"
            )
        if not line.endswith(b"\n"):
            if _is_whole(line):  # an editor took the line end away, or a kill came before it
                yield offset, line + b"\n"
                return
            warnings.warn(
                f"{str(path)!r}, line {_line_number(file, offset)}: it is cut off after "
                f"{len(line)} bytes, and left out (a run was stopped there, or is writing now)",
                StoreWarning,
                stacklevel=2,
            )
            return
        yield offset, line
        offset += len(line)


def shard_name(name: str, number: int) -> str:
    """The file of rows `name` that has a number: 0 is the first."""
    return f"{name}.{number:05d}.jsonl" if number else f"{name}.jsonl"


class JsonlLog:
    """Append-only JSONL that is open for writing.

    A last line that is cut off is removed, with a warning: its item will be made again.
    """

    def __init__(self, open_file: Callable[[str], BinaryIO], folder: Path, name: str) -> None:
        """`open_file`: opens a file of the folder, which it creates, for reading and writing."""
        self._open = open_file
        self._folder = folder
        self._name = name
        self._starts = [0]
        """Offset of the first byte of each file. The last one is open."""
        self._file = open_file(shard_name(name, 0))
        try:
            self._mend()
        except BaseException:
            self._file.close()
            raise

    def _mend(self) -> None:
        with self._reporting():
            while os.path.lexists(self._folder / shard_name(self._name, len(self._starts))):
                self._open_next()
            file = self._file
            end = _end_of_last_line(file)
            size = file.seek(0, os.SEEK_END)
            if end == size:
                return
            file.seek(end)
            rest = file.read(min(size - end, LINE_BYTES))
            if _is_whole(rest):
                file.write(b"\n")
                return
            number = _line_number(file, end)
            file.truncate(end)
        warnings.warn(
            f"{str(self._path)!r}, line {number}: it was cut off after {len(rest)} bytes (a run "
            "was stopped there), and is removed to be written again",
            StoreWarning,
            stacklevel=4,
        )

    @property
    def _path(self) -> Path:
        return self._folder / shard_name(self._name, len(self._starts) - 1)

    def _open_next(self) -> None:
        following = self._open(shard_name(self._name, len(self._starts)))
        self._starts.append(self._starts[-1] + self._file.seek(0, os.SEEK_END))
        with self._file:
            os.fsync(self._file.fileno())
        self._file = following

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines, those of a file in one piece. StoreError, and nothing written, when it
        can't."""
        with self._reporting():
            size = self._file.seek(0, os.SEEK_END)
            start = self._starts[-1] + size
            piece: list[bytes] = []
            try:
                for line in filter(None, lines):
                    if size and size + len(line) > SHARD_BYTES:
                        self._write(piece)
                        self._open_next()
                        size, piece = 0, []
                    size += len(line)
                    piece.append(line)
                self._write(piece)
            except (OSError, StoreError):
                self.cut(start)
                raise

    def _write(self, lines: Sequence[bytes]) -> None:
        data = memoryview(b"".join(lines))
        while data:
            data = data[self._file.write(data) :]

    def cut(self, size: int) -> None:
        """Drop everything after the first `size` bytes."""
        with self._reporting():
            # From the end: whatever a kill leaves is the beginning of what there was.
            while len(self._starts) > 1 and self._starts[-1] >= size:
                self._file.close()
                self._path.unlink()
                self._starts.pop()
                self._file = self._open(self._path.name)
            self._file.truncate(size - self._starts[-1])

    def close(self) -> None:
        """Bring what was written to the disk and close."""
        with self._file, self._reporting():
            os.fsync(self._file.fileno())

    @contextmanager
    def _reporting(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"can't write {str(self._path)!r}: {error.strerror}. Make room, then run the same "
                "command again to resume"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _is_whole(line: bytes) -> bool:
    """Whether a line without its end is a whole row: no part of a JSON object is an object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _line_number(file: BinaryIO, offset: int) -> int:
    """Number of the line that begins at an offset. Moves the file's position."""
    file.seek(0)
    number = 1
    while offset > 0 and (block := file.read(min(_BLOCK, offset))):
        number += block.count(b"\n")
        offset -= len(block)
    return number


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
