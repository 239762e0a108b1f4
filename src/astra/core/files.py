"""Files written whole or not at all, and files of the user's read up to a limit."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from astra.configs.spelling import option_name
from astra.errors import ConfigError, StoreError

_TEXT_BYTES = 2**20
"""Longest text that an option's file may hold: more than any model reads."""


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary path beside `path`, which takes its name when the block ends without an error.

    Readers see the old file or the new one. The block writes to the path, which is an empty file.
    Raises StoreError if another process is writing `path`, or if it can't be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        descriptor = _locked(temporary, path)
        try:
            yield temporary
            # Else a power cut could leave the new name on an empty file.
            os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"can't write {str(path)!r}: {error.strerror or error}") from error


def _locked(temporary: Path, path: Path) -> int:
    """A descriptor of the temporary file, empty and locked for as long as it is open."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        if temporary.is_symlink():
            temporary.unlink()
        descriptor = os.open(temporary, flags, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"another process is writing {str(path)!r}: wait until it is done, or choose "
                    f"another {option_name('out')}"
                ) from None
            status = os.fstat(descriptor)
            # The writer before may have given the file its final name since it was opened here.
            if temporary.exists() and temporary.stat().st_ino == status.st_ino:
                # A file with a second name is one that somebody else put there.
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                    os.ftruncate(descriptor, 0)  # what a killed run left
                    return descriptor
                temporary.unlink()
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def write_file(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a whole file in one step. Pieces are written as they come."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content)


@contextmanager
def temporary_folder(inside: Path | None = None) -> Generator[Path]:
    """A new temporary folder, deleted if the block ends with an error; else it is the caller's.

    `inside`: the folder that it is made in. None: that of the system.
    """
    path = Path(tempfile.mkdtemp(prefix="astra-", dir=inside))
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def replace_folder(new: Path, path: Path) -> None:
    """Give a finished folder its final name, in the place of an older folder.

    Readers see the old folder, none for a moment, or the whole new one. Never a part.
    """
    shutil.rmtree(path, ignore_errors=True)
    os.replace(new, path)


def move_files(new: Iterable[Path], folder: Path) -> None:
    """Give finished files their place in a folder, in their order, in the place of older ones."""
    for path in new:
        os.replace(path, folder / path.name)


def read_bounded(path: Path, limit: int, advice: str) -> bytes:
    """The content of a file of at most `limit` bytes, read no further.

    Raises ConfigError for a file that can't be read or is longer; then `advice` says what to do.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    if len(content) > limit:
        raise ConfigError(f"{str(path)!r} has more than {limit} bytes: {advice}")
    return content


def read_text_option(path: Path | str | None, option: str) -> str | None:
    """The text of a file that an option names. None for None.

    Raises ConfigError, which names the option, for a file that can't be read or is too long.
    """
    if path is None:
        return None
    try:
        text = read_bounded(Path(path), _TEXT_BYTES, "give a shorter text").decode()
    except ConfigError as error:
        raise ConfigError(f"{option_name(option)}: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{option_name(option)}: {str(path)!r} is not UTF-8 text ({error}): save it as such"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
