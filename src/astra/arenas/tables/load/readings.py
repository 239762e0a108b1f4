"""What texts mean: which are numbers, dates and booleans, and which mean "no value"."""

from __future__ import annotations

from dataclasses import dataclass

from astra.arenas.tables.load.raw import ColumnContent
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import literal

MISSING: tuple[str, ...] = (
    "NA",
    "N/A",
    "n/a",
    "null",
    "NULL",
    "NaN",
    "nan",
    "#N/A",
    "\\N",
    "-",
    "--",
)
"""Texts that mean "no value" in every column, beside empty ones, exactly so spelled. `NA` is kept
in columns of two-letter codes, where it is Namibia or North America."""
MISSING_TYPED: tuple[str, ...] = (
    "inf", "+inf", "-inf", "infinity", "-infinity", "+nan", "-nan", "none", "na", "nil", "n.a.",
    "unknown", "?", ".", "—", "–", "...", "null", "nan", "n/a", "#n/a", "\\n", "-", "--",
)  # fmt: skip
"""Texts that mean "no value" in columns of numbers, dates and booleans, in any spelling."""

CODES = frozenset(
    "zip zipcode postcode postal plz phone telephone tel mobile cellphone fax isbn issn ean gtin "
    "upc barcode ssn iban imei 电话 手机 邮编 电话号码 手机号 邮政编码".split()
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read texts as a type; `{v}` is the text in both SQL expressions."""

    name: str
    kind: ColumnKind
    fits: str
    """Whether a text can be read so."""
    value: str
    """The typed value of one that can."""


def _matched(name: str, kind: ColumnKind, pattern: str, value: str) -> Reading:
    return Reading(name, kind, f"regexp_full_match({{v}}, {literal(pattern)})", value)


def _day(name: str, pattern: str, *formats: str) -> Reading:
    """A date; the pattern guards what strptime would let pass, such as years of two digits."""
    listed = ", ".join(literal(form) for form in formats)
    parsed = f"try_strptime({{v}}, [{listed}])"
    return Reading(name, ColumnKind.date, _guarded(pattern, parsed), f"CAST({parsed} AS DATE)")


def _guarded(pattern: str, parsed: str) -> str:
    """Whether the pattern matches and, only then, whether the parsed value is there."""
    matched = f"regexp_full_match({{v}}, {literal(pattern)})"
    return f"CASE WHEN {matched} THEN ({parsed}) IS NOT NULL ELSE false END"


def _timed(day: str) -> tuple[str, ...]:
    """The formats of a day, alone and with a time behind it."""
    return (day, f"{day} %H:%M", f"{day} %H:%M:%S", f"{day} %I:%M %p", f"{day} %I:%M:%S %p")


_HOURS = r"( \d{1,2}:\d{2}(:\d{2})?( [AP]M)?)?"
_SLASHED = rf"(\d{{1,2}}/\d{{1,2}}/|\d{{1,2}}-\d{{1,2}}-)\d{{4}}{_HOURS}"
_CLOCK = r"([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?)?"
_ISO = r"\d{4}-\d{2}-\d{2}" + _CLOCK
_ISO_DAY = "TRY_CAST(left({v}, 10) AS DATE)"
_SIGN = "replace({v}, '−', '-')"
_FINITE = "CASE WHEN isfinite(TRY_CAST({0} AS DOUBLE)) THEN TRY_CAST({0} AS DOUBLE) END"
READINGS: tuple[Reading, ...] = (
    _matched("true/false", ColumnKind.boolean, "(?i)true|false", "lower({v}) = 'true'"),
    _matched("yes/no", ColumnKind.boolean, "(?i)yes|no", "lower({v}) = 'yes'"),
    _matched("是/否", ColumnKind.boolean, "是|否", "{v} = '是'"),
    _matched(
        "integer", ColumnKind.integer, r"[-−]?(0|[1-9]\d{0,17})", f"TRY_CAST({_SIGN} AS BIGINT)"
    ),
    # pandas writes integers so where one of the column is missing.
    _matched(
        "integer.0",
        ColumnKind.integer,
        r"[-−]?(0|[1-9]\d{0,14})(\.0)?",
        f"TRY_CAST(replace({_SIGN}, '.0', '') AS BIGINT)",
    ),
    _matched(
        "number",
        ColumnKind.number,
        r"[-−]?((0|[1-9]\d{0,14})(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?",
        _FINITE.format(_SIGN),
    ),
    _matched(
        "grouped integer",
        ColumnKind.integer,
        r"[-−]?(0|[1-9]\d{0,2}(,\d{3}){0,4})",
        f"TRY_CAST(replace({_SIGN}, ',', '') AS BIGINT)",
    ),
    _matched(
        "grouped number",
        ColumnKind.number,
        r"[-−]?(0|[1-9]\d{0,2}(,\d{3}){0,4})(\.\d+)?",
        _FINITE.format(f"replace({_SIGN}, ',', '')"),
    ),
    _matched(
        "dotted integer",
        ColumnKind.integer,
        r"[-−]?(0|[1-9]\d{0,2}(\.\d{3}){0,4})",
        f"TRY_CAST(replace({_SIGN}, '.', '') AS BIGINT)",
    ),
    _matched(
        "dotted number",
        ColumnKind.number,
        r"[-−]?(0|[1-9]\d{0,2}(\.\d{3}){0,4})(,\d+)?",
        _FINITE.format(f"replace(replace({_SIGN}, '.', ''), ',', '.')"),
    ),
    _matched(
        "decimal comma",
        ColumnKind.number,
        r"[-−]?(0|[1-9]\d{0,14})(,\d+)?",
        _FINITE.format(f"replace({_SIGN}, ',', '.')"),
    ),
    Reading("2020-12-31", ColumnKind.date, _guarded(_ISO, _ISO_DAY), _ISO_DAY),
    _day("2020/12/31", r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
    _day("2020.12.31", r"\d{4}\.\d{1,2}\.\d{1,2}", "%Y.%m.%d"),
    _day("2020年12月31日", r"\d{4}年\d{1,2}月\d{1,2}日", "%Y年%m月%d日"),
    _day("31.12.2020", rf"\d{{1,2}}\.\d{{1,2}}\.\d{{4}}{_HOURS}", *_timed("%d.%m.%Y")),
    _day(
        "31 December 2020",
        r"\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{4}",
        *("%d %B %Y", "%d %b %Y", "%d-%b-%Y", "%d-%B-%Y"),
    ),
    _day(
        "December 31, 2020",
        r"[A-Za-z]{3,9} \d{1,2},? \d{4}",
        *("%B %d, %Y", "%b %d, %Y", "%B %d %Y", "%b %d %Y"),
    ),
    _day("31/12/2020", _SLASHED, *_timed("%d/%m/%Y"), *_timed("%d-%m-%Y")),
    _day("12/31/2020", _SLASHED, *_timed("%m/%d/%Y"), *_timed("%m-%d-%Y")),
)
STORED: tuple[Reading, ...] = (
    Reading(
        "stored integer",
        ColumnKind.integer,
        _guarded(r"[-+]?\d+", "TRY_CAST({v} AS BIGINT)"),
        "TRY_CAST({v} AS BIGINT)",
    ),
    Reading(
        "stored number",
        ColumnKind.number,
        "TRY_CAST({v} AS DOUBLE) IS NOT NULL",
        _FINITE.format("{v}"),
    ),
    Reading(
        "stored boolean",
        ColumnKind.boolean,
        "TRY_CAST({v} AS BOOLEAN) IS NOT NULL",
        "TRY_CAST({v} AS BOOLEAN)",
    ),
)
"""Readings of what a typed file, or the user, says is of that type."""
NUMBERS = tuple(r for r in READINGS if r.kind in (ColumnKind.integer, ColumnKind.number))
_DATES = tuple(reading for reading in READINGS if reading.kind is ColumnKind.date)
ALLOWED: dict[ColumnContent, tuple[Reading, ...]] = {
    ColumnContent.anything: READINGS,
    ColumnContent.text: (*NUMBERS, *_DATES),
    ColumnContent.integer: STORED[:1],
    ColumnContent.number: STORED[1:2],
    ColumnContent.boolean: STORED[2:],
    ColumnContent.date: _DATES,
    ColumnContent.mixed: (),
    ColumnContent.nested: (),
}
