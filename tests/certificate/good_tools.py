"""Good arenas that look like defective ones: none of them may be refused."""

from __future__ import annotations

from collections.abc import Callable

from astra.types import Arena, Json
from tests.certificate.good_values import ODD, OPTIONS
from tests.certificate.volcanoes import (
    CHECKED,
    COUNTRIES,
    HEIGHTS,
    HONEST_COUNTRY,
    HONEST_HEIGHT,
    KNOWN,
    OTHERS,
    STATIONS,
    chain,
    country,
    height,
)

Plant = Callable[[], Arena]
LIMIT: dict[str, Json] = {"type": "integer", "default": 3, "minimum": 1, "maximum": 20}

# --- searches, errors, other names ----------------------------------------------------------------

SEARCHES: dict[str, Plant] = {
    "a search by words, with pages": lambda: country(
        f"""
def volcano_country(volcano, page=1, limit=3):
{CHECKED}
    for number in (page, limit):
        if type(number) is not int or not 1 <= number <= 20:
            return {{"error": {{"message": "page and limit must be from 1 to 20"}}}}
    words = volcano.casefold().split()
    hits = [name for name in DATA if all(w in name.casefold().split() for w in words)]
    if not hits:
        return {{"error": {{"message": "no volcano has these words in its name"}}}}
    rows = hits[(page - 1) * limit : page * limit]
    return {{
        "total": len(hits),
        "page": page,
        "limit": limit,
        "results": [{{"volcano": n, "country": DATA[n]}} for n in rows],
    }}
""",
        options={
            "page": {"type": "integer", "default": 1, "minimum": 1, "maximum": 20},
            "limit": LIMIT,
        },
    ),
    "a slip of the pen is borne": lambda: country(f"""
import difflib


def volcano_country(volcano):
{CHECKED}
    close = difflib.get_close_matches(volcano.strip().title(), list(DATA), n=1, cutoff=0.85)
    if not close:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": close[0], "country": DATA[close[0]]}}
"""),
    "another name": lambda: country(f"""
ALIASES = {{"Mongibello": "Etna", "Fujiyama": "Fuji", "Neck of the Moon": "Cotopaxi"}}


def volcano_country(volcano):
{CHECKED}
    if volcano in ALIASES:
        volcano = ALIASES[volcano]
    if volcano not in DATA:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": volcano, "country": DATA[volcano]}}
"""),
    "a name with or without its title": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    name = volcano.strip().removeprefix("Mount ").removeprefix("Volcan ")
    if name not in DATA:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": name, "country": DATA[name]}}
"""),
    "an error that lists the names": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    if volcano not in DATA:
        names = ", ".join(sorted(DATA))
        return {{"error": {{"message": f"unknown volcano; known are {{names}}"}}}}
    return {{"volcano": volcano, "country": DATA[volcano]}}
"""),
    "an error that lists the choices": lambda: height(
        f"""
def volcano_height(volcano, unit="m"):
{KNOWN}
    if unit not in ("m", "ft"):
        return {{"error": {{"message": f"unit {{unit!r}} is not one of m, ft"}}}}
    factor = 1 if unit == "m" else 3.281
    return {{"volcano": volcano, "height": round(DATA[volcano] * factor)}}
""",
        options={"unit": {"type": "string", "default": "m"}},
    ),
    "an error that repeats the argument": lambda: height("""
def volcano_height(volcano):
    if not isinstance(volcano, str):
        raise ValueError("volcano must be a text")
    if volcano not in DATA:
        raise ValueError(f"no volcano is called {volcano!r}")
    return {"volcano": volcano, "height": DATA[volcano]}
"""),
    "not every name is held": lambda: country(
        HONEST_COUNTRY,
        data={k: v for k, v in COUNTRIES.items() if k not in ("Fuji", "Hekla", "Merapi")},
    ),
    "a value is missing for some": lambda: height(
        f"""
def volcano_height(volcano):
{KNOWN}
    return {{"volcano": volcano, "height": DATA[volcano]}}
""",
        data={**HEIGHTS, "Fuji": None, "Hekla": None},
    ),
}

# --- tables in code, groups, chains ---------------------------------------------------------------

TABLES: dict[str, Plant] = {
    "a table in the code": lambda: country(f"""
TABLE = {{
    "Cotopaxi": "Ecuador", "Etna": "Italy", "Fuji": "Japan", "Merapi": "Indonesia",
    "Hekla": "Iceland", "Popocatepetl": "Mexico",
}}


def volcano_country(volcano):
{CHECKED}
    place = TABLE.get(volcano.strip().title())
    if place is None:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": volcano, "country": place}}
"""),
    "a match statement for each": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    match volcano:
        case "Cotopaxi":
            place = "Ecuador"
        case "Etna" | "Vesuvius":
            place = "Italy"
        case "Fuji":
            place = "Japan"
        case "Merapi":
            place = "Indonesia"
        case "Hekla":
            place = "Iceland"
        case _:
            return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": volcano, "country": place}}
"""),
    "a class with rows": lambda: height(
        f"""
from dataclasses import dataclass


@dataclass
class Row:
    name: str
    metres: int


class Table:
    def __init__(self, rows):
        self.rows = {{name: Row(name, metres) for name, metres in rows}}


def volcano_height(volcano):
{CHECKED}
    row = Table(DATA["rows"]).rows.get(volcano)
    if row is None:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": row.name, "height": row.metres}}
""",
        data={"rows": [[name, metres] for name, metres in HEIGHTS.items()]},
    ),
    "groups of names": lambda: country(f"""
GROUPS = {{
    "Ecuador": ["Cotopaxi", "Etna", "Fuji", "Merapi"],
    "Chile": ["Hekla", "Villarrica"],
    "Peru": ["Popocatepetl", "Misti"],
}}


def volcano_country(volcano):
{CHECKED}
    for place, names in GROUPS.items():
        if volcano in names:
            return {{"volcano": volcano, "country": place}}
    return {{"error": {{"message": "no volcano of that name"}}}}
"""),
    "a column that is mostly the same": lambda: country(
        HONEST_COUNTRY,
        data={**dict.fromkeys(("Cotopaxi", *OTHERS), "Ecuador"), "Hekla": "Iceland"},
    ),
    "two values beside a key": lambda: country(
        HONEST_COUNTRY,
        data={n: "Ecuador" if n in ("Cotopaxi", "Fuji") else "Peru" for n in COUNTRIES},
    ),
    "a small count beside a key": lambda: height(
        HONEST_HEIGHT, data={name: i + 3 for i, name in enumerate(HEIGHTS)}, answer=3
    ),
    "zero for many": lambda: height(
        HONEST_HEIGHT,
        data={name: 4 if name == "Cotopaxi" else 0 for name in HEIGHTS},
        answer=4,
    ),
    "a sentence": lambda: country(
        f"""
def volcano_country(volcano):
{KNOWN}
    return f"{{volcano}} is a volcano in {{DATA[volcano]}}."
""",
        keyed="text",
    ),
    "a result of some length": lambda: country(f"""
def volcano_country(volcano):
{KNOWN}
    notes = [f"Survey {{year}}: no change." for year in range(1900, 2020)]
    return {{"volcano": volcano, "country": DATA[volcano], "notes": notes}}
"""),
    "a chain": chain,
    "a chain whose first tool says a little more": lambda: chain(
        first="""
def station_volcano(station):
    if not isinstance(station, str) or not station.strip():
        return {"error": {"message": "station must be a name"}}
    if station not in DATA:
        return {"error": {"message": "no station of that name"}}
    return {"station": station, "volcano": DATA[station], "open": True, "founded": 1954}
"""
    ),
    "a chain with names in common": lambda: chain(
        second=f"""
STATIONS = {sorted(STATIONS)!r}


def volcano_height(volcano):
{CHECKED}
    if volcano in STATIONS:
        return {{"error": {{"message": "this is a station, ask for its volcano"}}}}
    if volcano not in DATA:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": volcano, "height": DATA[volcano]}}
"""
    ),
    "a thousand steps of work": lambda: height(f"""
def volcano_height(volcano):
{KNOWN}
    total = sum(ord(c) * i for i, c in enumerate(volcano * 1000))
    return {{"volcano": volcano, "height": DATA[volcano], "checksum": total % 9973}}
"""),
}

GOOD_KINDS: dict[str, dict[str, Plant]] = {
    "odd": ODD,
    "options": OPTIONS,
    "searches": SEARCHES,
    "tables": TABLES,
}
