"""Decides which numbers of a table are quantities, so that arithmetic on them means something.

Keys, postcodes, telephone numbers, months, 0/1 flags and times written as 517 are numbers by their
digits alone. What this does not guarantee: a code whose name and values say nothing stays a
quantity; `ignore` in `tables.toml` takes it out, and a `kind` given there makes a number one.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from astra.arenas.tables.profile.statistics import ColumnStats
from astra.arenas.tables.schema import ColumnKind

_LONG_ID = 10_000
"""Smallest number of the words in `long` that identifies."""
_LONG_NUMBER = 10**8
"""Numbers from 9 digits on that never repeat and have the same length identify."""
_FEW = 10
"""Values from which their look alone says something."""
_MANY = 20
"""Rows from which it is no accident that a column holds 1, 2, 3, … to the last of them."""
_SERIAL_DAYS = (20_000, 80_000)
"""Spreadsheets count days from 1900: 1954 to 2119."""
_CALENDAR = ((19_000_101, 21_001_231), (190_001, 210_012))
"""Days written as 20201231, and months written as 202012."""
_EPOCHS = ((10**8, 5 * 10**9), (10**11, 5 * 10**12))
"""Seconds and milliseconds since 1970."""


class OtherNumbers(NamedTuple):
    """What a column of numbers holds instead of a quantity."""

    what: str
    advice: str = ""
    """How the user makes more of it. Empty if there is nothing to do."""


@cache
def _words() -> dict[str, Any]:
    words = tomllib.loads(Path(__file__).with_name("quantities.toml").read_text("utf-8"))
    return {name: frozenset(v.split()) if isinstance(v, str) else v for name, v in words.items()}


def not_a_quantity(
    stats: ColumnStats, unit: str | None, *, identifies: bool = False
) -> OtherNumbers | None:
    """What a column of numbers holds instead of a quantity. None for a quantity.

    `identifies`: the column is a declared key, or other columns point to it.
    """
    if stats.kind not in (ColumnKind.integer, ColumnKind.number) or stats.least is None:
        return None
    if identifies:
        return OtherNumbers("numbers that identify")
    least, most = stats.least, stats.most or 0
    if stats.kind is ColumnKind.integer and least >= 0 and most <= 1 and stats.rows > 1:
        return OtherNumbers("flags")
    if stats.kind is ColumnKind.number or unit is not None:
        return None
    parts = stats.name.split("_")
    if len(parts) > 1 and not _words()["counts"].isdisjoint(parts):
        return None
    return _date_or_time(stats, parts, least, most) or _identifiers(stats, parts, least, most)


def _date_or_time(
    stats: ColumnStats, parts: list[str], least: float, most: float
) -> OtherNumbers | None:
    words = _words()
    for name, part in words["parts"].items():
        low, high = part["bounds"]
        names = part["words"].split()
        # `minute` and `birth_month`, but not `second_half_goals`.
        called = parts[-1] in names or (
            len(parts) > 2 and parts[0] in names and parts[1] in words["followed"]
        )
        if called and low <= least and most <= high:
            return OtherNumbers(f"parts of dates or times ({name.replace('_', ' ')})")
    clock = least >= 0 and 100 <= most <= 2400 and not stats.beyond_minutes
    if clock and _named(parts, words["clock"]):
        return OtherNumbers("times of day without a colon (517 for 5:17)")
    advice = "save them as dates (2020-12-31)"
    months = parts[-1] in words["parts"]["month"]["words"].split()
    if (months or _named(parts, words["dates"])) and any(
        low <= least and most <= high for low, high in _CALENDAR
    ):
        return OtherNumbers("dates written as numbers", advice)
    if not _named(parts, words["dates"]):
        return None
    if _SERIAL_DAYS[0] <= least and most <= _SERIAL_DAYS[1]:
        return OtherNumbers("serial days of a spreadsheet", advice)
    if any(low <= least and most <= high for low, high in _EPOCHS):
        return OtherNumbers("dates or times as numbers", advice)
    return None


def _named(parts: list[str], words: dict[str, str]) -> bool:
    """Whether a column is called by one of the words, or by a compound that ends in one."""
    return not set(words["words"].split()).isdisjoint(parts) or parts[-1].endswith(
        tuple(words["endings"].split())
    )


def _identifiers(
    stats: ColumnStats, parts: list[str], least: float, most: float
) -> OtherNumbers | None:
    words, first, last = _words(), parts[0], parts[-1]
    called = (
        last in words["last"]
        or stats.name in words["whole"]
        or first in words["first"]
        or (first in ("numero", "número", "numéro") and last in words["numbered"])
        or last.endswith(tuple(words["endings"]))
        or last.removesuffix("id") in words["identified"]
    )
    long_ids = stats.distinct >= 0.9 * stats.filled and least >= _LONG_ID
    if called or (long_ids and not words["long"].isdisjoint(parts)):
        return OtherNumbers("numbers that identify")
    if last in words["classes"]:
        return OtherNumbers("numbers of classes or places")
    # 1, 2, 3, … to the last row, in whatever order: the rows' own numbers.
    numbered = stats.key and least in (0, 1) and most - least == stats.rows - 1
    if numbered and stats.rows >= _MANY and words["ranks"].isdisjoint(parts):
        return OtherNumbers("numbers of rows")
    same_length = len(str(int(least))) == len(str(int(most)))
    if stats.unique and stats.filled >= _FEW and least >= _LONG_NUMBER and same_length:
        return OtherNumbers("numbers that identify")
    return None
