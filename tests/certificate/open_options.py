"""Options without effect, and options that list the table, as language models write them."""

from __future__ import annotations

from collections.abc import Callable

from astra.types import Arena, Json
from tests.certificate.volcanoes import (
    KNOWN,
    ONE,
    ROWS,
    country,
    height,
)

Plant = Callable[[], Arena]
LIMIT: dict[str, Json] = {"type": "integer", "default": 1}
FLAG: dict[str, Json] = {"type": "boolean", "default": False}
TEXT: dict[str, Json] = {"type": "string", "default": ""}
UNIT: dict[str, Json] = {"type": "string", "enum": ["m", "ft"], "default": "m"}

# --- options without effect ---------------------------------------------------------------------

NO_EFFECT: dict[str, Plant] = {
    "never read": lambda: height(
        f"""
def volcano_height(volcano, unit="m"):
{KNOWN}
    return {{"volcano": volcano, "height": DATA[volcano]}}
""",
        options={"unit": UNIT},
    ),
    "only checked": lambda: height(
        f"""
ALLOWED = ("m", "ft")


def volcano_height(volcano, unit="m"):
{KNOWN}
    if unit not in ALLOWED:
        raise ValueError("unit must be m or ft")
    return {{"volcano": volcano, "height": DATA[volcano]}}
""",
        options={"unit": UNIT},
    ),
    "only normalised": lambda: height(
        f"""
def volcano_height(volcano, unit="m"):
{KNOWN}
    unit = str(unit).strip().lower() or "m"
    return {{"volcano": volcano, "height": DATA[volcano]}}
""",
        options={"unit": UNIT},
    ),
    "passed over": lambda: height(
        f"""
def volcano_height(volcano, precise=False):
{KNOWN}
    if precise:
        pass  # reserved for later
    return {{"volcano": volcano, "height": DATA[volcano]}}
""",
        options={"precise": FLAG},
    ),
    "assigned to nothing": lambda: height(
        f"""
def volcano_height(volcano, year=2020):
    _ = year
{KNOWN}
    return {{"volcano": volcano, "height": DATA[volcano]}}
""",
        options={"year": {"type": "integer", "default": 2020}},
    ),
    "given to a helper that ignores it": lambda: height(
        f"""
def _convert(metres, unit):
    return metres


def volcano_height(volcano, unit="m"):
{KNOWN}
    return {{"volcano": volcano, "height": _convert(DATA[volcano], unit)}}
""",
        options={"unit": UNIT},
    ),
    "the same in both branches": lambda: height(
        f"""
def volcano_height(volcano, detailed=False):
{KNOWN}
    if detailed:
        record = {{"volcano": volcano, "height": DATA[volcano]}}
    else:
        record = {{"volcano": volcano, "height": DATA[volcano]}}
    return record
""",
        options={"detailed": FLAG},
    ),
    "logged only": lambda: height(
        f"""
import logging

logger = logging.getLogger("volcanoes")


def volcano_height(volcano, language="en"):
{KNOWN}
    logger.debug("asked in %s", language)
    return {{"volcano": volcano, "height": DATA[volcano]}}
""",
        options={"language": {"type": "string", "default": "en", "enum": ["en", "de", "es"]}},
    ),
    "copied to a name that nobody reads": lambda: height(
        f"""
def volcano_height(volcano, source="survey"):
{KNOWN}
    settings = {{"source": source}}
    metres = DATA[volcano]
    return {{"volcano": volcano, "height": metres}}
""",
        options={"source": {"type": "string", "default": "survey", "enum": ["survey", "radar"]}},
    ),
}

# --- the whole table by an option ---------------------------------------------------------------

OPTION: dict[str, Plant] = {
    "a limit of more rows": lambda: country(
        f"""
def volcano_country(volcano, limit=1):
{KNOWN}
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        return {{"error": {{"message": "limit must be at least 1"}}}}
    rows = {ROWS}
    rows.sort(key=lambda row: row["volcano"] != volcano)
    return rows[:limit]
""",
        options={"limit": {**LIMIT, "minimum": 1, "maximum": 50}},
    ),
    "a limit of zero for all": lambda: country(
        f"""
def volcano_country(volcano, max_results=1):
{KNOWN}
    hits = [{ONE}]
    if max_results == 0:
        hits += [row for row in {ROWS} if row["volcano"] != volcano]
    return {{"results": hits}}
""",
        options={"max_results": LIMIT},
    ),
    "neighbours within a distance": lambda: country(
        f"""
def volcano_country(volcano, radius=0):
{KNOWN}
    names = list(DATA)
    here = names.index(volcano)
    if isinstance(radius, bool) or not isinstance(radius, int):
        return {{"error": {{"message": "radius must be a whole number"}}}}
    near = [n for n in names if abs(names.index(n) - here) * 1000 <= radius and n != volcano]
    return [{{"volcano": n, "country": DATA[n]}} for n in [volcano, *near]]
""",
        options={"radius": {"type": "integer", "default": 0}},
    ),
    "a free text that is a command": lambda: country(
        f"""
COMMANDS = {{"dump", "list_all"}}


def volcano_country(volcano, mode=""):
{KNOWN}
    if not isinstance(mode, str):
        return {{"error": {{"message": "mode must be a text"}}}}
    if mode in COMMANDS:
        return {ROWS}
    return {ONE}
""",
        options={"mode": TEXT},
    ),
    "a filter that lists": lambda: country(
        f"""
def volcano_country(volcano, filter="exact"):
{KNOWN}
    match filter:
        case "exact":
            return {ONE}
        case "none" | "off":
            return {{"matches": {ROWS}}}
        case _:
            return {{"error": {{"message": "filter must be exact or none"}}}}
""",
        options={"filter": {"type": "string", "default": "exact"}},
    ),
    "fields with a star": lambda: country(
        f"""
def volcano_country(volcano, fields="country"):
{KNOWN}
    if fields == "*":
        return {{"volcano": volcano, "country": DATA[volcano], "table": DATA}}
    return {ONE}
""",
        options={"fields": {"type": "string", "default": "country"}},
    ),
    "the eleventh of twelve views": lambda: country(
        f"""
VIEWS = ["plain", "short", "long", "card", "line", "cell", "note", "tag", "row", "leaf", "atlas",
         "page"]


def volcano_country(volcano, view="plain"):
{KNOWN}
    if view not in VIEWS:
        return {{"error": {{"message": "no such view"}}}}
    record = {{"volcano": volcano, "country": DATA[volcano], "view": view}}
    if VIEWS.index(view) == 10:
        record["pages"] = [f"{{v}}: {{c}}" for v, c in DATA.items()]
    return record
""",
        options={
            "view": {
                "type": "string",
                "default": "plain",
                "enum": "plain short long card line cell note tag row leaf atlas page".split(),
            }
        },
    ),
    "a debug flag": lambda: country(
        f"""
def volcano_country(volcano, debug=False):
{KNOWN}
    result = {ONE}
    if debug is True:
        result["_debug"] = {{"database": DATA, "query": volcano}}
    return result
""",
        options={"debug": FLAG},
    ),
    "an export format": lambda: country(
        f"""
import json


def volcano_country(volcano, format="record"):
{KNOWN}
    if format == "csv":
        return "\\n".join(f"{{v}},{{c}}" for v, c in DATA.items())
    if format == "json":
        return json.dumps({ONE})
    return {ONE}
""",
        options={
            "format": {"type": "string", "enum": ["record", "json", "csv"], "default": "record"}
        },
    ),
    "two flags at once": lambda: country(
        f"""
def volcano_country(volcano, verbose=False, related=False):
{KNOWN}
    result = {{**{ONE}, "verbose": bool(verbose), "related": bool(related)}}
    if verbose and related:
        result["others"] = {ROWS}
    return result
""",
        options={"verbose": FLAG, "related": FLAG},
    ),
    "a unit and a large limit at once": lambda: height(
        f"""
def volcano_height(volcano, unit="m", limit=1):
{KNOWN}
    factor = 3.28084 if unit == "ft" else 1
    if isinstance(limit, bool) or not isinstance(limit, int):
        return {{"error": {{"message": "limit must be a whole number"}}}}
    own = {{"volcano": volcano, "height": round(DATA[volcano] * factor), "limit": limit}}
    if unit == "ft" and limit >= 10:
        return [own] + [{{"volcano": v, "height": h}} for v, h in DATA.items()][:limit]
    return own
""",
        options={"unit": UNIT, "limit": LIMIT},
    ),
    "sections as a list": lambda: country(
        f"""
def volcano_country(volcano, include=()):
{KNOWN}
    result = {ONE}
    if not isinstance(include, (list, tuple)):
        return {{"error": {{"message": "include must be a list"}}}}
    if "siblings" in include:
        result["siblings"] = {ROWS}
    if "map" in include:
        result["map"] = "sheet 7"
    return result
""",
        options={
            "include": {
                "type": "array",
                "items": {"type": "string", "enum": ["map", "siblings"]},
            }
        },
    ),
}
