"""Counts how many values of a column each reading fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import duckdb

from astra.arenas.tables.load.raw import ColumnContent, RawTable
from astra.arenas.tables.load.readings import MISSING, MISSING_TYPED, READINGS, STORED, Reading
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import count_where, literal

SAMPLE = 10_000
"""Rows that decide which types a column is tried for; all rows decide which it gets."""
_CHUNK = 50
"""Columns that one query looks at."""


@dataclass(slots=True)
class CandidateColumn:
    """A column on its way to a type."""

    cell: str
    """Its SQL name in the raw table: c0, c1, …"""
    original: str
    holds: ColumnContent
    forced: ColumnKind | None
    code: bool
    """Its name, or its database, says that its digits are not a number, e.g. a postcode."""
    candidates: tuple[Reading, ...]
    fitting: dict[str, int] = field(default_factory=dict[str, int])
    """Reading -> values that fit."""
    values: int = 0
    """Values, were it typed."""
    zeros: int = 0
    """Values with leading zeros."""
    texts: int = 0
    """Values, were it text, `NA` left out."""
    na: int = 0
    letters: int = 0
    """Values of two capital letters."""
    reading: Reading | None = None
    """None: text, or typed already."""
    kind: ColumnKind = ColumnKind.text
    unit: str | None = None
    """Of all values, as they were written: "$", "%", "kg"."""
    typed: bool = False
    """The raw cells have the native type of what the column holds."""

    @property
    def place(self) -> str:
        """For messages."""
        number = self.cell.removeprefix("c").removesuffix("_plain")
        return f"column {self.original!r}" if self.original else f"column {int(number) + 1}"

    @property
    def keeps_na(self) -> bool:
        return self.texts > 0 and self.letters == self.texts + self.na

    def fits(self, name: str) -> bool:
        return 0 < self.values == self.fitting.get(name, 0)

    def expression(self) -> str:
        """SQL of the typed value."""
        if self.typed:
            return self.cell
        if self.kind is ColumnKind.other:
            return "CAST(NULL AS VARCHAR)" if self.holds is ColumnContent.nested else self.cell
        if self.reading is None:
            missing = [m for m in MISSING if m != "NA" or not self.keeps_na]
            return f"CASE WHEN {_none_of(missing, self.cell)} THEN {self.cell} END"
        value = self.reading.value.replace("{v}", self.cell)
        # Other readings make null of what does not fit by themselves.
        boolean = self.kind is ColumnKind.boolean
        return f"CASE WHEN {present(self.cell)} THEN {value} END" if boolean else value


def _none_of(texts: Iterable[str], cell: str) -> str:
    """SQL: the cell is none of the texts."""
    # A pattern, because DuckDB holds a vector for every member of an IN list: over a thousand
    # columns these add up.
    return f"NOT regexp_full_match({cell}, {literal('|'.join(map(re.escape, texts)))})"


def present(cell: str) -> str:
    """SQL: the cell means a value, if the column is one of numbers, dates or booleans."""
    return _none_of(MISSING_TYPED, f"lower({cell})")


# --- counting --------------------------------------------------------------------------------


def count(
    columns: Sequence[CandidateColumn],
    raw: RawTable,
    connection: duckdb.DuckDBPyConnection,
    readings: Sequence[Reading] = (*STORED, *READINGS),
) -> None:
    """Fill in the counts of columns over all rows."""
    # The first rows are stacked into one column and tried with every reading, because DuckDB plans
    # one long query much longer than it runs it. Only what some of them fits is tried on all rows.
    for start in range(0, len(columns), _CHUNK):
        part = columns[start : start + _CHUNK]
        _first_rows(part, raw, connection, readings)
        if raw.rows <= SAMPLE:
            continue
        for column in part:
            if column.values:
                column.candidates = tuple(
                    reading for reading in column.candidates if column.fitting[reading.name]
                )
        _all_rows(part, raw, connection)


_TEXTS = (
    _none_of(MISSING, "{v}"),
    "{v} = 'NA'",
    "regexp_full_match({v}, '[A-Z]{2}')",
    r"regexp_full_match({v}, '[-+]?0\d+')",
)


def _first_rows(
    columns: Sequence[CandidateColumn],
    raw: RawTable,
    connection: duckdb.DuckDBPyConnection,
    readings: Sequence[Reading],
) -> None:
    counts = [count_where("p"), *(count_where(text.replace("{v}", "v")) for text in _TEXTS)]
    counts += [count_where(f"p AND {reading.fits.replace('{v}', 'v')}") for reading in readings]
    cells = ", ".join(column.cell for column in columns)
    rows = connection.execute(
        f"SELECT cell, {', '.join(counts)} FROM (SELECT cell, v, {present('v')} AS p FROM "
        f"(UNPIVOT (SELECT {cells} FROM {raw.relation} LIMIT {SAMPLE}) ON COLUMNS(*) "
        "INTO NAME cell VALUE v)) GROUP BY cell"
    ).fetchall()
    by_cell = {str(row[0]): row[1:] for row in rows}
    for column in columns:
        numbers = iter(int(value) for value in by_cell.get(column.cell, [0] * len(counts)))
        _fill(column, numbers, readings)


def _all_rows(
    columns: Sequence[CandidateColumn], raw: RawTable, connection: duckdb.DuckDBPyConnection
) -> None:
    counts: list[str] = []
    for column in columns:
        cell = column.cell
        counts.append(count_where(present(cell)))
        counts += [count_where(text.replace("{v}", cell)) for text in _TEXTS]
        counts += [
            count_where(f"{present(cell)} AND {reading.fits.replace('{v}', cell)}")
            for reading in column.candidates
        ]
    row = connection.execute(f"SELECT {', '.join(counts)} FROM {raw.relation}").fetchone() or ()
    numbers = iter(int(value) for value in row)
    for column in columns:
        _fill(column, numbers, column.candidates)


def _fill(column: CandidateColumn, numbers: Iterator[int], readings: Sequence[Reading]) -> None:
    column.values, column.texts, column.na = next(numbers), next(numbers), next(numbers)
    column.letters, column.zeros = next(numbers), next(numbers)
    column.fitting = {reading.name: next(numbers) for reading in readings}
