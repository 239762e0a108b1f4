"""Other spellings in which a text says a value, as people write them.

Understood are days without a year, with the month in figures or with ordinals ("February 9",
"12/2", "the 3rd of May"), times of day ("3:00 PM", "noon", 下午3点半), numbers in words up to a
hundred ("party of four"), with k, m, million, 万 or per cent, names with other dashes, apostrophes
and accents, and abbreviations that the document explains ("CA (California)"). Used by the checks
`grounding` and `spelling` of arenas, and for the plans of trajectories. Not covered: days of the
week, "tomorrow", abbreviations that nobody explains.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from astra.core.text import (
    DATES,
    MONTHS,
    as_date,
    as_number,
    contains_text,
    dates_in,
    normalise,
    numbers_in,
)
from astra.types import Json

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_ORDINAL = r"(?:st|nd|rd|th)?"
_DAYS = re.compile(
    # 12/02/2025, 12/2; 31.12.2025
    rf"(?<![\d/.])(?P<n1>\d{{1,2}})(?:/(?P<n2>\d{{1,2}})(?:/(?P<y1>\d{{4}}|\d{{2}}))?"
    rf"|\.(?P<n3>\d{{1,2}})\.(?P<y2>\d{{4}}))(?![\d/])"
    # February 9th, 2025; February 9-12
    rf"|\b(?P<m1>{_MONTH})\.? (?:the )?(?P<d1>\d{{1,2}}){_ORDINAL}(?!\d)"
    rf"(?:\s?(?:-|–|to|till|until|through)\s?(?P<d4>\d{{1,2}}){_ORDINAL}(?!\d| (?:{_MONTH})))?"
    rf"(?:,? (?P<y3>\d{{4}}))?"
    # the 9th of February 2025
    rf"|(?<!\d)(?P<d2>\d{{1,2}}){_ORDINAL} (?:of )?(?P<m2>{_MONTH})\b\.?(?:,? (?P<y4>\d{{4}}))?"
    rf"|(?:(?P<y5>\d{{4}})\s?年\s?)?(?P<m3>\d{{1,2}})\s?月\s?(?P<d3>\d{{1,2}})\s?[日号]"
)
_TIMES = re.compile(
    r"(?<![\d:/.])(?P<h>\d{1,2})(?::(?P<m>\d{2}))?(?::\d{2})?\s?(?P<half>a\.?m\b\.?|p\.?m\b\.?)?"
    r"|(?P<word>noon|midnight|midday)\b"
    r"|(?P<part>上午|早上|凌晨|中午|下午|晚上)?(?P<h2>\d{1,2})[点點时](?:(?P<m2>\d{1,2})分?|(?P<halfway>半))?"
)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2})?\s?(a\.?m\.?|p\.?m\.?)?", re.IGNORECASE)
_TIME = re.compile(
    r"([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
_MOMENT = re.compile(rf"(\d{{4}}-\d\d-\d\d)[T ]{_TIME.pattern}", re.IGNORECASE)
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ENGLISH_NUMBERS = {
    **{word: number for number, word in enumerate(_SMALL)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
    **{
        f"{t}-{s}": 10 * n + d
        for n, t in enumerate(_TENS, 2)
        for d, s in enumerate(_SMALL[1:10], 1)
    },
    **dict(
        zip(
            ("single", "pair of", "half a dozen", "dozen", "hundred"),
            (1, 2, 6, 12, 100),
            strict=True,
        )
    ),
}
# "Which one" and "one of them" count nothing.
_ONE = (
    r"one(?= (?:person|adult|guest|child|night|way|room|week|day|hour|ticket|passenger|stop|bed)\b)"
)
_WORDS = re.compile(
    r"\b(?:half a dozen|pair of|"
    + "|".join(sorted({*_ENGLISH_NUMBERS} - {"one", "zero"}, key=len, reverse=True))
    + rf"|{_ONE})\b"
)
_CHINESE_NUMBER = re.compile(
    r"[一二两三四五六七八九十百]+(?=[个位名人张间晚天次年月周小公分米岁份件辆本部座条家点元块])"
)
_CHINESE_DIGITS = {sign: number for number, sign in enumerate("零一二三四五六七八九")} | {"两": 2}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s?(?:%|per ?cent\b|percent\b)|百分之(\d+(?:\.\d+)?)")
_MAGNITUDES = (
    {"hundred": 2, "thousand": 3, "k": 3, "million": 6, "mn": 6, "mio": 6, "m": 6}
    | {"billion": 9, "bn": 9, "trillion": 12, "百": 2, "千": 3, "万": 4, "萬": 4}
    | {"百万": 6, "千万": 7, "亿": 8, "億": 8, "万亿": 12}
)
"""Power of ten by word. One letter counts only directly at its number, and M only as a capital."""
_SCALED = re.compile(
    r"(?<![\w.])(\d[\d.,'’\u202f]*)(?:[\s-]?(hundred|thousand|million|billion|trillion|mn|mio|bn)s?\b"
    r"|(k|K|M)\b|\s?(万亿|百万|千万|百|千|万|萬|亿|億)|\s?[x×*·]\s?10(?:\^|\*\*)?(\d{1,2})(?!\d))",
    re.IGNORECASE,
)
_SIGNS = str.maketrans({**dict.fromkeys("‐‑‒–—―−", "-"), **dict.fromkeys("‘’ʼ´`", "'")})


_CAPITALISED_END = re.compile(r"(?:[A-Z][\w'’.-]*(?: |$))+$")


class SaidAs(NamedTuple):
    """A piece of a text that says a value."""

    piece: str
    complete: bool = True
    """False for a day without its year."""


def said_as(value: Json, text: str, description: str = "") -> list[SaidAs]:
    """The pieces of a text that say a value in another spelling than its own.

    `description`: what the document says of the parameter; it may explain abbreviations.
    """
    if value is None or isinstance(value, bool) or not text:
        return []
    number = as_number(value)
    if number is not None:
        return list(_numbers(number, text))
    if not isinstance(value, str):
        return []
    plain = normalise(text)
    if (day := as_date(value)) is not None or (day := _month_day(value)) is not None:
        return list(_days(day, plain))
    if (clock := _CLOCK.fullmatch(value.strip())) is not None:
        return list(_times(_minutes(clock[1], clock[2], clock[3]), plain))
    return list(_names(value, text, description))


def says(value: Json, text: str, description: str = "") -> bool:
    """Whether a text says a value in any of these spellings."""
    return bool(said_as(value, text, description))


def said_moment(value: str, text: str) -> list[str]:
    """The pieces of a text that say a day with a time, as 2026-03-05T15:00:00Z. Empty if one of
    the two is not said; the first and the last minute of a day are said with the day. The time
    zone is not looked for: people say the time of where they are."""
    match = _MOMENT.fullmatch(value.strip())
    day = None if match is None else as_date(match[1])
    if match is None or day is None:
        return []
    plain = normalise(text)
    days = [said.piece for said in _days(day, plain)]
    if not days and day in dates_in(plain):
        days = [found[0] for found in DATES.finditer(plain) if as_date(found[0]) == day]
    minutes = _minutes(match[2], match[3], None)
    times = [said.piece for said in _times(minutes, plain)]
    if not days or not (times or minutes in (0, 24 * 60 - 1)):
        return []
    return [days[0], *times[:1]]


def says_time(value: str, text: str) -> list[str]:
    """The pieces of a text that say a time of day, as 15:00, 15:00:00Z."""
    match = _TIME.fullmatch(value.strip())
    if match is None:
        return []
    return [said.piece for said in _times(_minutes(match[1], match[2], None), normalise(text))]


# --- days and times --------------------------------------------------------------------------


def _month_day(value: str) -> date | None:
    """A text that is a day without a year, as a day of the leap year 2000."""
    match = _DAYS.fullmatch(normalise(value))
    return next((day for day, _ in _read(match)), None) if match else None


def _days(day: date, text: str) -> Iterator[SaidAs]:
    for match in _DAYS.finditer(text):
        for found, complete in _read(match):
            if (found.month, found.day) == (day.month, day.day) and (
                not complete or found.year == day.year
            ):
                yield SaidAs(match[0], complete)
                break


def _read(match: re.Match[str]) -> Iterator[tuple[date, bool]]:
    """The days that a piece of text can mean, each with whether it names its year."""
    parts = {name[0]: part for name, part in match.groupdict().items() if part is not None}
    year = int(parts["y"]) if "y" in parts else 2000
    year += 2000 if year < 100 else 0
    if "n" in parts:
        first, second = int(match["n1"]), int(match["n2"] or match["n3"])
        # With a stroke the month comes first, unless it can't be one; with dots it never does.
        pairs = [(second, first)] if match["n3"] or first > 12 else [(first, second)]
    else:
        month = match["m1"] or match["m2"] or match["m3"]
        number = MONTHS.get(month) or int(month)
        days = (match[name] for name in ("d1", "d2", "d3", "d4"))
        pairs = [(number, int(one)) for one in days if one]
    for month_number, day_number in pairs:
        try:
            yield date(year, month_number, day_number), "y" in parts
        except ValueError:
            continue


def _minutes(hour: str, minute: str | None, half: str | None) -> int:
    hours = int(hour)
    if half:
        hours = hours % 12 + (12 if half.lower().startswith("p") else 0)
    return hours * 60 + int(minute or 0)


def _times(minutes: int, text: str) -> Iterator[SaidAs]:
    for match in _TIMES.finditer(text):
        if match["word"]:
            found = 0 if match["word"] == "midnight" else 720
        elif match["h2"]:
            half = "p" if match["part"] in ("下午", "晚上") else None
            found = _minutes(match["h2"], "30" if match["halfway"] else match["m2"], half)
        elif match["m"] or match["half"]:
            found = _minutes(match["h"], match["m"], match["half"])
        else:
            continue
        if found == minutes:
            yield SaidAs(match[0].strip())


# --- numbers ---------------------------------------------------------------------------------


def numbers_said(text: str) -> list[float]:
    """All numbers that a text says, in figures or in words."""
    return [*numbers_in(text), *(number for _, number in _number_pieces(text))]


def _numbers(number: float, text: str) -> Iterator[SaidAs]:
    for piece, said in _number_pieces(text):
        if math.isclose(number, said, rel_tol=1e-9):
            yield SaidAs(piece)


def _number_pieces(text: str) -> Iterator[tuple[str, float]]:
    """The pieces of a text that say numbers in words, with magnitudes or per cent."""
    plain = normalise(text)
    for match in _WORDS.finditer(plain):
        yield match[0], _ENGLISH_NUMBERS[match[0]]
    for match in _CHINESE_NUMBER.finditer(text):
        yield match[0], _chinese(match[0])
    for match in _PERCENT.finditer(plain):
        share = float(match[1] or match[2])
        yield from ((match[0], share), (match[0], share / 100))
    for scaled in scaled_numbers(unicodedata.normalize("NFKC", text)):
        yield str(scaled), scaled


def scaled_numbers(text: str) -> Iterator[float]:
    """Numbers with a magnitude behind them, as 83.2 million, 300k, 5 万."""
    for match in _SCALED.finditer(text):
        digits, word, letter, sign, power = match.groups()
        # 5 m are metres.
        if letter == "m":
            continue
        exponent = int(power) if power else _MAGNITUDES[(word or letter or sign).lower()]
        try:
            yield float(Decimal(normalise(digits)).scaleb(exponent))
        except (InvalidOperation, OverflowError):
            continue


def _chinese(text: str) -> int:
    total, digit = 0, 0
    for sign in text:
        if sign in "十百":
            total += (digit or 1) * (10 if sign == "十" else 100)
            digit = 0
        else:
            digit = _CHINESE_DIGITS[sign]
    return total + digit


# --- names -----------------------------------------------------------------------------------


def _names(value: str, text: str, description: str) -> Iterator[SaidAs]:
    if contains_text(text, value):
        return
    wanted, folded = folded_name(value), folded_name(text)
    if contains_text(folded, wanted):
        at = folded.find(wanted)
        # Folding keeps lengths where the text is what most questions are.
        yield SaidAs(text[at : at + len(value)] if len(folded) == len(text) else wanted)
    for phrase in explained(value, description):
        if contains_text(folded, folded_name(phrase)):
            yield SaidAs(phrase)


@lru_cache(maxsize=1024)
def folded_name(text: str) -> str:
    """A text without case and accents, with plain dashes and apostrophes."""
    plain = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def explained(value: str, description: str) -> list[str]:
    """What a description says that a value stands for: "CA (California)", "CA for California"."""
    if value not in description:
        return []
    word, apart = re.escape(value), r"['\"“”‘’`]?"
    patterns = (
        rf"(?<!\w){apart}{word}{apart}\s*"
        rf"(?:\(|（|=|:|：|(?:stands )?for\b|means\b|代表|表示|指)\s*{apart}"
        rf"([^,;.()=，；。（）'\"”’`]+)",
        rf"([^,;:.()=，；。（）]+?)\s*{apart}\s*(?:\(|（|=)\s*{apart}{word}{apart}(?!\w)",
    )
    after, before = (
        [match[1].strip() for match in re.finditer(pattern, description)] for pattern in patterns
    )
    # What stands before the value may begin earlier: "code of the state, e.g. New York (NY)".
    before = [phrase for text in before for phrase in (text, *_CAPITALISED_END.findall(text))]
    return [phrase for phrase in (*after, *before) if len(phrase) > 1]
