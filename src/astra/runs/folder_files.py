"""The files of a folder that may be a stranger's: never through links, bounded, locked to write."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from astra.configs.spelling import option_name
from astra.core.files import write_file
from astra.errors import StoreError
from astra.types import Json

LOG = "progress.log"
FILE_BYTES = 64 * 2**20
"""Largest file that is read as a whole, unless its reader says otherwise."""
_BLOCK = 2**16
"""Bytes that are read at once: rows are longer than the 8 kB that are read by default."""


class FolderFiles:
    """Reading needs no lock and creates nothing; writing takes the lock."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock_depth = 0

    def exists(self, file: str) -> bool:
        """Whether the folder has that file. A link counts, and is refused when opened."""
        return os.path.lexists(self.path / file)

    def open_file(self, file: str, flags: int = os.O_RDONLY) -> BinaryIO:
        """Open a regular file of the folder, never through a link: folders are passed around.

        FileNotFoundError if it is absent; StoreError for any other obstacle.
        """
        path = self.path / file
        try:
            # O_NONBLOCK: opening a pipe of that name would wait for its writer.
            fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreError(
                    f"{str(path)!r} is a symbolic link: put the file itself there"
                ) from error
            raise StoreError(f"can't open {str(path)!r}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise StoreError(f"{str(path)!r} is not a regular file: remove it")
        if flags & os.O_RDWR:
            return open(fd, "r+b", buffering=0)
        return open(fd, "rb", buffering=_BLOCK)

    def read(self, file: str, *, limit: int = FILE_BYTES) -> bytes:
        """The content of a file other than those of rows.

        StoreError if there is none, or one of more than `limit` bytes.
        """
        try:
            with self.open_file(file, os.O_RDONLY) as opened:
                content = opened.read(limit + 1)
        except FileNotFoundError:
            raise StoreError(f"{str(self.path)!r} holds no {file!r}: restore it") from None
        if len(content) > limit:
            raise StoreError(
                f"{str(self.path / file)!r} has more than {limit} bytes: this is not a file of a "
                "run; restore it"
            )
        return content

    def read_json(self, file: str, *, limit: int = FILE_BYTES) -> dict[str, Json]:
        """The JSON object of a file. StoreError if it holds anything else, or is as above."""
        try:
            value = json.loads(self.read(file, limit=limit))
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{str(self.path / file)!r} is damaged ({error}): restore it") from (
                error
            )
        if not isinstance(value, dict):
            raise StoreError(f"{str(self.path / file)!r} is not a JSON object: restore it")
        return value

    def clear(self) -> None:
        """Delete all that the folder holds."""
        for entry in self.path.iterdir():
            if entry.name == ".lock":  # we hold it
                continue
            try:
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            except OSError as error:
                raise StoreError(f"can't delete {str(entry)!r}: {error.strerror}") from error

    def replace(self, file: str, pieces: Iterable[bytes]) -> None:
        """Write a whole file in one step: readers see the old one or the new one."""
        with self.lock(), reporting(self.path / file):
            write_file(self.path / file, pieces)

    @contextmanager
    def lock(self) -> Generator[None]:
        """Be the one process that writes here. StoreError if another one is. Nests."""
        if self._lock_depth == 0:
            with reporting(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            self._lock_file = self.open_file(".lock", os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock_file.close()
                raise StoreError(
                    f"another process is writing {str(self.path)!r}: wait until it is done, or "
                    f"choose another {option_name('out')}"
                ) from None
        self._lock_depth += 1
        try:
            yield
        finally:
            self._lock_depth -= 1
            if self._lock_depth == 0:
                self._lock_file.close()

    def append_log(self, line: str) -> None:
        """Append a line to `progress.log`, which is for people and never read here."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        with reporting(self.path / LOG), self.open_file(LOG, flags) as file:
            file.write(line.encode("utf-8", "backslashreplace") + b"\n")


@contextmanager
def reporting(path: Path) -> Generator[None]:
    """Turn errors of writing `path` into StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"can't write {str(path)!r}: {error.strerror}") from error
