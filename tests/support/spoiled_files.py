"""Files that a plain reader would hang on, or fill the memory with."""

from __future__ import annotations

import os
from pathlib import Path


def huge(path: Path) -> None:
    """A file of a tebibyte that takes no room on the disk."""
    path.unlink(missing_ok=True)
    path.touch()
    os.truncate(path, 2**40)


def pipe(path: Path) -> None:
    """A pipe that nobody writes: opening it for reading never ends."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
