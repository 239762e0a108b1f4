"""An index of a run folder's rows: where each begins, and what it can be found by.

It is made in the background and kept in memory, in SQLite, since run folders are never written.
Rows that are already indexed can be looked at while the rest is read. A file that has grown is read
on from where it ended; one that was replaced is read anew.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from astra.errors import StoreError, StoreWarning
from astra.runs.folder import RunFolder
from astra.runs.shards import shard_files
from astra.viewer.listings import ColumnKind, Listing, certificate_cell
from astra.viewer.row_facts import Cell

_BATCH_SECONDS = 0.05
"""Between commits: a page waits this long for the index at most."""
_CHOICES = 200
"""Values of a column that are offered as a filter at most."""
_ID = re.compile(r"(?!\d{1,9}$)[A-Za-z0-9_-]{1,80}")
"""Ids that stand in addresses and in names of files. Rows without one, or with one that another row
has, are called by their number."""
_UNTOLD = "without a certificate"
_TEXT = 600
"""Characters of a row's text that are shown in a list."""
_SEARCHED = 50_000
"""Characters of it that are searched."""


@dataclass(frozen=True)
class RowQuery:
    """Which rows of a listing are wanted, and in which order."""

    words: str = ""
    """Text that has to occur, however it is cased."""
    chosen: Mapping[str, str] = field(default_factory=dict)
    """ListColumn -> value."""
    least: Mapping[str, float] = field(default_factory=dict)
    """ListColumn -> smallest value."""
    most: Mapping[str, float] = field(default_factory=dict)
    sort: str = ""
    """ListColumn; empty: in the order of the file."""
    descending: bool = False


class FoundRow(NamedTuple):
    """A row of a listing."""

    number: int
    """From 0, over all files of the listing."""
    id: str
    """Its own id, or its number as text."""
    cells: dict[str, Cell]


class RowPage(NamedTuple):
    """Rows that were found."""

    rows: list[FoundRow]
    total: int
    """How many there are on all pages."""


class IndexState(NamedTuple):
    """How far an index is."""

    rows: int
    fraction: float
    """Of the bytes; 1 when all is read."""
    problems: tuple[str, ...]
    """What could not be read, for people. The rows are left out."""

    @property
    def complete(self) -> bool:
        return self.fraction >= 1


class _Found(NamedTuple):
    """What there is of the rows of a name now."""

    identity: tuple[int, int]
    """Of their first file."""
    size: int
    """Bytes of all their files."""


class _File:
    """How far the rows of a name have been read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.read = 0
        self.size = 0
        self.identity: tuple[int, int] = (0, 0)

    def is_replaced_by(self, found: _Found | None) -> bool:
        """Whether what is there now is another file, or a shorter one, or nothing."""
        if found is None:
            return True
        return self.identity != found.identity or found.size < self.read


class RowIndex:
    """The rows of one listing of one run folder."""

    def __init__(self, folder: RunFolder, listing: Listing) -> None:
        self.listing = listing
        self._folder = folder
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._clear()

    def _clear(self) -> None:
        self._files: dict[str, _File] = {}
        self._told: dict[str, tuple[str, int]] = {}
        self._told_late: list[str] = []
        self._problems: list[str] = []
        self._count = 0
        self._ids: set[str] = set()
        self._changed = False
        self._choices: dict[str, Counter[str]] = {
            column.name: Counter() for column in self.listing.columns if column.kind == "choice"
        }
        names = [column.name for column in self.listing.columns]
        self._names = [*dict.fromkeys((*names, "text", *self.listing.kept))]
        self._kinds: dict[str, ColumnKind] = dict.fromkeys(self._names, "text")
        self._kinds |= {column.name: column.kind for column in self.listing.columns}
        self._rows = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        columns = "".join(f", {_quoted(name)}" for name in self._names)
        self._rows.execute(
            "CREATE TABLE rows (number INTEGER PRIMARY KEY, id TEXT UNIQUE, file TEXT, "
            f"start INTEGER, folded TEXT{columns})"
        )
        marks = ", ".join("?" * (5 + len(self._names)))
        self._insert = f"INSERT INTO rows VALUES ({marks})"

    # --- reading -------------------------------------------------------------------------------

    def refresh(self, wait: float = 0.0) -> IndexState:
        """Read on if the files have grown, for at most `wait` seconds. How far it is then."""
        with self._lock:
            if self._reader is None or not self._reader.is_alive():
                self._look()
                if self._changed:
                    self._reader = threading.Thread(target=self._read_on, daemon=True)
                    self._reader.start()
            reader = self._reader
        if reader is not None:
            reader.join(wait)
        return self.state()

    def state(self) -> IndexState:
        size = sum(file.size for file in self._files.values())
        read = sum(file.read for file in self._files.values())
        reading = self._reader is not None and self._reader.is_alive()
        fraction = min(read / size, 0.999) if reading and size else 1.0
        return IndexState(self._count, fraction, tuple(self._problems))

    def _look(self) -> None:
        """Compare the files with what was read of them."""
        self._changed = False
        names = self.listing.present_files(self._folder)
        if self.listing.beside:
            names.append(self.listing.beside)
        found = {name: each for name in names if (each := self._find(name)) is not None}
        if any(file.is_replaced_by(found.get(name)) for name, file in self._files.items()):
            self._clear()
        for name, each in found.items():
            file = self._files.setdefault(name, _File(name))
            # A last line that is being written is no growth until it is whole.
            self._changed |= each.size > file.size
            file.identity, file.size = each

    def _find(self, name: str) -> _Found | None:
        try:
            parts = [os.lstat(path) for path in shard_files(self._folder.path, name)]
        except OSError:
            return None
        if not parts:
            return None
        return _Found((parts[0].st_dev, parts[0].st_ino), sum(part.st_size for part in parts))

    def _read_on(self) -> None:
        beside = self._files.get(self.listing.beside)
        telling = iter(()) if beside is None else self._tell_beside(beside)
        with warnings.catch_warnings():
            # A line that is cut off is one that is being written now: it is read when it is whole.
            warnings.simplefilter("ignore", StoreWarning)
            for file in list(self._files.values()):
                if file is not beside:
                    self._read_rows(file, telling)
            for _ in telling:
                pass
            self._store([])

    def _tell_beside(self, file: _File) -> Iterator[str]:
        """The ids that rows beside ours tell of. They stand in the order of ours and are read as
        far as they are needed: a page with the first of ours need not wait for all of them."""
        try:
            for offset, line in self._folder.lines(file.name, start=file.read):
                file.read = offset + len(line)
                try:
                    row = from_json(line)
                except ValueError as error:
                    self._tell(f"{file.name}.jsonl at byte {offset}: {error}")
                    continue
                if isinstance(row, dict):
                    arena = str(row.get("arena"))
                    self._told[arena] = certificate_cell(row), offset
                    if arena in self._ids:
                        self._told_late.append(arena)
                    yield arena
        except (StoreError, OSError) as error:
            self._tell(f"{file.name}.jsonl: {error}")

    def _read_rows(self, file: _File, telling: Iterator[str]) -> None:
        batch: list[Sequence[Any]] = []
        began, read = time.monotonic(), file.read
        validate = self.listing.facts.__pydantic_validator__.validate_json
        try:
            for offset, line in self._folder.lines(file.name, start=file.read):
                read = offset + len(line)
                try:
                    cells = validate(line).cells()
                except (ValidationError, ValueError, RecursionError) as error:
                    self._tell(f"{file.name}.jsonl at byte {offset}: {_short(error)}")
                    continue
                if self.listing.beside:
                    cells["certificate"] = self._certificate(str(cells["id"]), telling)
                batch.append(self._stored(cells, file.name, offset))
                if time.monotonic() - began > _BATCH_SECONDS:
                    self._store(batch)
                    file.read = read
                    batch, began = [], time.monotonic()
        except (StoreError, OSError) as error:
            self._tell(f"{file.name}.jsonl: {error}")
        self._store(batch)
        # Not to the size: the last line may be cut off, since it is being written.
        file.read = read

    def _certificate(self, arena: str, telling: Iterator[str]) -> str:
        if arena not in self._told:
            any(told == arena for told in telling)
        return self._told.get(arena, (_UNTOLD, 0))[0]

    def _stored(self, cells: dict[str, Cell], file: str, offset: int) -> list[Any]:
        number = self._count
        self._count += 1
        text = str(cells.get("text") or "")
        row = [_value(cells.get(name), self._kinds[name]) for name in self._names]
        row[self._names.index("text")] = text[:_TEXT]
        own = str(cells.get("id") or "")
        row_id = own if _ID.fullmatch(own) and own not in self._ids else str(number)
        self._ids.add(row_id)
        return [number, row_id, file, offset, text[:_SEARCHED].casefold(), *row]

    def _store(self, batch: Sequence[Sequence[Any]]) -> None:
        """Make rows, and what was told of earlier ones, visible to pages."""
        with self._lock:
            self._rows.execute("BEGIN")
            self._rows.executemany(self._insert, batch)
            for name, counted in self._choices.items():
                place = 5 + self._names.index(name)
                counted.update(row[place] for row in batch if row[place])
            for arena in self._told_late:
                self._tell_anew(arena)
            self._rows.execute("COMMIT")
            self._told_late.clear()

    def _tell_anew(self, arena: str) -> None:
        """A certificate that came after its arena, or a later one."""
        cell, counted = self._told[arena][0], self._choices["certificate"]
        (old,) = self._rows.execute(
            "SELECT certificate FROM rows WHERE id = ?", (arena,)
        ).fetchone()
        self._rows.execute("UPDATE rows SET certificate = ? WHERE id = ?", (cell, arena))
        counted[old] -= 1
        counted[cell] += 1

    def _tell(self, problem: str) -> None:
        if len(self._problems) < 20:
            self._problems.append(problem)

    # --- asking --------------------------------------------------------------------------------

    def find(self, query: RowQuery, *, start: int, count: int) -> RowPage:
        """Rows that a query matches, from the `start`-th on."""
        where, values = self._where(query)
        order = "number"
        if self.listing.column(query.sort) is not None:
            direction = "DESC" if query.descending else "ASC"
            order = f"{_quoted(query.sort)} IS NULL, {_quoted(query.sort)} {direction}, number"
        columns = ", ".join(_quoted(name) for name in self._names)
        with self._lock:
            found = self._rows.execute(
                f"SELECT number, id, {columns} FROM rows{where} ORDER BY {order} LIMIT ? OFFSET ?",
                (*values, count, start),
            ).fetchall()
            total = start + len(found)
            # A page that is not full is the last one: the rows need not be looked through again.
            if len(found) == count or (start and not found):
                counted = self._rows.execute(f"SELECT count(*) FROM rows{where}", values)
                total = counted.fetchone()[0]
        rows = [FoundRow(n, i, dict(zip(self._names, c, strict=True))) for n, i, *c in found]
        return RowPage(rows, total)

    def _where(self, query: RowQuery) -> tuple[str, list[Any]]:
        conditions: list[str] = []
        values: list[Any] = []
        for word in query.words.casefold().split():
            conditions.append("(instr(folded, ?) OR id = ?)")
            values += [word, word]
        for comparison, wanted in (("=", query.chosen), (">=", query.least), ("<=", query.most)):
            for name, value in wanted.items():
                if self.listing.column(name) is not None:
                    conditions.append(f"{_quoted(name)} {comparison} ?")
                    values.append(value)
        return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), values

    def choices(self) -> dict[str, list[tuple[str, int]]]:
        """Column -> its values with the number of rows, the most frequent first."""
        with self._lock:
            counted = {
                name: (+counts).most_common(_CHOICES) for name, counts in self._choices.items()
            }
        return {
            n: sorted(most, key=lambda each: (-each[1], each[0])) for n, most in counted.items()
        }

    def place(self, row_id: str) -> tuple[int, str, int] | None:
        """(number, file, offset) of the row of an id. None if there is none."""
        with self._lock:
            return self._rows.execute(
                "SELECT number, file, start FROM rows WHERE id = ?", (row_id,)
            ).fetchone()

    def beside(self, row_id: str) -> int | None:
        """Offset of the row about a row, in the file that is named `beside`. None without one."""
        told = self._told.get(row_id)
        return None if told is None else told[1]

    def neighbours(self, number: int) -> tuple[str | None, str | None]:
        """Ids of the rows before and after one."""
        asked = ("< ? ORDER BY number DESC", "> ? ORDER BY number")
        with self._lock:
            before, after = (
                self._rows.execute(
                    f"SELECT id FROM rows WHERE number {a} LIMIT 1", (number,)
                ).fetchone()
                for a in asked
            )
        return before and before[0], after and after[0]


def _quoted(name: str) -> str:
    return f'"{name}"'


def _value(value: Cell, kind: ColumnKind) -> Cell:
    """A value as SQLite can hold and compare it."""
    if value is None or isinstance(value, str):
        return value
    if kind == "number" and (isinstance(value, float) or abs(value) < 2**63):
        return value
    return str(value)


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    return str(error)[:200]
