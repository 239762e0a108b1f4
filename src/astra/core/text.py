"""Text normalisation and containment, for matching answers and for finding leaks.

Pure functions, linear in the text. One notion of "stands in the text" serves rewards, leak and
grounding checks.

What this does not guarantee: words are told apart by their characters, not by a dictionary.
Chinese has no word boundaries, so that 中国 stands in 中国香港; "1,234" is read as one number,
never as two; numbers in words (two, 一百, 1.4 million) are not understood.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache

from astra.types import Json, Scalar

_LONGEST_KEPT = 1000
"""Characters of a text whose normal form is kept; the same few names are compared over and over."""
_SPACE = re.compile(r"\s+")
# What Unicode calls ignorable by default: marks of direction, joiners, selectors, tags, fillers.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# Sorting a long run of combining marks takes quadratic time; U+034F cuts it (as UAX 15 does).
_MARKS = re.compile(r"[^\w\s\x00-\x7f]{30}")
_CUT = "\u034f"
# NFKC would turn 10² into 102 and 5½ into 51⁄2.
_RAISED = re.compile(
    r"(?<=\d)(?=[\u00b2\u00b3\u00b9\u00bc-\u00be\u2070\u2074-\u2079\u2080-\u2089\u2150-\u215f\u2189])"
)
# NFKC turns the thin spaces that group digits into plain ones, so they go first.
_THIN_GROUPS = re.compile(r"(?<=\d)[\u2009\u202f](?=\d{3}(?!\d))")
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
_GROUPS = re.compile(r"(?<![\d.])\d{1,3}([,'’\u066c])\d{3}(?:\1\d{3})*(?!\d)")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_INTEGER = re.compile(r"[-+]?\d+")
_LONGEST_INTEGER = 400
"""Digits beyond which no integer is a finite float."""

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sept sep",
            "october oct",
            "november nov",
            "december dec",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = "|".join(MONTHS)
DATES = re.compile(
    r"(?<!\d)(?P<y1>\d{4})(?:-(?P<m1>\d{2})-(?P<d1>\d{2})|/(?P<m2>\d{1,2})/(?P<d2>\d{1,2})"
    r"|\s?年\s?(?P<m3>\d{1,2})\s?月\s?(?P<d3>\d{1,2})\s?日)(?!\d)"
    rf"|(?<!\d)(?P<d4>\d{{1,2}}) (?P<m4>{_MONTH})\.?,? (?P<y4>\d{{4}})(?!\d)"
    rf"|\b(?P<m5>{_MONTH})\.? (?P<d5>\d{{1,2}}),? (?P<y5>\d{{4}})(?!\d)"
)


def normalise(text: str) -> str:
    """NFKC, case folded, white space collapsed, digits ASCII, thousands separators dropped.

    Invisible characters go, the minus sign U+2212 becomes a hyphen, and a raised digit or a
    fraction after a digit stays apart from it. Idempotent.
    """
    return _kept(text) if len(text) <= _LONGEST_KEPT else _normalised(text)


def _normalised(text: str) -> str:
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
        text = _THIN_GROUPS.sub("", _RAISED.sub(" ", text))
        text = _MARKS.sub(lambda match: match[0] + _CUT, text)
        text = unicodedata.normalize("NFKC", text)
        # Case folding can undo NFKC, e.g. of a Greek iota subscript.
        text = unicodedata.normalize("NFKC", text.casefold())
        text = text.replace(_CUT, "").replace("\u2212", "-")
        text = _FOREIGN_DIGIT.sub(lambda match: str(unicodedata.digit(match[0])), text)
    else:
        text = text.casefold()
    text = _SPACE.sub(" ", text).strip()
    return _GROUPS.sub(lambda match: match[0].replace(match[1], ""), text)


_kept = lru_cache(maxsize=4096)(_normalised)


def contains_text(text: str, needle: str) -> bool:
    """Whether the normalised needle stands in the normalised text, at word boundaries.

    An empty needle stands nowhere. "3" does not stand in "3.14" or "13".
    """
    text, needle = normalise(text), normalise(needle)
    if not needle:
        return False
    start = text.find(needle)
    while start >= 0:
        if not _joined(text, start) and not _joined(text, start + len(needle)):
            return True
        start = text.find(needle, start + 1)
    return False


def _joined(text: str, at: int) -> bool:
    """Whether the characters around a position belong to one word or to one decimal number."""
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    if left.isalnum() and right.isalnum():
        return _spaced(left) and _spaced(right)
    if right == ".":
        return left.isdecimal() and text[at + 1 : at + 2].isdecimal()
    if left == ".":
        return right.isdecimal() and at > 1 and text[at - 2].isdecimal()
    return False


def _spaced(character: str) -> bool:
    """Whether the character is of a script that puts spaces between words (not CJK)."""
    return ord(character) < 0x2E80


def as_number(value: object) -> float | None:
    """The value as a finite number: numbers (not booleans) and wholly numeric strings.

    Integers stay integers, so that large ones compare exactly.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = normalise(value)
        return _parsed(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, int | float):
        return _finite(value)
    return None


def _parsed(token: str) -> float | None:
    """A token of `_NUMBER` as a finite number."""
    if len(token) <= _LONGEST_INTEGER and _INTEGER.fullmatch(token):
        return _finite(int(token))
    return _finite(float(token))


def _finite(number: float) -> float | None:
    try:
        return number if math.isfinite(number) else None
    except OverflowError:  # an integer beyond the floats
        return None


def numbers_in(text: str) -> list[float]:
    """All finite numbers that stand in a text, in order, thousands separators understood."""
    found: list[float] = []
    text = normalise(text)
    for match in _NUMBER.finditer(text):
        token = match.group()
        # "2019-2021" and "x-3" hold no negative numbers.
        if token[0] in "+-" and match.start() and text[match.start() - 1].isalnum():
            token = token[1:]
        number = _parsed(token)
        if number is not None:
            found.append(number)
    return found


def as_date(value: object) -> date | None:
    """The value as a calendar day, its time cut off.

    Text in ISO 8601 (timestamps too), year-month-day in Chinese or with slashes, or an English
    date with the month in letters. Numbers are no dates: their epoch and unit are unknown.
    """
    if not isinstance(value, str):
        return None
    return _kept_day(value) if len(value) <= _LONGEST_KEPT else _read_day(value)


def _read_day(value: str) -> date | None:
    text = normalise(value)
    try:
        # Case folding made a lower-case t and z of the ISO letters.
        return datetime.fromisoformat(text.upper()).date()
    except ValueError:
        match = DATES.fullmatch(text)
        return _day(match) if match else None


_kept_day = lru_cache(maxsize=4096)(_read_day)


def dates_in(text: str) -> list[date]:
    """All calendar days that stand in a text, in order: written out, or YYYY-MM-DD."""
    days = (_day(match) for match in DATES.finditer(normalise(text)))
    return [day for day in days if day is not None]


def _day(match: re.Match[str]) -> date | None:
    found = {name[0]: part for name, part in match.groupdict().items() if part is not None}
    month = MONTHS.get(found["m"]) or int(found["m"])
    try:
        return date(int(found["y"]), month, int(found["d"]))
    except ValueError:  # 31 February
        return None


def scalars(value: Json) -> Iterator[Scalar | None]:
    """The texts, numbers, booleans and nulls in a JSON value, at any depth, in order."""
    if isinstance(value, Mapping):
        for child in value.values():
            yield from scalars(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from scalars(child)
    else:
        yield value
