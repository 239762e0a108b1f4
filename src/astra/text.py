"""Text normalisation and containment, for matching answers and for finding leaks.

Pure functions. One notion of "stands in the text" serves rewards, leak and grounding checks.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime

_SPACE = re.compile(r"\s+")
_GROUPED = re.compile(r"(?<=\d)[,\u2009\u202f'’](?=\d{3}(?!\d))")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_CHINESE_DATE = re.compile(r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*日")


def normalise(text: str) -> str:
    """NFKC, case folded, white space collapsed, digits ASCII, thousands separators dropped."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(
        str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text
    )
    text = _SPACE.sub(" ", text).strip()
    return _GROUPED.sub("", text)


def _joins(a: str, b: str) -> bool:
    """Whether two neighbouring characters belong to one word. CJK characters never join."""
    return a.isalnum() and b.isalnum() and ord(a) < 0x2E80 and ord(b) < 0x2E80


def contains_text(text: str, needle: str) -> bool:
    """Whether the normalised needle stands in the normalised text, at word boundaries.

    An empty needle stands nowhere.
    """
    text, needle = normalise(text), normalise(needle)
    if not needle:
        return False
    start = text.find(needle)
    while start >= 0:
        end = start + len(needle)
        clear_left = start == 0 or not _joins(text[start - 1], needle[0])
        clear_right = end == len(text) or not _joins(needle[-1], text[end])
        if clear_left and clear_right:
            return True
        start = text.find(needle, start + 1)
    return False


def as_number(value: object) -> float | None:
    """The value as a finite number: numbers (not booleans) and wholly numeric strings."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = normalise(value)
        if not _NUMBER.fullmatch(text):
            return None
        value = float(text)
    if isinstance(value, int | float):
        number = float(value)
        return number if abs(number) != float("inf") and number == number else None
    return None


def numbers_in(text: str) -> list[float]:
    """All numbers that stand in a text, thousands separators understood."""
    found: list[float] = []
    for match in _NUMBER.finditer(normalise(text)):
        token = match.group()
        before = normalise(text)[: match.start()]
        # "2019-2021" and "x-3" are no negative numbers.
        if token[0] in "+-" and before and before[-1].isalnum():
            token = token[1:]
        found.append(float(token))
    return found


def as_date(value: object) -> date | None:
    """The value as a calendar day: ISO 8601 text, or year-month-day in Chinese."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    if chinese := _CHINESE_DATE.fullmatch(text):
        year, month, day = (int(part) for part in chinese.groups())
        text = f"{year:04d}-{month:02d}-{day:02d}"
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        return None
