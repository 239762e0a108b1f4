"""Reads arenas of a run folder by their offsets; `astra.arenas.sets.ArenaSet` is the sequence."""

from __future__ import annotations

import shutil
import warnings
import weakref
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from astra.arenas.certificates import NO_CERTIFICATE, defect_of
from astra.arenas.database_file import DatabasePool
from astra.arenas.distractors import PER_BAND
from astra.arenas.folder import ARENAS, CERTIFICATES, ToolPool, complete_arena, pool_rows
from astra.errors import StoreWarning
from astra.runs.folder import RunFolder
from astra.types import Arena, ArenaRow

if TYPE_CHECKING:
    from astra.arenas.distractor_pool import DistractorPool

Split = Literal["train", "test"]

_CACHED_ARENAS = 256


class ArenaEntry(NamedTuple):
    """Where an arena lies in `arenas.jsonl`, and what is known of it without reading it."""

    id: str
    split: Split
    hops: int
    offset: int


class StoredCertificate(NamedTuple):
    """Where a certificate lies in `certificates.jsonl`, and what is wrong with it."""

    offset: int
    defect: str
    """Empty if it certifies its arena."""


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
    def entries(self) -> tuple[ArenaEntry, ...]:
        """Of all arenas, in the folder's order. An id that is repeated counts once."""
        entries: dict[str, ArenaEntry] = {}
        for number, (offset, row) in enumerate(self.folder.values(ARENAS), start=1):
            arena_id, hops = str(row.get("id")), len(row.get("goals", ()))
            if arena_id in entries:
                line = self.folder.line_name(ARENAS, number)
                text = f"{line}: arena {arena_id!r} is repeated, and left out"
                warnings.warn(text, StoreWarning, stacklevel=2)
                continue
            entries[arena_id] = ArenaEntry(arena_id, row.get("split"), hops, offset)
        return tuple(entries.values())

    @cached_property
    def certificates(self) -> dict[str, StoredCertificate]:
        """The certificates by the id of the arena. Of several for one arena the last counts."""
        return {
            str(row.get("arena")): StoredCertificate(offset, defect_of(row))
            for offset, row in self.folder.values(CERTIFICATES)
        }

    def defect(self, arena_id: str) -> str:
        """Why an arena is not certified, for a sentence. Empty if it is."""
        certificate = self.certificates.get(arena_id)
        return NO_CERTIFICATE if certificate is None else certificate.defect

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
