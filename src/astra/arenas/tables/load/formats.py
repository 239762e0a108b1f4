"""Numbers as people and spreadsheets write them: `$1,200.50`, `12,5 %`, `(7,405)`, `1 234,50 €`,
`1'200.00`, `1,23,456`, `3.4 million`, `3万`.

A column is read so only if all its values are, in one unit. What this does not guarantee: that a
number's look is known. What is not read stays text, with a note.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from astra.arenas.tables.load.counts import CandidateColumn, count, present
from astra.arenas.tables.load.raw import RawTable
from astra.arenas.tables.load.readings import NUMBERS, Reading
from astra.arenas.tables.sql import count_where, literal

_MINUS = "[-−]"
_DIGITS = r"\d(?:[\d.,'’ ]*\d)?"
_GROUPED_BY_SPACES = r"\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?"
_LAKHS = r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?"
"""Groups as in India: 1,23,456 is 123456."""
_WITH_LAKHS = rf"\d{{1,3}}(?:,\d{{3}})?(?:\.\d+)?|{_LAKHS}"
_SCALED = r"\d{1,9}(?:[.,]\d{1,2})?"
"""Digits before a magnitude. With three behind the mark, that may group thousands."""


class NumberChoice(NamedTuple):
    """How a column's numbers are read, and what the user should know of it."""

    reading: Reading | None
    """None: they are not numbers, or may mean two things."""
    note: str = ""


# --- points and commas -----------------------------------------------------------------------


def points_and_commas(column: CandidateColumn) -> tuple[bool, bool]:
    """Whether all numbers can be read with points as decimal marks, and with commas."""
    points = column.fits("number") or column.fits("grouped number")
    return points, column.fits("decimal comma") or column.fits("dotted number")


def marks_of(raw: RawTable, columns: list[CandidateColumn]) -> bool | None:
    """Whether commas mark decimals in a table: what its file says, and its other columns."""
    sure = [points_and_commas(column) for column in columns]
    point, comma = (True, False) in sure, (False, True) in sure
    if raw.decimal_comma is None:
        return comma if point != comma else None
    return None if raw.decimal_comma is False and comma and not point else raw.decimal_comma


def number_choice(
    column: CandidateColumn, commas: bool | None, unit: str | None = None
) -> NumberChoice:
    """How a column whose values all look like numbers is read. `commas`: see `marks_of`."""
    for name in ("integer", "integer.0"):
        if column.fits(name):
            return NumberChoice(_reading(name))
    points, decimal_commas = points_and_commas(column)
    mark = "commas" if column.fits("decimal comma") else "points"
    # No money has three decimals, and no percentage needs groups of thousands.
    doubtful = unit == "%" or (mark == "points" and unit in _words()["before"])
    if points and decimal_commas and (commas is not False or doubtful):
        return NumberChoice(
            None, f"{mark} may group thousands or mark decimals; write plain numbers"
        )
    if points:
        if column.fits("number"):
            note = "points in its numbers were read as decimal marks" if decimal_commas else ""
            return NumberChoice(_reading("number"), note)
        name = "grouped integer" if column.fits("grouped integer") else "grouped number"
        return NumberChoice(_reading(name), "commas in its numbers were read as grouping thousands")
    if not decimal_commas:
        return NumberChoice(None)
    if column.fits("decimal comma"):
        note = "" if commas else "commas in its numbers were read as decimal marks"
        return NumberChoice(_reading("decimal comma"), note)
    name = "dotted integer" if column.fits("dotted integer") else "dotted number"
    return NumberChoice(_reading(name), "points in its numbers were read as grouping thousands")


def _reading(name: str) -> Reading:
    return next(reading for reading in NUMBERS if reading.name == name)


# --- signs and units -------------------------------------------------------------------------


@cache
def _words() -> dict[str, dict[str, str]]:
    """Side of a number -> unit -> spellings. Magnitudes and letters: power of ten -> spellings."""
    return tomllib.loads(Path(__file__).with_name("formats.toml").read_text("utf-8"))


@cache
def _units() -> dict[str, str]:
    """Spelling -> unit."""
    return {
        spelling: unit
        for side in ("before", "behind")
        for unit, spellings in _words()[side].items()
        for spelling in spellings.split()
    }


@cache
def _powers() -> dict[str, int]:
    """Spelling of a magnitude -> power of ten."""
    return {
        spelling: int(power)
        for kind in ("magnitudes", "letters")
        for power, spellings in _words()[kind].items()
        for spelling in spellings.split()
    }


@cache
def formatted_pattern(*, letters: bool = True) -> str:
    """A regular expression of numbers with signs and units, with a group for each part.

    `letters`: K, M and B may stand behind numbers for thousands, millions and billions.
    """

    def any_of(*sides: str) -> str:
        texts = [w for side in sides for ws in _words()[side].values() for w in ws.split()]
        return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))

    # Currencies stand on both sides of a number, other units behind it.
    return (
        rf"(\()?({_MINUS})?(?: ?({any_of('before')}) ?({_MINUS})?)? ?({_DIGITS})"
        rf"(?: ?({any_of('magnitudes', *(['letters'] if letters else []))}))?"
        rf"(?: ?({any_of('before', 'behind')}))?({_MINUS})?(\))?"
    )


_PARTS = (
    "opened", "sign", "unit_before", "inner_sign", "digits", "magnitude", "unit_behind", "end_sign",
    "closed",
)  # fmt: skip


def read_formatted(
    column: CandidateColumn,
    raw: RawTable,
    commas: bool | None,
    connection: duckdb.DuckDBPyConnection,
) -> NumberChoice:
    """Read a column of formatted numbers: adds a plain column to the raw table if that succeeds.

    Sets the column's cell and unit. Without a reading the column stays as it is.
    """
    cell, plain = column.cell, f"{column.cell}_plain"
    parts = "[" + ", ".join(literal(part) for part in _PARTS) + "]"
    pattern = literal(f"^(?:{formatted_pattern()})$")
    signs = (
        "(opened != '')::INT + (sign != '')::INT + (inner_sign != '')::INT + (end_sign != '')::INT"
    )
    fits = (
        f"(opened != '') = (closed != '') AND {signs} <= 1 "
        "AND (unit_before = '' OR unit_behind = '')"
    )
    split = (
        f"SELECT rowid AS r, {cell} AS v, {present(cell)} AS p, "
        f"unnest(regexp_extract({cell}, {pattern}, {parts})) FROM {raw.relation}"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE __parts AS {split}")
    digits, note = _plain_digits(connection)
    if digits is None:
        return NumberChoice(None, note)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE __formatted AS SELECT r, v, p, "
        f"CASE WHEN NOT p OR digits = '' OR NOT ({fits}) THEN v "
        f"WHEN {signs} = 1 THEN '-' || {digits} ELSE {digits} END AS plain, "
        "unit_before || unit_behind AS unit, opened != '' AS bracketed FROM __parts"
    )
    zero = count_where("regexp_full_match(plain, '-?0([.,]0+)?')")
    units = connection.execute(
        f"SELECT unit, count(*), {count_where('bracketed')}, {zero} "
        "FROM __formatted WHERE p GROUP BY unit ORDER BY unit"
    ).fetchall()
    # Nothing costs nothing in every currency.
    spelled = {str(unit) for unit, number, _, zeros in units if number > zeros or len(units) == 1}
    names = {_units().get(unit, "") for unit in spelled}
    if len(names) != 1:
        known = ", ".join(repr(unit) if unit else "none" for unit in sorted(spelled))
        return NumberChoice(None, f"numbers in several units ({known}); read as text")
    unit = names.pop() or None
    if all(number == bracketed for _, number, bracketed, _ in units):
        return NumberChoice(None, "numbers in brackets, all of them; read as text")
    connection.execute(f"ALTER TABLE {raw.relation} ADD COLUMN {plain} VARCHAR")
    connection.execute(
        f"UPDATE {raw.relation} SET {plain} = f.plain FROM __formatted f "
        f"WHERE {raw.relation}.rowid = f.r"
    )
    copy = CandidateColumn(plain, column.original, column.holds, None, False, NUMBERS)
    count([copy], raw, connection, NUMBERS)
    choice = number_choice(copy, commas, unit)
    if choice.reading is not None:
        column.cell, column.unit = plain, unit
    return NumberChoice(choice.reading, note or choice.note) if choice.reading else choice


def _plain_digits(connection: duckdb.DuckDBPyConnection) -> tuple[str | None, str]:
    """SQL of the digits of `__parts` in a form that readings know, and a note.

    None where a magnitude may mean two things.
    """
    signs = [w for words in _words()["before"].values() for w in words.split()]
    money = f"[{', '.join(map(literal, signs))}]"
    columns = {
        "lakhs": f"regexp_full_match(digits, {literal(_LAKHS)})",
        "no lakhs": f"NOT regexp_full_match(digits, {literal(_WITH_LAKHS)})",
        "scaled": "magnitude != ''",
        "not scalable": f"NOT regexp_full_match(digits, {literal(_SCALED)})",
        "points": "contains(digits, '.')",
        "commas": "contains(digits, ',')",
        "units": "unit_before || unit_behind != ''",
        "no money": f"magnitude != '' AND NOT list_contains({money}, unit_before || unit_behind)",
    }
    counts = connection.execute(
        f"SELECT {', '.join(count_where(c) for c in columns.values())}, "
        "list(DISTINCT magnitude ORDER BY magnitude) FROM __parts WHERE p"
    ).fetchone()
    assert counts is not None
    number = dict(zip(columns, counts, strict=False))
    if not number["scaled"]:
        if number["lakhs"] and not number["no lakhs"]:
            return "replace(digits, ',', '')", "commas in its numbers were read as grouping lakhs"
        spaced = literal(_GROUPED_BY_SPACES)
        return (
            f"CASE WHEN regexp_full_match(digits, {spaced}) "
            "THEN regexp_replace(digits, '[ ''’]', '', 'g') ELSE digits END"
        ), ""
    found = {str(magnitude) for magnitude in counts[-1] if magnitude}
    letters = {w for words in _words()["letters"].values() for w in words.split()}
    # Thousands beside millions, or money: then K and M are nothing else.
    sure = len({_powers()[magnitude] for magnitude in found}) > 1 or not number["no money"]
    if found & letters and not sure:
        # `12M` may be no number at all; what it looks like decides whether that is told.
        shown = ", ".join(map(repr, sorted(found & letters)))
        note = f"{shown} behind its numbers may mean several things; write plain numbers"
        return None, note if number["units"] else ""
    if number["not scalable"] or (number["points"] and number["commas"]):
        return None, "points or commas in its numbers may mean two things; write plain numbers"
    cases = " ".join(f"WHEN {literal(m)} THEN 1e{_powers()[m]}" for m in sorted(found))
    value = (
        "CAST(replace(digits, ',', '.') AS DECIMAL(28, 2)) "
        f"* CAST(CASE magnitude {cases} ELSE 1 END AS DECIMAL(10, 0))"
    )
    text = f"regexp_replace(CAST({value} AS VARCHAR), '\\.?0+$', '')"
    return text, f"{', '.join(map(repr, sorted(found)))} in its numbers was multiplied out"
