"""What every reader ends in: a table in DuckDB whose columns have no names and kinds yet.

A `RawTable` has columns c0, c1, … in file order, and what the file itself says of each. Files
without types give text, and so do types that a file does not keep to; Parquet and DuckDB files
keep theirs. `types.py` makes the typed table of it.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import duckdb

from astra.errors import TableError
from astra.types import Json


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
    decimal_comma: bool = False
    key: str | None = None
    foreign_keys: tuple[RawForeignKey, ...] = ()
    notes: tuple[str, ...] = ()


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

    def table_of_rows(self, width: int, rows: Iterable[Sequence[str | None]]) -> tuple[str, int]:
        """Write rows of text into a new raw table; gives its name and the number of rows.

        They go through a CSV file of our own making, because DuckDB reads that much faster than
        it takes single rows.
        """
        relation = self.fresh()
        path = self.folder / f"{relation}.csv"
        try:
            with path.open("w", encoding="utf-8", errors="replace", newline="") as stream:
                writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
                writer.writerows(rows)
            columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
            self.connection.execute(
                f"CREATE TABLE {relation} AS SELECT * FROM read_csv(?, header=false, delim=',', "
                f"quote='\"', escape='\"', new_line='\\n', auto_detect=false, strict_mode=true, "
                f"null_padding=false, max_line_size=6000000, columns={{{columns}}})",
                [str(path)],
            )
        finally:
            path.unlink(missing_ok=True)
        return relation, self.count(relation)

    def count(self, relation: str) -> int:
        """Number of rows of a raw table."""
        row = self.connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
        return int(row[0]) if row else 0


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


def bounded_rows(
    source: str, rows: Iterable[Sequence[str | None]], limits: LoadLimits
) -> Iterator[Sequence[str | None]]:
    """The rows as they are; TableError at one that is too long, or when there are too many."""
    for number, row in enumerate(rows, start=1):
        if number > limits.rows:
            raise TableError(
                f"{source}: more than {limits.rows} rows; give a smaller table, "
                "e.g. the rows that questions should be about"
            )
        if sum(map(len, filter(None, row))) > limits.row:
            raise TableError(
                f"{source}: data row {number} has more than {limits.row} characters; "
                "shorten its texts or take the column out"
            )
        yield row


# --- values of typed files -------------------------------------------------------------------


def value_kind(value: Json) -> str:
    """What a JSON or SQLite value is: "null", or a member of `ColumnContent`."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "text"
        case _:
            return "nested"


def value_text(value: Json) -> str | None:
    """The value as the text that a raw table holds; bytes are not kept."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case bytes():
            return "bytes"
        case _:
            return json.dumps(value, ensure_ascii=False)


def holds(kinds: AbstractSet[str]) -> ColumnContent:
    """What a column with values of these kinds holds."""
    present = kinds - {"null"}
    if present == {"integer", "number"}:
        return ColumnContent.number
    if "nested" in present:
        return ColumnContent.nested
    if len(present) > 1:
        return ColumnContent.mixed
    return ColumnContent(next(iter(present))) if present else ColumnContent.text
