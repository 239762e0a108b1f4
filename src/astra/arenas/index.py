"""Where the arenas of a run folder lie: 100 bytes an arena, for a folder may hold a million."""

from __future__ import annotations

import warnings
from array import array
from typing import Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from astra.arenas.certificates import NO_CERTIFICATE, defect_of
from astra.arenas.folder import ARENAS, CERTIFICATES
from astra.errors import StoreWarning
from astra.runs.folder import RunFolder
from astra.types import Json

Split = Literal["train", "test"]


class ArenaEntry(NamedTuple):
    """Where an arena lies in `arenas.jsonl`, and what is known of it without reading it."""

    id: str
    split: Split
    hops: int
    offset: int


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Facts(_Part):
    """What is read of a row. Passing over the rest takes a quarter of the time of reading all."""

    id: str
    split: str
    goals: list[_Part]


class ArenaIndex:
    """All arenas by their places, which are those in the folder. A repeated id counts once."""

    def __init__(self, folder: RunFolder) -> None:
        """Reads `arenas.jsonl`. Warns of repeated ids. StoreError for a damaged row."""
        self._folder = folder
        self._ids = bytearray()
        self._ends = array("Q")
        self._offsets = array("Q")
        self._hops = array("I")
        self._splits = array("I")
        self._split_names: list[Split] = []
        # A hash table with open addressing: place + 1, or 0 where nothing is.
        self._table = array("I", bytes(4 * 1024))
        self._certificates: array[int] | None = None
        self._defects: dict[int, str] = {}
        first: tuple[int, str] | None = None
        repeated = 0
        for number, (offset, line) in enumerate(folder.lines(ARENAS), start=1):
            # That a split is one of the two is checked when the arena is read.
            try:
                facts = _Facts.model_validate_json(line)
                arena_id, hops, split = facts.id, len(facts.goals), cast(Split, facts.split)
            except ValidationError:
                row = folder.value(ARENAS, number, line)
                arena_id, hops = str(row.get("id")), len(row.get("goals", ()))
                split = cast(Split, row.get("split"))
            if self.find(arena_id) is None:
                self._add(ArenaEntry(arena_id, split, hops, offset))
            else:
                repeated += 1
                first = first or (number, arena_id)
        if first is not None:
            where = folder.line_name(ARENAS, first[0])
            others = f", and {repeated - 1} more," if repeated > 1 else ""
            text = f"{where}{others}: arena {first[1]!r} is repeated, and left out"
            warnings.warn(text, StoreWarning, stacklevel=2)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, place: int) -> ArenaEntry:
        split = self._split_names[self._splits[place]]
        return ArenaEntry(self.id(place), split, self._hops[place], self._offsets[place])

    def id(self, place: int) -> str:
        """The id of the arena there."""
        start = self._ends[place - 1] if place else 0
        # Whatever JSON can hold, half a character too: ids of others are not checked here.
        return self._ids[start : self._ends[place]].decode("utf-8", "surrogatepass")

    def split(self, place: int) -> Split:
        """The split of the arena there."""
        return self._split_names[self._splits[place]]

    def find(self, arena_id: str) -> int | None:
        """The place of an id. None if there is none."""
        place = self._table[self._slot(arena_id)]
        return place - 1 if place else None

    def _slot(self, arena_id: str) -> int:
        """Where the table has that id, or would have it."""
        last = len(self._table) - 1
        slot = hash(arena_id) & last
        while (place := self._table[slot]) and self.id(place - 1) != arena_id:
            slot = slot + 1 & last
        return slot

    def _add(self, entry: ArenaEntry) -> None:
        if 2 * len(self) >= len(self._table):
            self._table = array("I", bytes(8 * len(self._table)))
            for place in range(len(self)):
                self._table[self._slot(self.id(place))] = place + 1
        slot = self._slot(entry.id)
        self._ids += entry.id.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._ids))
        self._offsets.append(entry.offset)
        self._hops.append(entry.hops)
        if entry.split not in self._split_names:
            self._split_names.append(entry.split)
        self._splits.append(self._split_names.index(entry.split))
        self._table[slot] = len(self)

    # --- certificates --------------------------------------------------------------------------

    def certificate(self, place: int) -> int | None:
        """Offset of the arena's certificate in `certificates.jsonl`: of several, of the last."""
        if self._certificates is None:
            self._certificates = array("Q", bytes(8 * len(self)))
            for offset, row in self._folder.values(CERTIFICATES):
                self._certify(offset, row, self._certificates)
        offset = self._certificates[place]
        return offset - 1 if offset else None

    def _certify(self, offset: int, row: Json, certificates: array[int]) -> None:
        place = self.find(str(row.get("arena")))
        if place is None:
            return
        certificates[place] = offset + 1
        self._defects.pop(place, None)
        if defect := defect_of(row):
            self._defects[place] = defect

    def defect(self, place: int) -> str:
        """Why an arena is not certified, for a sentence. Empty if it is."""
        if self.certificate(place) is None:
            return NO_CERTIFICATE
        return self._defects.get(place, "")
