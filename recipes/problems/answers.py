"""Extracts the final answer of a response; compares answers that are words or carry units.

The final answer follows a rule: the last `\\boxed{…}`, else the text after the last "answer is" or
`####`, else the whole of a one-line response. Of several answers, the last counts.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from astra.core.text import normalise

MOST_CHARACTERS = 500
"""A longer answer is wrong, whatever it says."""
_RESPONSE_END = 20_000
"""Characters at the end of a response that are searched."""

_CUE = re.compile(
    r"(?:\banswer(?:\s+is)?\s*[:：=]|\banswer\s+is\b|####|答案(?:是|为)?\s*[:：]?)", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.。](?:\s|$)|\n")
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mbox|operatorname)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[^\W\d_]{2,}(?:[\s,'-]+[^\W\d_]+)*|\([A-Za-z]\)|[A-Z]")
_QUANTITY = re.compile(
    r"(?P<amount>.*[\d})])\s*(?P<unit>(?:[^\W\d_]|°)+(?:\s*\^?\s*\{?[23²³]\}?)?)", re.DOTALL
)
_SPACING = re.compile(r"\\[,;:! ]|~|\\(?:left|right|displaystyle)(?![a-zA-Z])")
_UNIT_SPELLINGS = {
    "mm": "mm millimeter millimetre",
    "cm": "cm centimeter centimetre",
    "m": "m meter metre",
    "km": "km kilometer kilometre",
    "in": "in inch inche",
    "ft": "ft foot feet",
    "mi": "mi mile",
    "g": "g gram",
    "kg": "kg kilogram",
    "s": "s sec second",
    "min": "min minute",
    "h": "h hr hour",
    "day": "day",
    "year": "year yr",
    "l": "l liter litre",
    "ml": "ml milliliter millilitre",
    "mph": "mph",
    "kmh": "kmh kph",
    "dollar": "dollar usd buck",
    "cent": "cent",
    "euro": "euro eur",
    "degree": "degree deg °",
}
_UNITS = {word: unit for unit, words in _UNIT_SPELLINGS.items() for word in words.split()}


class Quantity(NamedTuple):
    """An answer split into amount and unit."""

    amount: str
    """Compared as mathematics."""
    unit: str
    """A known unit in one spelling. Empty if there is none."""


def final_answer(response: str) -> str | None:
    """The answer that a response ends with. None if it has none."""
    end = response[-_RESPONSE_END:]
    answer = _last_boxed(end)
    cues = list(_CUE.finditer(end))
    if answer is None and cues:
        rest = end[cues[-1].end() :].strip(" \t*")
        stop = _SENTENCE_END.search(rest)
        answer = _without_marks(rest[: stop.start()] if stop else rest)
    if answer is None and "\n" not in response.strip() and len(response) <= MOST_CHARACTERS:
        answer = response
    return (answer or "").strip().rstrip(".。").strip() or None


def _last_boxed(text: str) -> str | None:
    """The content of the last box. Empty if the box is not closed, None if there is none."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    start = text.index("{", start)
    depth = 0
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if not depth:
            return text[start + 1 : index]
    return ""


def _without_marks(text: str) -> str:
    """Without the dollar signs and the emphasis around it."""
    text = text.strip().strip("*").strip()
    for mark in ("$$", "$"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            return text[len(mark) : -len(mark)].strip()
    return text


def as_words(answer: str) -> str | None:
    """The normalised words of an answer in words or a choice such as (B). None for mathematics.

    Mathematics would take the letters of a word for factors: "listen" would equal "silent".
    """
    text = _SPACING.sub(" ", _TEXT.sub(r" \1 ", answer)).strip().strip(".$").strip()
    return normalise(text).strip("()") if _WORDS.fullmatch(text) else None


def as_quantity(answer: str) -> Quantity:
    """The amount of an answer, and its unit in one spelling."""
    bare = _without_marks(answer)
    text = _SPACING.sub(" ", _TEXT.sub(r" \1 ", bare)).strip()
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?", " degree", text)
    if text.startswith(("\\$", "$")):
        return Quantity(text.lstrip("\\$").strip(), "dollar")
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return Quantity(bare, "")
    power = {"2": "2", "²": "2", "3": "3", "³": "3"}.get(match["unit"].rstrip("}")[-1], "")
    word = normalise(match["unit"].rstrip("23²³^{} "))
    unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    return Quantity(bare, "") if unit is None else Quantity(match["amount"].strip(), unit + power)
