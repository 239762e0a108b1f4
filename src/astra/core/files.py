"""Files written whole or not at all, and files of the user's read up to a limit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from astra.configs.spelling import option_name
from astra.errors import ConfigError


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary path beside `path`, which takes its name when the block ends without an error.

    Readers see the old file or the new one. The block must create the file. One writer at a time.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)  # of a killed run, or a link that somebody put there
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # Else a power cut could leave the new name on an empty file.
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_file(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a whole file in one step. Pieces are written as they come."""
    with replacing(path) as temporary, temporary.open("xb") as file:
        file.writelines([content] if isinstance(content, bytes) else content)


def replace_folder(new: Path, path: Path) -> None:
    """Give a finished folder its final name, in the place of an older folder.

    Readers see the old folder, none for a moment, or the whole new one. Never a part.
    """
    shutil.rmtree(path, ignore_errors=True)
    os.replace(new, path)


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

    Raises ConfigError, which names the option, for a file that can't be read.
    """
    if path is None:
        return None
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{option_name(option)} {str(path)!r}: can't read it: {error}") from error
