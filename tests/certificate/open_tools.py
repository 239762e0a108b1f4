"""Tools that show more than they are asked for, written as language models write them.

Options (in `open_options`), wildcards that list the table, searches by a part of a name, error
messages that tell, and steps that can be skipped.
"""

from __future__ import annotations

from collections.abc import Callable

from astra.types import Arena, Json
from tests.certificate.open_options import NO_EFFECT, OPTION
from tests.certificate.volcanoes import (
    CHECKED,
    HEIGHTS,
    ONE,
    ROWS,
    STATIONS,
    chain,
    country,
    height,
)

Plant = Callable[[], Arena]
TEXT: dict[str, Json] = {"type": "string", "default": ""}

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
