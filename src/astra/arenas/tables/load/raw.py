"""What every reader ends in: a table in DuckDB whose columns have no names and kinds yet.

A `RawTable` has columns c0, c1, … in file order, and what the file itself says of each. Files
without types give text, and so do types that a file does not keep to; all others keep theirs.
`types.py` makes the typed table of it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from astra.errors import TableError
from astra.types import Json, Scalar


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """How much is read. What is larger is refused with a `TableError`, never cut."""

    columns: int = 1_000
    rows: int = 50_000_000
    cell: int = 100_000
    """Characters in one cell."""
    row: int = 1_000_000
    """Characters in one row of a text file."""
    text_bytes: int = 8 * 2**30
    """Bytes of one table's uncompressed columns (Parquet, DuckDB)."""
    json_bytes: int = 128 * 2**20
    """Size of one JSON document, which is parsed whole; JSON lines are not bound by it."""
    memory: str = "2GB"
    """DuckDB's memory limit; what is larger goes to the temporary folder."""
    temporary: str = "16GB"
    """Most that DuckDB may write to the temporary folder."""
    threads: int = 2


class ColumnContent(StrEnum):
    """What a file says that a column holds."""

    anything = "anything"
    """Nothing is said (CSV): the values decide."""
    text = "text"
    integer = "integer"
    number = "number"
    boolean = "boolean"
    date = "date"
    mixed = "mixed"
    """Values of several types that no type covers but text."""
    nested = "nested"
    """Lists, objects, bytes: never asked about."""


@dataclass(frozen=True, slots=True)
class RawColumn:
    """A column as the file names it."""

    original: str
    holds: ColumnContent
    typed: bool = False
    """Its cells have the native type of what it holds; the cells of other columns are text."""


@dataclass(frozen=True, slots=True)
class RawForeignKey:
    """A foreign key of one column that a database file declares, in the file's own names."""

    column: str
    table: str
    references: str | None
    """None: the other table's primary key."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table in DuckDB before its columns have names and kinds."""

    relation: str
    """Name of the DuckDB table; its columns are c0, c1, …"""
    name: str
    """Name of the file or of the table in the database file."""
    path: Path
    source: str
    """For messages: the file as the user gave it, and the table inside it."""
    columns: tuple[RawColumn, ...]
    rows: int
    first_row: int = 1
    """What a message calls the first data row: 2 where the header is row 1."""
    decimal_comma: bool | None = None
    """Whether commas mark decimals (True) or group thousands. None: the file does not say."""
    key: str | None = None
    foreign_keys: tuple[RawForeignKey, ...] = ()
    notes: tuple[str, ...] = ()


NATIVE_TYPES = {
    ColumnContent.integer: "BIGINT",
    ColumnContent.number: "DOUBLE",
    ColumnContent.boolean: "BOOLEAN",
    ColumnContent.date: "DATE",
}
"""DuckDB's types of what a typed column holds."""
_CHUNK_CELLS = 500_000
_CHUNK_CHARACTERS = 16 * 2**20
"""A chunk of rows ends at one of these: it is held as Python objects, outside DuckDB's limit."""


@dataclass(slots=True)
class LoadSession:
    """Where raw tables are made: the connection, a folder for temporary files, the limits."""

    connection: duckdb.DuckDBPyConnection
    folder: Path
    limits: LoadLimits
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh(self) -> str:
        """A name that no table and no temporary file has yet."""
        return f"raw_{next(self.numbers)}"

    def table_of_rows(
        self, source: str, columns: Sequence[RawColumn], rows: Iterable[Sequence[Scalar | None]]
    ) -> tuple[str, int]:
        """Write rows into a new raw table. Gives its name and the number of rows.

        Cells of typed columns are values of that type or None; all others are text or None.
        Raises TableError at a row that is too long, or when there are too many.
        """
        relation, count = self.fresh(), 0
        declared = ", ".join(
            f"c{i} {NATIVE_TYPES[column.holds] if column.typed else 'VARCHAR'}"
            for i, column in enumerate(columns)
        )
        self.connection.execute(f"CREATE TABLE {relation} ({declared})")
        for chunk in self._chunks(source, rows):
            # DuckDB takes arrays ten times as fast as lists of parameters, and without a file.
            arrays = {
                f"c{i}": _array(column, cells)
                for i, (column, cells) in enumerate(
                    zip(columns, zip(*chunk, strict=True), strict=True)
                )
            }
            self.connection.register(f"{relation}_chunk", arrays)
            self.connection.execute(f"INSERT INTO {relation} SELECT * FROM {relation}_chunk")
            self.connection.unregister(f"{relation}_chunk")
            count += len(chunk)
        return relation, count

    def _chunks(
        self, source: str, rows: Iterable[Sequence[Scalar | None]]
    ) -> Iterator[list[Sequence[Scalar | None]]]:
        """The rows in lists of a bounded size, checked against the limits."""
        chunk: list[Sequence[Scalar | None]] = []
        cells = characters = 0
        for number, row in enumerate(rows, start=1):
            if number > self.limits.rows:
                raise TableError(
                    f"{source}: more than {self.limits.rows} rows; give a smaller table, "
                    "e.g. the rows that questions should be about"
                )
            length = sum([len(cell) for cell in row if isinstance(cell, str)])
            if length > self.limits.row:
                raise TableError(
                    f"{source}: data row {number} has more than {self.limits.row} characters; "
                    "shorten its texts or take the column out"
                )
            chunk.append(row)
            cells += len(row)
            characters += length
            if cells >= _CHUNK_CELLS or characters >= _CHUNK_CHARACTERS:
                yield chunk
                chunk, cells, characters = [], 0, 0
        if chunk:
            yield chunk

    def count(self, relation: str) -> int:
        """Number of rows of a raw table."""
        row = self.connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
        return int(row[0]) if row else 0


def _array(column: RawColumn, cells: Sequence[Scalar | None]) -> np.ndarray[Any, Any]:
    """The cells of one column in the form that DuckDB reads without looking at each."""
    if not column.typed:
        # A lone surrogate (JSON may hold "\\ud800") has no UTF-8; DuckDB would refuse the chunk.
        texts = [
            c if not isinstance(c, str) or c.isascii() else c.encode(errors="replace").decode()
            for c in cells
        ]
        return np.array(texts, dtype=object)
    empty = [cell is None for cell in cells]
    values = [0 if cell is None else cell for cell in cells]
    match column.holds:
        case ColumnContent.number:
            # JSON's 1e400 and SQLite's 9e999 are infinite: no value that one could ask for.
            numbers = np.array(values, dtype=np.float64)
            return np.ma.masked_array(numbers, mask=empty | ~np.isfinite(numbers))
        case ColumnContent.boolean:
            return np.ma.masked_array(np.array(values, dtype=np.bool_), mask=empty)
        case _:
            return np.ma.masked_array(np.array(values, dtype=np.int64), mask=empty)


def check_width(source: str, width: int, limits: LoadLimits) -> None:
    """TableError where a table has more columns than the bound."""
    if width > limits.columns:
        raise TableError(
            f"{source}: {width} columns, but at most {limits.columns} are read; "
            "keep the columns that questions should be about, or turn them into rows"
        )


def check_repeated(source: str, names: Sequence[str]) -> None:
    """TableError where two columns have one name, capitals and outer spaces aside."""
    first: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        plain = name.strip().casefold()
        if plain and plain in first:
            raise TableError(
                f"{source}: columns {first[plain]} and {position} are both called "
                f"{name.strip()[:80]!r}; rename one of them"
            )
        first[plain] = position


# --- values of typed files -------------------------------------------------------------------


def value_kind(value: Json) -> str:
    """What a JSON or SQLite value is: "null", "wide" for an integer that has no 64 bits, or a
    member of `ColumnContent`."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer" if -(2**63) <= value < 2**63 else "wide"
        case float():
            return "number"
        case str():
            return "text"
        case _:
            return "nested"


def column_of(name: str, kinds: AbstractSet[str]) -> RawColumn:
    """A column with values of these kinds."""
    present = kinds - {"null", "wide"}
    if "wide" in kinds:
        present |= {"integer"}
    if present == {"integer", "number"}:
        holds = ColumnContent.number
    elif "nested" in present:
        holds = ColumnContent.nested
    elif len(present) > 1:
        holds = ColumnContent.mixed
    else:
        holds = ColumnContent(next(iter(present))) if present else ColumnContent.text
    # An integer that fits no BIGINT makes its column text, so that no digit is lost.
    return RawColumn(name, holds, typed=holds in NATIVE_TYPES and "wide" not in kinds)


def cells(columns: Sequence[RawColumn], values: Iterable[Json]) -> list[Scalar | None]:
    """A row's values as cells of the columns; bytes are not kept."""
    row: list[Scalar | None] = []
    for column, value in zip(columns, values, strict=True):
        if column.typed or value is None or isinstance(value, str):
            row.append(value)
        elif isinstance(value, bool):
            row.append("true" if value else "false")
        elif isinstance(value, int | float):
            row.append(repr(value))
        elif isinstance(value, bytes):
            row.append("bytes")
        else:
            row.append(json.dumps(value, ensure_ascii=False))
    return row
