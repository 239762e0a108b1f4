"""The final answer of a response, and answers that are words or carry units. Pure functions.

Which words of a response are its answer is a rule, not a guess: the last `\\boxed{…}`, else what
follows the last "answer is" or `####`, else the whole of a response of one line. A response that
gives several answers is judged by the last.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from astra.core.text import normalise

LONGEST = 500
"""Characters of an answer. A longer one is no answer: it is wrong, whatever it says."""
READ = 20_000
"""Characters at the end of a response that are looked at."""

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
_UNITS = {
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
_CANONICAL = {word: unit for unit, words in _UNITS.items() for word in words.split()}


class Quantity(NamedTuple):
    """An answer taken apart."""

    amount: str
    """What is compared as mathematics."""
    unit: str
    """Of the units that are known, in one spelling; "": none."""


def final_answer(response: str) -> str | None:
    """The answer that a response ends with; None: it gives none."""
    end = response[-READ:]
    found = _last_boxed(end)
    if found is None:
        found = _after_cue(end)
    if found is None and "\n" not in response.strip():
        found = response if len(response) <= LONGEST else None
    found = (found or "").strip().rstrip(".。").strip()
    return found or None


def _last_boxed(text: str) -> str | None:
    """What the last box holds; "" when it was cut off, None when there is no box."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    start = text.index("{", start)
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start + 1 : place]
    return ""


def _after_cue(text: str) -> str | None:
    matches = list(_CUE.finditer(text))
    if not matches:
        return None
    rest = text[matches[-1].end() :].strip(" \t*")
    end = _SENTENCE_END.search(rest)
    return _bare(rest[: end.start()] if end else rest)


def _bare(text: str) -> str:
    """Without dollar signs and emphasis around it."""
    text = text.strip().strip("*").strip()
    for mark in ("$$", "$"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            return text[len(mark) : -len(mark)].strip()
    return text


def as_words(answer: str) -> str | None:
    """The normalised words of an answer that is words, or a choice such as (B); else None.

    Mathematics takes the letters of a word for factors, so that "listen" would equal "silent".
    """
    plain = _SPACING.sub(" ", _TEXT.sub(r" \1 ", answer)).strip().strip(".$").strip()
    if not _WORDS.fullmatch(plain):
        return None
    return normalise(plain).strip("()")


def quantity(answer: str) -> Quantity:
    """An answer without its unit, and the unit in one spelling."""
    plain = _SPACING.sub(" ", _TEXT.sub(r" \1 ", _bare(answer))).strip()
    plain = re.sub(r"\^\s*\{?\s*\\circ\s*\}?", " degree", plain)
    if plain.startswith(("\\$", "$")):
        return Quantity(plain.lstrip("\\$").strip(), "dollar")
    match = _QUANTITY.fullmatch(plain)
    if match is None:
        return Quantity(_bare(answer), "")
    power = {"2": "2", "²": "2", "3": "3", "³": "3"}.get(match["unit"].rstrip("}")[-1], "")
    word = normalise(match["unit"].rstrip("23²³^{} "))
    unit = _CANONICAL.get(word) or _CANONICAL.get(word.removesuffix("s"))
    if unit is None:
        return Quantity(_bare(answer), "")
    return Quantity(match["amount"].strip(), unit + power)
