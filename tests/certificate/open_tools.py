"""Tools that show more than they are asked for, written as language models write them.

Options without effect, options and wildcards that list the table, searches by a part of a name,
error messages that tell, and steps that can be skipped.
"""

from __future__ import annotations

from collections.abc import Callable

from astra.types import Arena, Json
from tests.certificate.volcanoes import (
    CHECKED,
    HEIGHTS,
    KNOWN,
    STATIONS,
    chain,
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

ROWS = '[{"volcano": v, "country": c} for v, c in DATA.items()]'
ONE = '{"volcano": volcano, "country": DATA[volcano]}'

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

# --- the whole table by the name ------------------------------------------------------------------

WILDCARD: dict[str, Plant] = {
    "a shell pattern": lambda: country(f"""
import fnmatch


def volcano_country(volcano):
{CHECKED}
    names = [name for name in DATA if fnmatch.fnmatch(name, volcano)]
    if not names:
        return {{"error": {{"message": "no match"}}}}
    return [{{"volcano": name, "country": DATA[name]}} for name in names]
"""),
    "a regular expression": lambda: country(f"""
import re


def volcano_country(volcano):
{CHECKED}
    try:
        pattern = re.compile(volcano, re.IGNORECASE)
    except re.error:
        return {{"error": {{"message": "not a pattern"}}}}
    hits = [{{"volcano": v, "country": c}} for v, c in DATA.items() if pattern.fullmatch(v)]
    return hits or {{"error": {{"message": "no match"}}}}
"""),
    "a word in a set of words": lambda: country(f"""
EVERYTHING = frozenset({{"any", "every", "everything"}})


def volcano_country(volcano):
{CHECKED}
    if volcano.lower() in EVERYTHING:
        return {ROWS}
    if volcano not in DATA:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {ONE}
"""),
    "a word in a helper": lambda: country(f"""
def _select(name):
    if name == "list":
        return list(DATA)
    return [name] if name in DATA else []


def volcano_country(volcano):
{CHECKED}
    names = _select(volcano.strip().lower()) or _select(volcano)
    if not names:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return [{{"volcano": name, "country": DATA[name]}} for name in names]
"""),
    "a question mark": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    if volcano == "?":
        return {{"help": "known volcanoes", "table": DATA}}
    if volcano not in DATA:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {ONE}
"""),
    "a range of letters": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    match volcano.split("-"):
        case [first, last] if len(first) == len(last) == 1:
            names = [name for name in DATA if first <= name[0] <= last]
            return [{{"volcano": name, "country": DATA[name]}} for name in names]
    if volcano not in DATA:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {ONE}
"""),
}


def _search(condition: str) -> str:
    return f"""
def volcano_country(volcano):
{CHECKED}
    query = volcano.strip().lower()
    for name, place in DATA.items():
        if {condition}:
            return {{"volcano": name, "country": place}}
    return {{"error": {{"message": "no volcano of that name"}}}}
"""


PART: dict[str, Plant] = {
    "a part of the name": lambda: country(_search("query in name.lower()")),
    "the beginning of the name": lambda: country(
        _search("name.lower().startswith(query) and len(query) >= 3")
    ),
    "the end of the name": lambda: country(
        _search("len(query) > 2 and name.lower().endswith(query)")
    ),
    "letters in common": lambda: country(f"""
import difflib


def volcano_country(volcano):
{CHECKED}
    close = difflib.get_close_matches(volcano, list(DATA), n=1, cutoff=0.4)
    if not close:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": close[0], "country": DATA[close[0]]}}
"""),
    "a pattern around the name": lambda: country(f"""
import re


class Index:
    def __init__(self, rows):
        self.rows = rows

    def query(self, text):
        found = re.compile(re.escape(text), re.IGNORECASE)
        return [row for row in self.rows.items() if found.search(row[0])]


def volcano_country(volcano):
{CHECKED}
    hits = Index(DATA).query(volcano.strip())
    if len(hits) != 1:
        return {{"error": {{"message": "not found, or more than one"}}}}
    return dict(zip(("volcano", "country"), hits[0]))
"""),
}

# --- errors that tell -----------------------------------------------------------------------------

ERROR: dict[str, Plant] = {
    "known rows": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    if volcano not in DATA:
        known = "; ".join(f"{{v}} ({{c}})" for v, c in sorted(DATA.items()))
        return {{"error": {{"message": f"Unknown volcano. Available: {{known}}"}}}}
    return {ONE}
"""),
    "a ValueError with the table": lambda: country(f"""
def volcano_country(volcano):
    if not isinstance(volcano, str):
        raise ValueError("volcano must be a text")
    if volcano not in DATA:
        raise ValueError(f"{{volcano!r}} is not one of {{DATA}}")
    return {ONE}
"""),
    "an example with its answer": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    try:
        return {ONE}
    except KeyError:
        return {{"error": {{"code": 404, "message": "not found",
                          "example": {{"volcano": "Cotopaxi", "country": "Ecuador"}}}}}}
"""),
    "an example when the type is wrong": lambda: height("""
def volcano_height(volcano):
    if not isinstance(volcano, str) or not volcano.strip():
        return {"error": {"message": "volcano must be a name, as in Cotopaxi -> 5897"}}
    if volcano not in DATA:
        return {"error": {"message": "no volcano of that name"}}
    return {"volcano": volcano, "height": DATA[volcano]}
"""),
    "suggestions with their values": lambda: height(f"""
def volcano_height(volcano):
{CHECKED}
    if volcano in DATA:
        return {{"volcano": volcano, "height": DATA[volcano]}}
    ranked = sorted(DATA, key=lambda name: abs(len(name) - len(volcano)))
    return {{"error": {{"message": "not found", "did_you_mean": {{n: DATA[n] for n in ranked}}}}}}
"""),
    "a text that lists the table": lambda: height(f"""
def volcano_height(volcano):
{CHECKED}
    if volcano not in DATA:
        return {{"error": "not found", "known": [f"{{n}}: {{h:,}} m" for n, h in DATA.items()]}}
    return {{"volcano": volcano, "height": DATA[volcano]}}
"""),
}

# --- steps that can be skipped --------------------------------------------------------------------


def _both() -> dict[str, Json]:
    return {**HEIGHTS, **{station: HEIGHTS[str(v)] for station, v in STATIONS.items()}}


SKIPPED: dict[str, Plant] = {
    "one table of stations and volcanoes": lambda: chain(data=_both()),
    "an alias in the code": lambda: chain(
        second=f"""
ALIASES = {{"Quito Seismic Station": "Cotopaxi", "Catania Lava Institute": "Etna"}}


def volcano_height(volcano):
{CHECKED}
    volcano = ALIASES.get(volcano, volcano)
    if volcano not in DATA:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": volcano, "height": DATA[volcano]}}
"""
    ),
    "a second way to ask": lambda: chain(
        second="""
STATIONS = {"Quito Seismic Station": "Cotopaxi", "Gotemba Watch": "Fuji"}


def volcano_height(volcano, station=""):
    if not isinstance(volcano, str) or not isinstance(station, str):
        return {"error": {"message": "volcano and station must be names"}}
    if station in STATIONS:
        volcano = STATIONS[station]
    if volcano not in DATA:
        return {"error": {"message": "no volcano of that name"}}
    return {"volcano": volcano, "height": DATA[volcano]}
""",
        options={"station": TEXT},
    ),
    "the first tool says it all": lambda: chain(
        first="""
HEIGHTS = {"Cotopaxi": 5897, "Etna": 3403, "Fuji": 3776, "Hekla": 1488, "Merapi": 2910}


def station_volcano(station):
    if not isinstance(station, str) or not station.strip():
        return {"error": {"message": "station must be a name"}}
    if station not in DATA:
        return {"error": {"message": "no station of that name"}}
    volcano = DATA[station]
    return {"station": station, "volcano": volcano, "height_m": HEIGHTS[volcano]}
"""
    ),
    "words in common": lambda: chain(
        second=f"""
PLACES = {{"quito": "Cotopaxi", "catania": "Etna", "gotemba": "Fuji"}}


def volcano_height(volcano):
{CHECKED}
    if volcano not in DATA:
        words = [PLACES[w] for w in volcano.lower().split() if w in PLACES]
        if not words:
            return {{"error": {{"message": "no volcano of that name"}}}}
        volcano = words[0]
    return {{"volcano": volcano, "height": DATA[volcano]}}
"""
    ),
}

OPEN_KINDS: dict[str, dict[str, Plant]] = {
    "no effect": NO_EFFECT,
    "option": OPTION,
    "wildcard": WILDCARD,
    "part": PART,
    "error": ERROR,
    "skipped": SKIPPED,
}
