"""Reads arenas of a run folder by their offsets; `astra.arenas.sets.ArenaSet` is the sequence."""

from __future__ import annotations

import shutil
import weakref
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from astra.arenas.database_file import DatabasePool
from astra.arenas.distractors import PER_BAND
from astra.arenas.folder import ARENAS, ToolPool, complete_arena, pool_rows
from astra.arenas.index import ArenaIndex, Split
from astra.runs.folder import RunFolder
from astra.types import Arena, ArenaRow

if TYPE_CHECKING:
    from astra.arenas.distractor_pool import DistractorPool

_CACHED_ARENAS = 256


class ArenaReader:
    """Reads complete arenas of one run folder, and draws distractors from its tools."""

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        """`temporary`: the folder is deleted together with the reader."""
        self.folder = RunFolder.open(path)
        self.tools = ToolPool(self.folder)
        self.databases = DatabasePool(self.folder)
        self.read = lru_cache(_CACHED_ARENAS)(self._read)
        self.pool = lru_cache(maxsize=None)(self._pool)
        if temporary:
            weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)

    def __reduce__(self) -> tuple[type[ArenaReader], tuple[Path]]:
        # Another process opens the folder itself: caches are not sent.
        return type(self), (self.folder.path,)

    @cached_property
    def index(self) -> ArenaIndex:
        """Of all arenas, in the folder's order."""
        return ArenaIndex(self.folder)

    @property
    def per_band(self) -> int:
        """Most distractors of a band that the folder was made with."""
        number = self.folder.config().get("distractors_per_band")
        return number if isinstance(number, int) else PER_BAND

    def _read(self, offset: int) -> Arena:
        row = self.folder.row_at(ARENAS, offset, ArenaRow)
        return complete_arena(row, self.tools, self.databases)

    def _pool(self, split: Split) -> DistractorPool:
        from astra.arenas.distractor_pool import DistractorPool  # late: it needs NumPy

        return DistractorPool.of_rows_tfidf(pool_rows(self.folder, split))
