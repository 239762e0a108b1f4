"""How a request states a value that a call needs: letter for letter, in another spelling, or not.

Rules understand dates and times in words, numbers in words and with magnitudes, currencies by name,
card and telephone numbers with spaces, names of choices, and what a tool's document explains. What
no rule decides (a choice by its meaning, "tomorrow", "half an hour") is `open`: a teacher is asked.

What this does not guarantee: that a value in the request is meant for this argument.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

from astra.core.spellings import folded_name, numbers_said, said_as, said_moment, says_time
from astra.core.text import as_date, as_number, contains_text, dates_in, normalise, numbers_in
from astra.types import Json

_NO_VALUE = object()
_LEAST_SEPARATED = 6
"""Letters and digits of an identifier from which it is found with spaces and dashes in it."""
_NUMBER = re.compile(r"[-+]?\d(?:[\d.,'’\u2009\u202f ]*\d)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"\d{1,2}:\d\d")
_CURRENCY = re.compile(r"[A-Z]{3}")
_CODE = re.compile(r"[A-Z]{2,4}|[a-z]{2}(?:[-_][A-Za-z]{2,4})?|[A-Z][a-z]+/[A-Z][A-Za-z_]+")
"""Countries, currencies, languages, time zones."""
_CATEGORY = re.compile(r"[a-z]{3,20}(?:[_-][a-z]{2,20}){0,2}")
_WORD = re.compile(r"[^\W\d_]{4,}|[\u4e00-\u9fff]{2}")
_STEM = 5
"""Letters after which words may end as they like."""
_RELATIVE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|next|this|coming|last|in an?|from now|ago"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|morning|afternoon|evening|week(?:end)?|month)\b"
    r"|今|明|昨|后天|前天|下周|本周|上周|下个?月|周[一二三四五六日天]|星期|早上|晚上|下午|现在",
    re.IGNORECASE,
)
_VAGUE_AMOUNT = re.compile(
    r"\b(?:half|quarters?|couple|few|several|dozen|once|twice|double|fortnight"
    r"|an? (?:minute|hour|day|week|month|year|kilo\w*|mile|metre|meter|pound))\b|[半几]",
    re.IGNORECASE,
)
_UNIT_FACTORS = (7, 12, 24, 30, 52, 60, 100, 365, 1000, 1024, 1440, 3600, 86_400, 1_000_000)
"""Days of a week, minutes of an hour, cents of a euro, metres of a kilometre, …"""


class Statement(NamedTuple):
    """What a request says of a value."""

    known: Literal["stated", "open", "missing"]
    """`open`: no rule decides."""
    pieces: tuple[str, ...] = ()
    """The request's own words for it. Empty if the tool's document offers the value, or if only the
    meaning states it."""


def statement(value: Json, request: str, schema: Mapping[str, Json] | None = None) -> Statement:
    """How a request states a scalar. `schema`: of the parameter that takes it.

    True, false and null count as stated, since there are countless words for them.
    """
    schema = schema or {}
    if value is None or isinstance(value, bool) or _offered(value, schema):
        return Statement("stated")
    if pieces := _stated(value, request, str(schema.get("description", ""))):
        return Statement("stated", tuple(_as_written(piece, request) for piece in pieces))
    if isinstance(value, str) and not value.strip():
        return Statement("stated")
    choices = schema.get("enum")
    if isinstance(value, str) and _CURRENCY.fullmatch(value):
        names = _currency_names().get(value)
        if names and (piece := _first_name(names.names, request)):
            return Statement("stated", (piece,))
        if names and _first_name(names.shared, request):
            return Statement("open")
    if isinstance(choices, list) and value in choices:
        others = [each for each in choices if each != value and isinstance(each, str)]
        # Whoever asks for the work calendar does not mean the one at home.
        said = any(statement(each, request).known == "stated" for each in others)
        return Statement("missing" if said else "open")
    return Statement("open" if _may_be_meant(value, request) else "missing")


def _offered(value: Json, schema: Mapping[str, Json]) -> bool:
    """Whether the document gives the value itself, so that nobody has to say it."""
    choices = schema.get("enum")
    single = choices[0] if isinstance(choices, list) and len(choices) == 1 else _NO_VALUE
    given = (schema.get("default", _NO_VALUE), schema.get("const", _NO_VALUE), single)
    return any(value == other and type(value) is type(other) for other in given)


def _stated(value: Json, request: str, description: str) -> list[str]:
    """The pieces of the request that say a value by rule."""
    if isinstance(value, int | float):
        if as_number(value) in numbers_in(request):
            written = (match[0] for match in _NUMBER.finditer(request))
            return [next((each for each in written if as_number(each) == value), str(value))]
        return [said.piece for said in said_as(value, request)][:1]
    if not isinstance(value, str):
        return []
    words = re.sub(r"[_-]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", value))
    for spelling in (value, words):
        if contains_text(request, spelling):
            return [spelling.strip()]
    if moment := said_moment(value, request):
        return moment
    if clock := says_time(value, request):
        return clock[:1]
    if (day := as_date(value)) is not None:
        if not _DATE.fullmatch(value):
            return []
        if day in dates_in(request):
            return [_date_in(value, request)]
    if said := said_as(value, request, description):
        return [said[0].piece]
    # A value that begins with a quotation mark or sign has no word boundary there.
    if value and not value[0].isalnum() and normalise(value) in normalise(request):
        return [value]
    return _separated(value, request)


def _date_in(value: str, request: str) -> str:
    pieces = said_as(value, request)
    return pieces[0].piece if pieces else value


def _separated(value: str, request: str) -> list[str]:
    """An identifier with other spaces, dashes, dots, strokes or brackets in it."""
    characters = [c for c in value if c.isalnum()]
    if len(characters) < _LEAST_SEPARATED or not any(map(str.isdigit, characters)):
        return []
    between = r"[\s().\-/‐-―]{0,2}"
    pattern = rf"(?<!\w)\+?{between.join(map(re.escape, characters))}(?!\w)"
    match = re.search(pattern, request, re.IGNORECASE)
    return [match[0].strip()] if match else []


def _may_be_meant(value: Json, request: str) -> bool:
    """Whether a request can mean a value that no rule finds in it."""
    if isinstance(value, int | float):
        if _VAGUE_AMOUNT.search(request):
            return True
        # "2 hours" for 120 minutes.
        return any(
            said and any(math.isclose(value, said * factor) for factor in (n, 1 / n))
            for said in numbers_said(request)
            for n in _UNIT_FACTORS
        )
    text = str(value)
    if _DATE.match(text) or _CLOCK.match(text):
        return _RELATIVE.search(request) is not None
    # Identifiers, addresses and links are said as they are, or not at all.
    if any(c.isdigit() for c in text) or "@" in text or "://" in text:
        return False
    # US for the States, en-GB for British English, vegetarian for "no meat".
    if _CODE.fullmatch(text) or _CATEGORY.fullmatch(text):
        return True
    # Else the request has to share something with the text: a word, or the beginning of one.
    folded = folded_name(request)
    words = _WORD.findall(folded_name(text))
    said = set(_WORD.findall(folded))
    return any(word[:_STEM] == other[:_STEM] for word in words for other in said)


def _as_written(piece: str, request: str) -> str:
    """A piece as the request writes it: rules look at a text in lower case."""
    words = piece.rstrip(".").split()
    match = re.search(r"\s+".join(map(re.escape, words)), request, re.IGNORECASE)
    return match[0] if match else piece


# --- currencies ----------------------------------------------------------------------------------


class CurrencyNames(NamedTuple):
    """What people call a currency."""

    names: tuple[str, ...]
    """That say this one: euro, US dollars."""
    shared: tuple[str, ...]
    """That say several: dollars, crowns."""


@cache
def _currency_names() -> Mapping[str, CurrencyNames]:
    """By ISO 4217 code."""
    text = files("astra.core").joinpath("currencies.toml").read_text("utf-8")
    full: dict[str, list[str]] = tomllib.loads(text)
    # "Polish zloty" is called zloty; the dollar is called so in many countries.
    short = {
        code: [name.split()[-1] for name in names if " " in name] for code, names in full.items()
    }
    uses = Counter(
        name for code in full for name in {each.casefold() for each in [*full[code], *short[code]]}
    )
    known: dict[str, CurrencyNames] = {}
    for code, names in full.items():
        every = dict.fromkeys([*names, *short[code]])
        known[code] = CurrencyNames(
            tuple(each for each in every if uses[each.casefold()] == 1),
            tuple(each for each in every if uses[each.casefold()] > 1),
        )
    return known


def _first_name(names: Iterable[str], request: str) -> str:
    """The first of the names that stands in a request. Empty if none does."""
    folded = folded_name(request)
    for name in names:
        wanted = folded_name(name)
        # A sign stands right at its number: €50.
        if contains_text(folded, wanted) or (not wanted[-1].isalnum() and wanted in folded):
            return name
    return ""
