"""What the texts of a column look like, if not like plain texts: for notes to the user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MOSTLY = 0.5
"""Share of values from which a look is worth a note."""


class _Look(NamedTuple):
    what: str
    pattern: re.Pattern[str]
    advice: str


_DAY = "write dates as 2020-12-31"
_LOOKS = (
    _Look(
        "times or durations",
        re.compile(r"-?\d{1,3}:\d{2}(:\d{2})?([.,]\d+)?( ?[AaPp]\.?[Mm]\.?)?"),
        "durations can be calculated with if they are numbers of seconds or minutes",
    ),
    _Look(
        "durations",
        re.compile(r"(\d+ ?(d|h|hr|m|min|s|sec)\b\.? ?){2,}|P(\d+[YMWD])*(T(\d+[HMS])*)?"),
        "durations can be calculated with if they are numbers of seconds or minutes",
    ),
    _Look("dates with years of two digits", re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2}"), _DAY),
    _Look(
        "dates in a form that is not known",
        re.compile(
            r"(\d{4}[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{4}"
            r"|\d{1,2}[. -]{1,2}(de )?[^\W\d]{3,10}[. ,-]{1,2}(de )?\d{2,4}"
            r"|[^\W\d]{3,10}[. -]\d{1,2},? '?\d{2,4}|\d{2,4}年\d{1,2}月(\d{1,2}日)?)"
            r"([ ,T]+\d{1,2}:\d{2}.{0,12})?"
        ),
        _DAY,
    ),
    _Look(
        "quarters or months of years",
        re.compile(r"[QT][1-4][ /-]?(19|20)\d{2}|(19|20)\d{2}[ /-]?([QT][1-4]|(0[1-9]|1[0-2]))"),
        "write the year and the other part as numbers into columns of their own",
    ),
    _Look(
        "numbers in a form that is not known",
        re.compile(
            # Not `A12`, `4B`, `Firm 7`, 192.168.1.1 or telephone numbers, which are names.
            r"(?![A-Z]{1,4}[-_ ]?\d+[A-Z]?$|\d+([A-Z]{1,3}|[a-z])$|.*[^\W\d] \d+$|\d+(\.\d+){2,}$"
            r"|\+[\d ]+$)"
            r"[-+−±~≈<>(]*\s?\D{0,4}\s?\d[\d.,'’]*( \d{3})*([.,]\d+)?"
            r"\s?(%|[^\W\d]{1,10}\.?|\D{1,3})?\)?",
            re.ASCII,
        ),
        "write plain numbers (1234.5), and the unit into the column's name",
    ),
)


def looks_like(values: Sequence[str]) -> str:
    """A note on what the values look like. Empty if they are texts."""
    for look in _LOOKS:
        alike = [v for v in values if look.pattern.fullmatch(v)]
        if alike and len(alike) >= MOSTLY * len(values):
            return f"looks like {look.what} ({alike[0][:40]!r}); read as text: {look.advice}"
    return ""
