"""Finds the row of column names among the first rows: below a preamble, and not in two rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from astra.arenas.tables.load.readings import MISSING, MISSING_TYPED
from astra.errors import TableError

LOOKED_AT = 30
"""Records in which the column names must be."""
_NUMBER = re.compile(
    r"[-+−(]?[^\w\s]{0,2} ?\d[\d.,' ]*([eE][-+]?\d+)? ?[^\w\s]{0,2}\)?"
    r"|\d+[./:-]\d{1,2}([./:-]\d{1,4}.*)?"
)
_YEAR = re.compile(r"(19|20)\d\d")


class HeaderPlace(NamedTuple):
    """Where the column names stand."""

    skip: int
    """Records above them."""
    notes: list[str]


def find_header(records: Sequence[tuple[int, Sequence[str]]], shown: str) -> HeaderPlace:
    """The place of the column names among the first records, each with its line.

    Raises TableError, naming the line, where a second row of names follows.
    """
    filled = [[cell for cell in record if cell.strip()] for _, record in records]
    widest = max((len(cells) for cells in filled), default=0)
    skip = 0
    if widest > 2:
        # A title, a date, a source: one or two cells above a row with names for all.
        while skip < len(records) - 1 and 2 * len(filled[skip]) <= widest and len(filled[skip]) < 3:
            skip += 1
        header = filled[skip]
        below = len(records) - skip - 1
        if skip and (2 * len(header) <= widest or below == 0 or any(map(_value, header))):
            skip = 0
    notes: list[str] = []
    if skip:
        first, last, line = records[0][0], records[skip - 1][0], records[skip][0]
        lines = f"line {first}" if first == last else f"lines {first} to {last}"
        notes.append(f"{lines} left out as a preamble; column names taken from line {line}")
    _check_one_row(records[skip:], shown)
    return HeaderPlace(skip, notes)


def _value(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _missing(cell: str) -> bool:
    cell = cell.strip()
    return not cell or cell in MISSING or cell.lower() in MISSING_TYPED


def _check_one_row(records: Sequence[tuple[int, Sequence[str]]], shown: str) -> None:
    """Refuse names in two rows: units or parts of names in the second."""
    if len(records) < 4:
        return
    (line, first), (second_line, second), *rest = records
    # Years are names of columns, too.
    values = [cell for cell in (*first, *second) if not _YEAR.fullmatch(cell.strip())]
    if any(map(_value, values)):
        return
    names = [name.strip().casefold() for name in first]
    # Merged cells: a name that stands for several columns, repeated or followed by nothing.
    merged = len(set(names)) < len(names)
    numeric = 0
    for position, cell in enumerate(second):
        below = [r[position] for _, r in rest if position < len(r) and not _missing(r[position])]
        if not _missing(cell) and len(below) > 1 and all(map(_value, below)):
            numeric += 1
    if numeric >= (1 if merged else 2):
        raise TableError(
            f"{shown}: lines {line} and {second_line} both seem to hold column names "
            f"({', '.join(c for c in second if c.strip())[:60]!r} in line {second_line}); join "
            f"them in one line, or delete line {second_line}"
        )
