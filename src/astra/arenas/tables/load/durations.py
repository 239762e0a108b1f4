"""Durations as texts (`3:48:25`, `PT1H30M`, `1h 30min`), read as numbers of seconds.

What may be a time of day (`03:48:25` in a column that is not called a duration) or may be minutes
or hours (`6:41`) is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import duckdb

from astra.arenas.tables.load.counts import CandidateColumn, count, present
from astra.arenas.tables.load.formats import NumberChoice, number_choice
from astra.arenas.tables.load.raw import RawTable
from astra.arenas.tables.load.readings import NUMBERS
from astra.arenas.tables.sql import count_where, literal

_CLOCK = r"(\d{1,4}):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)"
_LONG_CLOCK = r"0*(?:2[4-9]|[3-9]\d|\d{3,}):.*"
"""More than a day has hours for."""
_ISO = r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?"
_WORDED = (
    r"(?:(\d+) ?d(?:ays?)?,? ?)?(?:(\d+) ?(?:h|hrs?|hours?),? ?)?"
    r"(?:(\d+) ?(?:m|mins?|minutes?),? ?)?(?:(\d+(?:\.\d+)?) ?(?:s|secs?|seconds?))?"
)
_TWO_PARTS = r"\d+ ?[a-z]+,? ?\d.*"
"""`90 m` may be metres, and `5s` a telephone; `1h 30m` is nothing else."""
_CALLED = re.compile(
    r"(?i)duration|elapsed|runtime|laufzeit|fahrzeit|dauer\b|dur[eé]e|duraci[oó]n|durata|时长|用时|耗时"
)
_SECONDS = (86_400, 3_600, 60, 1)


def read_duration(
    column: CandidateColumn,
    values: Sequence[str],
    raw: RawTable,
    connection: duckdb.DuckDBPyConnection,
) -> NumberChoice:
    """Read a column of durations: adds a plain column to the raw table if that succeeds.

    `values`: the first of the column. Sets its cell and unit.
    """
    cell, plain = column.cell, f"{column.cell}_plain"
    for pattern, parts, second in (
        (_CLOCK, _SECONDS[1:], ""),
        (_ISO, _SECONDS, r"P.*\d.*"),
        (_WORDED, _SECONDS, _TWO_PARTS),
    ):
        if not values or not all(re.fullmatch(pattern, value, re.ASCII) for value in values):
            continue
        matched = f"regexp_full_match({cell}, {literal(pattern)})"
        long = f"regexp_full_match({cell}, {literal(second or _LONG_CLOCK)})"
        here = present(cell)
        row = connection.execute(
            f"SELECT {count_where(here)}, {count_where(f'{here} AND {matched}')}, "
            f"{count_where(f'{here} AND {long}')} FROM {raw.relation}"
        ).fetchone()
        assert row is not None
        total, fitting, telling = row
        sure = telling > 0 or (not second and _CALLED.search(column.original.replace("_", " ")))
        if fitting != total or not sure or (pattern == _ISO and telling != total):
            return NumberChoice(None)
        seconds = " + ".join(
            f"coalesce(TRY_CAST(regexp_extract({cell}, {literal(f'^{pattern}$')}, {group}) "
            f"AS DECIMAL(18, 6)), 0) * {size}"
            for group, size in enumerate(parts, start=1)
        )
        text = f"regexp_replace(CAST({seconds} AS VARCHAR), '\\.?0+$', '')"
        connection.execute(f"ALTER TABLE {raw.relation} ADD COLUMN {plain} VARCHAR")
        connection.execute(
            f"UPDATE {raw.relation} SET {plain} = CASE WHEN {present(cell)} THEN {text} END"
        )
        copy = CandidateColumn(plain, column.original, column.holds, None, False, NUMBERS)
        count([copy], raw, connection, NUMBERS)
        reading = number_choice(copy, False).reading
        if reading is not None:
            column.cell, column.unit = plain, "s"
        return NumberChoice(reading, f"durations ({values[0][:40]!r}) were read as seconds")
    return NumberChoice(None)
