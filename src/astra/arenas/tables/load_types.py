"""From a table of texts to typed columns.

A column has a type only when *all* its values fit it; otherwise it stays text and a note says
which value was in the way. What looks like a code (leading zeros, telephone numbers) is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import duckdb

from astra.arenas.tables.load_names import literal, quoted
from astra.arenas.tables.load_raw import Holds, RawTable, Workshop
from astra.arenas.tables.load_readings import (
    ALLOWED,
    CODES,
    MISSING,
    MISSING_TYPED,
    READINGS,
    STORED,
    Reading,
)
from astra.arenas.tables.schema import Kind
from astra.errors import TableError

SAMPLE = 10_000
"""Rows that decide which types a column is tried for; all rows decide which it gets."""
MOSTLY = 0.5
"""Share of values of one type from which a text column is called mixed in a note."""

_TYPES = {
    Kind.text: "VARCHAR",
    Kind.integer: "BIGINT",
    Kind.number: "DOUBLE",
    Kind.date: "DATE",
    Kind.boolean: "BOOLEAN",
    Kind.other: "VARCHAR",
}
_STRAY = r"[\p{Cc}\x{2028}\x{2029}]"
_INVISIBLE = r"[\x{200B}\x{FEFF}\x{202A}-\x{202E}\x{2066}-\x{2069}]"
_CHUNK = 50
"""Columns that one query looks at."""


class Typed(NamedTuple):
    """Columns' kinds and what the user should know of them."""

    kinds: list[Kind]
    notes: list[str]


# --- one column ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Column:
    """A column on its way to a type."""

    cell: str
    """Its SQL name in the raw table: c0, c1, …"""
    original: str
    holds: Holds
    forced: Kind | None
    code: bool
    """Its name says that its digits are no number."""
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
    """None: text."""
    kind: Kind = Kind.text

    @property
    def keeps_na(self) -> bool:
        return self.texts > 0 and self.letters == self.texts + self.na

    def fits(self, name: str) -> bool:
        return 0 < self.values == self.fitting.get(name, 0)

    def expression(self) -> str:
        """SQL of the typed value."""
        if self.kind is Kind.other:
            return "CAST(NULL AS VARCHAR)" if self.holds is Holds.nested else self.cell
        if self.reading is None:
            missing = [m for m in MISSING if m != "NA" or not self.keeps_na]
            return f"CASE WHEN {self.cell} NOT IN ({_list(missing)}) THEN {self.cell} END"
        value = self.reading.value.replace("{v}", self.cell)
        return f"CASE WHEN {_present(self.cell)} THEN {value} END"


def _list(texts: Iterable[str]) -> str:
    return ", ".join(literal(text) for text in texts)


def _present(cell: str) -> str:
    return f"lower({cell}) NOT IN ({_list(MISSING_TYPED)})"


def make_typed(
    raw: RawTable,
    name: str,
    identifiers: Sequence[str],
    forced: Mapping[str, Kind],
    workshop: Workshop,
) -> Typed:
    """Make the typed table `name` with columns `identifiers` and `__row` from a raw table.

    The raw table is dropped. Raises TableError for a cell that is too long, or that does not
    fit the type the user gave the column in `forced`.
    """
    connection = workshop.connection
    notes = _clean(raw, workshop)
    columns = [
        _column(f"c{i}", column.original, column.holds, identifiers[i], forced.get(identifiers[i]))
        for i, column in enumerate(raw.columns)
    ]
    for part in _parts(columns):
        _sample(part, raw, connection)
        _count(part, raw, connection)
        for column in part:
            notes += _decide(column, raw, connection)
    selected = ", ".join(
        f"CAST({column.expression()} AS {_TYPES[column.kind]}) AS {quoted(made)}"
        for column, made in zip(columns, identifiers, strict=True)
    )
    connection.execute(
        f"CREATE TABLE {quoted(name)} AS SELECT rowid AS __row, {selected} FROM {raw.relation}"
    )
    connection.execute(f"DROP TABLE {raw.relation}")
    return Typed([column.kind for column in columns], notes)


def _column(cell: str, original: str, holds: Holds, made: str, forced: Kind | None) -> _Column:
    candidates = ALLOWED[holds]
    if forced is not None:
        every = (*STORED, *READINGS)
        candidates = tuple(reading for reading in every if reading.kind is forced)
    code = not CODES.isdisjoint(made.split("_")) and forced is None
    return _Column(cell, original, holds, forced, code, candidates)


def _parts(columns: Sequence[_Column]) -> Iterator[Sequence[_Column]]:
    for start in range(0, len(columns), _CHUNK):
        yield columns[start : start + _CHUNK]


# --- cleaning --------------------------------------------------------------------------------


def _clean(raw: RawTable, workshop: Workshop) -> list[str]:
    """Put every text in normal form: NFC, one space for any run of white space and control
    characters, no invisible ones, "" to null. Gives notes on control characters."""
    connection, notes = workshop.connection, list[str]()
    cells = [f"c{i}" for i in range(len(raw.columns))]
    for start in range(0, len(cells), _CHUNK):
        part = cells[start : start + _CHUNK]
        asked = ", ".join(
            f"max(length({c})), count_if(regexp_matches({c}, {literal(_STRAY)}))" for c in part
        )
        found = connection.execute(f"SELECT {asked} FROM {raw.relation}").fetchone() or ()
        for offset, cell in enumerate(part):
            column = raw.columns[start + offset].original
            longest, stray = found[2 * offset] or 0, found[2 * offset + 1] or 0
            if longest > workshop.bounds.cell:
                _too_long(raw, cell, column, int(longest), workshop)
            if stray:
                notes.append(
                    f"column {column!r}: line breaks or control characters in {stray} cells "
                    "became spaces"
                )
    selected = ", ".join(f"{_cleaned(cell)} AS {cell}" for cell in cells)
    cleaned = workshop.fresh()
    connection.execute(f"CREATE TABLE {cleaned} AS SELECT {selected} FROM {raw.relation}")
    connection.execute(f"DROP TABLE {raw.relation}")
    connection.execute(f"ALTER TABLE {cleaned} RENAME TO {raw.relation}")
    return notes


def _cleaned(cell: str) -> str:
    spaces = literal(r"[\s\p{Z}\p{Cc}]+")
    visible = f"regexp_replace(nfc_normalize({cell}), {literal(_INVISIBLE)}, '', 'g')"
    tidy = f"nullif(trim(regexp_replace({visible}, {spaces}, ' ', 'g')), '')"
    # Most cells hold visible ASCII alone and need none of it.
    return f"CASE WHEN regexp_full_match({cell}, '[!-~]+') THEN {cell} ELSE {tidy} END"


def _too_long(raw: RawTable, cell: str, column: str, longest: int, workshop: Workshop) -> None:
    row = workshop.connection.execute(
        f"SELECT min(rowid) FROM {raw.relation} WHERE length({cell}) = ?", [longest]
    ).fetchone()
    number = int(row[0]) + raw.first_row if row else 0
    raise TableError(
        f"{raw.source}: row {number}, column {column[:80]!r}: {longest} characters, but at most "
        f"{workshop.bounds.cell} are read; shorten the text or take the column out"
    )


# --- deciding --------------------------------------------------------------------------------


def _counts(
    columns: Sequence[_Column], relation: str, connection: duckdb.DuckDBPyConnection
) -> None:
    """Fill in the counts of columns: per candidate reading, and what texts there are."""
    asked: list[str] = []
    for column in columns:
        c = column.cell
        asked += [
            f"count_if({_present(c)})",
            f"count_if(regexp_full_match({c}, '[-+]?0\\d+'))",
            f"count_if({c} NOT IN ({_list(MISSING)}))",
            f"count_if({c} = 'NA')",
            f"count_if(regexp_full_match({c}, '[A-Z]{{2}}'))",
        ]
        asked += [
            f"count_if({_present(c)} AND {reading.fits.replace('{v}', c)})"
            for reading in column.candidates
        ]
    found = connection.execute(f"SELECT {', '.join(asked)} FROM {relation}").fetchone() or ()
    numbers = iter(int(value or 0) for value in found)
    for column in columns:
        column.values, column.zeros = next(numbers), next(numbers)
        column.texts, column.na, column.letters = next(numbers), next(numbers), next(numbers)
        column.fitting = {reading.name: next(numbers) for reading in column.candidates}


def _sample(
    columns: Sequence[_Column], raw: RawTable, connection: duckdb.DuckDBPyConnection
) -> None:
    """Leave only those candidates that some value among the first rows fits."""
    if raw.rows <= SAMPLE:
        return
    _counts(columns, f"(SELECT * FROM {raw.relation} LIMIT {SAMPLE})", connection)
    for column in columns:
        if column.values:
            column.candidates = tuple(
                reading for reading in column.candidates if column.fitting[reading.name]
            )


def _count(
    columns: Sequence[_Column], raw: RawTable, connection: duckdb.DuckDBPyConnection
) -> None:
    _counts(columns, raw.relation, connection)


def _decide(column: _Column, raw: RawTable, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Choose the column's reading and kind; gives notes."""
    if column.holds is Holds.nested or column.forced is Kind.other:
        column.kind = Kind.other
        return []
    if column.forced is not None and column.forced is not Kind.text:
        return _force(column, raw, connection)
    where = f"column {column.original!r}"
    if column.texts + column.na == 0 or column.values == 0:
        return [f"{where}: holds no values"] if column.texts == 0 else []
    if column.forced is Kind.text or column.code:
        return []
    reading, note = _reading(column, raw, connection)
    if reading is not None:
        column.reading, column.kind = reading, reading.kind
        return [f"{where}: {note}"] if note else []
    reasons = [note] if note else _mixed(column, raw, connection)
    return [f"{where}: {reason}" for reason in reasons]


def _reading(
    column: _Column, raw: RawTable, connection: duckdb.DuckDBPyConnection
) -> tuple[Reading | None, str]:
    """The first reading that all values fit, and a note; None where two would be as right."""
    for reading in column.candidates:
        name = reading.name
        if not column.fits(name):
            continue
        if name in ("yes/no", "是/否") and not _several(column, raw, connection):
            continue
        if name.startswith("grouped"):
            if raw.decimal_comma:
                continue
            return reading, "commas in its numbers were read as grouping thousands"
        if name == "decimal comma":
            if not raw.decimal_comma:
                continue
            if column.fits("grouped number"):
                return None, "commas may group thousands or mark decimals; write plain numbers"
        if column.fits("31/12/2020") and column.fits("12/31/2020"):
            return None, "days and months can't be told apart; write dates as 2020-12-31"
        return reading, ""
    return None, ""


def _several(column: _Column, raw: RawTable, connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a column holds more than one text: one "no" alone may be Norway."""
    c = column.cell
    found = connection.execute(
        f"SELECT count(DISTINCT lower({c})) > 1 FROM {raw.relation} WHERE {_present(c)}"
    ).fetchone()
    return bool(found and found[0])


def _closest(column: _Column) -> Reading | None:
    """The reading that most values fit."""
    return max(column.candidates, key=lambda r: column.fitting[r.name], default=None)


def _first_misfit(
    column: _Column, reading: Reading, raw: RawTable, connection: duckdb.DuckDBPyConnection
) -> str:
    """The first value that does not fit, with its row."""
    c = column.cell
    found = connection.execute(
        f"SELECT rowid, {c} FROM {raw.relation} WHERE {_present(c)} "
        f"AND NOT ({reading.fits.replace('{v}', c)}) ORDER BY rowid LIMIT 1"
    ).fetchone()
    return f"row {found[0] + raw.first_row} holds {found[1][:60]!r}" if found else "no row"


def _mixed(column: _Column, raw: RawTable, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Why a column is text that might have had a type."""
    if column.holds is Holds.mixed:
        return ["values of several types; read as text"]
    closest = _closest(column)
    if closest is None:
        return []
    fitting = column.fitting[closest.name]
    if closest.kind is Kind.integer and column.zeros and fitting + column.zeros == column.values:
        return ["numbers with leading zeros; read as text"]
    # What is stored as text is text; only a file without types may have meant another.
    if column.holds is Holds.text or fitting < MOSTLY * column.values:
        return []
    if fitting == column.values:
        return ["read as text"]
    misfit = _first_misfit(column, closest, raw, connection)
    return [
        f"mixed: {fitting} of {column.values} values are of type {closest.kind.value}, "
        f"but {misfit}; read as text"
    ]


def _force(column: _Column, raw: RawTable, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Read a column as the user said, or say which value does not allow it."""
    assert column.forced is not None
    column.kind = column.forced
    column.reading = column.candidates[0]
    if column.values == 0:
        return []
    where = f"{raw.source}: column {column.original[:80]!r}"
    reading, reason = _reading(column, raw, connection)
    if reading is None and not reason:
        fitting = [reading for reading in column.candidates if column.fits(reading.name)]
        reading = fitting[0] if fitting else None
    if reading is None:
        closest = _closest(column)
        misfit = _first_misfit(column, closest, raw, connection) if closest else ""
        raise TableError(
            f"{where}: the options say {column.forced.value!r}, but "
            f"{reason or misfit}; correct the data or the option"
        )
    column.reading = reading
    return []
