"""Turns a table of texts into typed columns.

A column has a type only when *all* its values fit it; otherwise it stays text and a note says
which value was in the way. What looks like a code (leading zeros, telephone numbers) is text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import duckdb

from astra.arenas.tables.load.clean import clean
from astra.arenas.tables.load.counts import CandidateColumn, count, present
from astra.arenas.tables.load.durations import read_duration
from astra.arenas.tables.load.formats import (
    formatted_pattern,
    marks_of,
    number_choice,
    read_formatted,
)
from astra.arenas.tables.load.hints import MOSTLY, looks_like
from astra.arenas.tables.load.raw import ColumnContent, LoadSession, RawTable
from astra.arenas.tables.load.readings import (
    ALLOWED,
    CODES,
    NUMBERS,
    READINGS,
    STORED,
    Reading,
)
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import literal, quoted
from astra.errors import TableError

_TYPES = {
    ColumnKind.text: "VARCHAR",
    ColumnKind.integer: "BIGINT",
    ColumnKind.number: "DOUBLE",
    ColumnKind.date: "DATE",
    ColumnKind.boolean: "BOOLEAN",
    ColumnKind.other: "VARCHAR",
}
_NUMERIC = (ColumnKind.integer, ColumnKind.number)
_NATIVE_KINDS = {
    ColumnContent.integer: ColumnKind.integer,
    ColumnContent.number: ColumnKind.number,
    ColumnContent.boolean: ColumnKind.boolean,
    ColumnContent.date: ColumnKind.date,
}


class TypedColumns(NamedTuple):
    """Columns' kinds and what the user should know of them."""

    kinds: list[ColumnKind]
    units: list[str | None]
    """Of numbers, where every cell has the same one."""
    notes: list[str]


def make_typed(
    raw: RawTable,
    name: str,
    identifiers: Sequence[str],
    forced: Mapping[str, ColumnKind],
    session: LoadSession,
) -> TypedColumns:
    """Make the typed table `name` with columns `identifiers` and `__row` from a raw table.

    The raw table is dropped. Raises TableError for a cell that is too long, or that does not
    fit the type the user gave the column in `forced`.
    """
    connection = session.connection
    columns: list[CandidateColumn] = []
    # Keys that a database declares as texts are compared with texts.
    declared = {raw.key, *(key.column for key in raw.foreign_keys)}
    for number, (column, column_name) in enumerate(zip(raw.columns, identifiers, strict=True)):
        kind, content, candidates = forced.get(column_name), column.holds, ALLOWED[column.holds]
        if kind is not None:
            readings = tuple(r for r in (*STORED, *READINGS) if r.kind is kind)
            candidates = (*readings, *NUMBERS) if kind in _NUMERIC else readings
        key = content is ColumnContent.text and column.original in declared
        code = kind is None and (key or not CODES.isdisjoint(column_name.split("_")))
        # A code, or what the user says is of another kind, is read from its text like any other.
        typed = column.typed and not code and kind in (None, _NATIVE_KINDS[content])
        columns.append(
            CandidateColumn(
                f"c{number}", column.original, content, kind, code, candidates, typed=typed
            )
        )
    texts = [column for column in columns if not column.typed]
    notes = clean(raw, [column.cell for column in texts], session)
    count(texts, raw, connection)
    commas = marks_of(raw, texts)
    for column in columns:
        notes += _decide(column, raw, commas, connection)
    selected = ", ".join(
        f"CAST({column.expression()} AS {_TYPES[column.kind]}) AS {quoted(column_name)}"
        for column, column_name in zip(columns, identifiers, strict=True)
    )
    connection.execute(
        f"CREATE TABLE {quoted(name)} AS SELECT rowid AS __row, {selected} FROM {raw.relation}"
    )
    connection.execute(f"DROP TABLE {raw.relation}")
    return TypedColumns(
        [column.kind for column in columns], [column.unit for column in columns], notes
    )


# --- deciding --------------------------------------------------------------------------------


def _decide(
    column: CandidateColumn,
    raw: RawTable,
    commas: bool | None,
    connection: duckdb.DuckDBPyConnection,
) -> list[str]:
    """Choose the column's reading and kind; gives notes."""
    if column.typed:
        return _native(column, raw, connection)
    if column.holds is ColumnContent.nested or column.forced is ColumnKind.other:
        column.kind = ColumnKind.other
        return []
    if column.forced is not None and column.forced is not ColumnKind.text:
        return _force(column, raw, commas, connection)
    where = column.place
    if column.texts + column.na == 0 or column.values == 0:
        return [f"{where}: holds no values"] if column.texts == 0 else []
    if column.forced is ColumnKind.text or column.code:
        return []
    reading, note = _reading(column, raw, commas, connection)
    if reading is None and not note and column.holds is not ColumnContent.mixed:
        reading, note = _formatted(column, raw, commas, connection)
    if reading is not None:
        column.reading, column.kind = reading, reading.kind
        if reading in NUMBERS and column.holds is ColumnContent.text:
            note = note or "numbers that are stored as text were read as numbers"
        return [f"{where}: {note}"] if note else []
    reasons = [note] if note else _mixed(column, raw, connection)
    return [f"{where}: {reason}" for reason in reasons]


def _native(
    column: CandidateColumn, raw: RawTable, connection: duckdb.DuckDBPyConnection
) -> list[str]:
    """The kind of a column whose cells have a native type."""
    cell = column.cell
    column.kind = _NATIVE_KINDS[column.holds]
    row = connection.execute(f"SELECT count({cell}) FROM {raw.relation}").fetchone()
    filled = row[0] if row else 0
    if filled == 0:
        return [f"{column.place}: holds no values"]
    if column.kind is ColumnKind.number and column.forced is None and filled < raw.rows:
        # Where one is missing, pandas stores integers as floating-point numbers.
        row = connection.execute(
            f"SELECT bool_and({cell} = trunc({cell}) AND abs({cell}) < 2::DOUBLE ** 53) "
            f"FROM {raw.relation}"
        ).fetchone()
        if row is not None and row[0]:
            column.kind = ColumnKind.integer
    return []


def _reading(
    column: CandidateColumn,
    raw: RawTable,
    commas: bool | None,
    connection: duckdb.DuckDBPyConnection,
) -> tuple[Reading | None, str]:
    """The first reading that all values fit, and a note; None where two would be as right."""
    for reading in column.candidates:
        name = reading.name
        if not column.fits(name):
            continue
        if name in ("yes/no", "是/否"):
            cell = column.cell
            row = connection.execute(
                f"SELECT count(DISTINCT lower({cell})) FROM {raw.relation} WHERE {present(cell)}"
            ).fetchone()
            # One "no" alone may be Norway.
            if row is None or row[0] < 2:
                continue
        if reading in NUMBERS:
            return number_choice(column, commas)
        if column.fits("31/12/2020") and column.fits("12/31/2020"):
            return None, "days and months can't be distinguished; write dates as 2020-12-31"
        return reading, ""
    return None, ""


_HINTS = 200
"""Values that decide whether a column may hold formatted numbers, and what it looks like."""


def _formatted(
    column: CandidateColumn,
    raw: RawTable,
    commas: bool | None,
    connection: duckdb.DuckDBPyConnection,
) -> tuple[Reading | None, str]:
    """A reading of numbers with signs and units. Without one, a note on what the values look like,
    empty if they are plain texts or something else is told of them."""
    cell = column.cell
    rows = connection.execute(
        f"SELECT {cell} FROM {raw.relation} WHERE {present(cell)} LIMIT {_HINTS}"
    ).fetchall()
    values = [str(value) for (value,) in rows]
    duration = read_duration(column, values, raw, connection)
    if duration.reading is not None:
        return duration
    # `5B`, `7A` and `2K` are rooms.
    lettered = all(re.fullmatch(formatted_pattern(), value, re.ASCII) for value in values)
    pattern = formatted_pattern(letters=lettered)
    fitting = sum(1 for value in values if re.fullmatch(pattern, value, re.ASCII))
    closest = _closest(column)
    mixed = closest is not None and column.fitting[closest.name] >= MOSTLY * column.values
    if fitting < MOSTLY * len(values):
        return None, "" if mixed else looks_like(values)
    if column.zeros:
        return None, ""
    form = Reading(
        "formatted", ColumnKind.number, f"regexp_full_match({{v}}, {literal(pattern)})", ""
    )
    row = connection.execute(
        f"SELECT count(*) FROM {raw.relation} WHERE {present(cell)} "
        f"AND NOT ({form.fits.replace('{v}', cell)})"
    ).fetchone()
    if row is not None and row[0]:
        misfit = _first_misfit(column, form, raw, connection)
        return None, f"mixed: most of its values are numbers, but {misfit}; read as text"
    choice = read_formatted(column, raw, commas, connection)
    return choice.reading, choice.note or ("" if choice.reading or mixed else looks_like(values))


def _closest(column: CandidateColumn, kind: ColumnKind | None = None) -> Reading | None:
    """The reading, of that kind, that most values fit."""
    candidates = [r for r in column.candidates if kind is None or r.kind is kind]
    return max(candidates, key=lambda r: column.fitting[r.name], default=None)


def _first_misfit(
    column: CandidateColumn, reading: Reading, raw: RawTable, connection: duckdb.DuckDBPyConnection
) -> str:
    """The first value that does not fit, with its row."""
    c = column.cell
    row = connection.execute(
        f"SELECT rowid, {c} FROM {raw.relation} WHERE {present(c)} "
        f"AND NOT ({reading.fits.replace('{v}', c)}) ORDER BY rowid LIMIT 1"
    ).fetchone()
    return f"row {row[0] + raw.first_row} holds {row[1][:60]!r}" if row else "no row"


def _mixed(
    column: CandidateColumn, raw: RawTable, connection: duckdb.DuckDBPyConnection
) -> list[str]:
    """Why a column is text that might have had a type."""
    if column.holds is ColumnContent.mixed:
        return ["values of several types; read as text"]
    closest = _closest(column)
    if closest is None:
        return []
    fitting = column.fitting[closest.name]
    if (
        closest.kind is ColumnKind.integer
        and column.zeros
        and fitting + column.zeros == column.values
    ):
        return ["numbers with leading zeros; read as text"]
    # What is stored as text is text; only a file without types may have meant another.
    if column.holds is ColumnContent.text or not MOSTLY * column.values <= fitting < column.values:
        return []
    misfit = _first_misfit(column, closest, raw, connection)
    return [
        f"mixed: {fitting} of {column.values} values are of type {closest.kind.value}, "
        f"but {misfit}; read as text"
    ]


def _force(
    column: CandidateColumn,
    raw: RawTable,
    commas: bool | None,
    connection: duckdb.DuckDBPyConnection,
) -> list[str]:
    """Read a column as the user said, or say which value does not allow it."""
    assert column.forced is not None
    column.kind = column.forced
    column.reading = column.candidates[0]
    if column.values == 0:
        return []
    where = f"{raw.source}: column {column.original[:80]!r}"
    reading, reason = _reading(column, raw, commas, connection)
    if reading is None and not reason and column.forced in _NUMERIC:
        reading, reason = _formatted(column, raw, commas, connection)
    if column.forced is ColumnKind.integer and reading and reading.kind is not column.forced:
        reading = None
    if reading is None and (not reason or column.fits("stored number")):
        fitting = [
            reading
            for reading in column.candidates
            if reading.kind is column.forced and column.fits(reading.name)
        ]
        reading = fitting[0] if fitting else None
    if reading is None:
        closest = _closest(column, column.forced)
        misfit = _first_misfit(column, closest, raw, connection) if closest else ""
        raise TableError(
            f"{where}: the options say {column.forced.value!r}, but "
            f"{reason or misfit}; correct the data or the option"
        )
    column.reading = reading
    return []
