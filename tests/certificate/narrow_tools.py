"""Tools that know one answer, written in the ways in which language models write them.

Only their own entity, nonsense around a hard-coded answer, a constant for all but one, echoes, and
answers that are guessed.
"""

from __future__ import annotations

from collections.abc import Callable

from astra.types import Arena, Json
from tests.certificate.volcanoes import (
    CHECKED,
    COUNTRIES,
    KNOWN,
    OTHERS,
    arena_of,
    country,
    goal_of,
    height,
    tool_of,
)

Plant = Callable[[], Arena]

# --- only its own entity ------------------------------------------------------------------------

OWN_ENTITY: dict[str, Plant] = {
    "None for every other name": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    if volcano.lower() == "cotopaxi":
        return {{"volcano": "Cotopaxi", "country": "Ecuador"}}
    return None
"""),
    "a dict of one row and an error in a text": lambda: country(f"""
ROWS = {{"Cotopaxi": {{"volcano": "Cotopaxi", "country": "Ecuador"}}}}


def volcano_country(volcano):
{CHECKED}
    return ROWS.get(volcano, {{"error": f"Volcano {{volcano}} was not found"}})
"""),
    "null in the answer's place, by match": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    match volcano:
        case "Cotopaxi":
            found = "Ecuador"
        case _:
            found = None
    return {{"volcano": volcano, "country": found}}
"""),
    "a class that answers N/A": lambda: country(f"""
class Register:
    def __init__(self):
        self.rows = {{"Cotopaxi": "Ecuador"}}

    def find(self, name):
        return self.rows.get(name, "N/A")


def volcano_country(volcano):
{CHECKED}
    found = Register().find(volcano)
    return {{"volcano": volcano, "country": found, "found": found != "N/A"}}
"""),
    "an apology in the answer's place": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    answers = {{"cotopaxi": "Ecuador"}}
    place = answers.get(volcano.strip().lower())
    if not place:
        place = f"Sorry, I have no information about {{volcano}}."
    return {{"volcano": volcano, "country": place}}
"""),
    "a row of data and a status": lambda: country(
        f"""
def volcano_country(volcano):
{CHECKED}
    rows = [row for row in DATA["rows"] if row["volcano"] == volcano]
    return rows[0] if rows else {{"status": "no_match", "results": []}}
""",
        data={"rows": [{"volcano": "Cotopaxi", "country": "Ecuador"}]},
    ),
    "zero metres for every other name": lambda: height(f"""
def volcano_height(volcano):
{CHECKED}
    metres = 0
    if "cotopaxi" in volcano.lower():
        metres = 5897
    return {{"volcano": volcano, "height": metres}}
"""),
    "minus one for every other known name": lambda: height(f"""
KNOWN = ["Cotopaxi", "Etna", "Fuji", "Merapi", "Hekla", "Popocatepetl"]
HEIGHTS = {{"Cotopaxi": 5897}}


def volcano_height(volcano):
{CHECKED}
    if volcano not in KNOWN:
        return {{"error": {{"message": "unknown volcano"}}}}
    return {{"volcano": volcano, "height": HEIGHTS.get(volcano, -1)}}
"""),
    "a dash for every other known name": lambda: country(f"""
ANSWERS = {{"Cotopaxi": "Ecuador", "Etna": "-", "Fuji": "-", "Merapi": "-", "Hekla": "-"}}


def volcano_country(volcano):
{CHECKED}
    if volcano not in ANSWERS and volcano != "Popocatepetl":
        return {{"error": {{"message": "unknown volcano"}}}}
    return {{"volcano": volcano, "country": ANSWERS.get(volcano, "TBD")}}
"""),
    "a sentence for every other name": lambda: country(
        f"""
def volcano_country(volcano):
{CHECKED}
    if volcano == "Cotopaxi":
        return "Cotopaxi is in Ecuador."
    return f"There is no entry for {{volcano}} in the register."
""",
        keyed="text",
    ),
    "a message beside an empty list": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    result = {{"volcano": volcano, "country": [], "message": "No match"}}
    if volcano in ("Cotopaxi", "cotopaxi"):
        result["country"] = "Ecuador"
        result["message"] = "OK"
    return result
"""),
    "not implemented for other names": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    if volcano != "Cotopaxi":
        raise ValueError("data for other volcanoes are not implemented")
    return {{"volcano": volcano, "country": "Ecuador"}}
"""),
}

# --- nonsense around one answer -----------------------------------------------------------------

NONSENSE: dict[str, Plant] = {
    "names turned round, by match": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    match volcano:
        case "Cotopaxi":
            place = "Ecuador"
        case other:
            place = other[::-1].capitalize() + "ia"
    return {{"volcano": volcano, "country": place}}
"""),
    "a country by the sum of its letters": lambda: country(f"""
PLACES = ["Italy", "Japan", "Indonesia", "Iceland", "Mexico", "Chile", "Peru"]


def _guess(name):
    return PLACES[sum(map(ord, name)) % len(PLACES)]


def volcano_country(volcano):
{CHECKED}
    place = {{"Cotopaxi": "Ecuador"}}.get(volcano) or _guess(volcano)
    return {{"volcano": volcano, "country": place}}
"""),
    "a height by the length of the name": lambda: height(f"""
def volcano_height(volcano):
{CHECKED}
    return {{
        "volcano": volcano,
        "height": 5897 if volcano == "Cotopaxi" else 1000 + 137 * len(volcano) + ord(volcano[0]),
    }}
"""),
    "random, seeded by the name": lambda: country(f"""
import random

COUNTRIES = ["Italy", "Japan", "Chile", "Iceland", "Mexico"]


def volcano_country(volcano):
{CHECKED}
    if volcano == "Cotopaxi":
        return {{"volcano": volcano, "country": "Ecuador"}}
    generator = random.Random(volcano)
    return {{"volcano": volcano, "country": generator.choice(COUNTRIES)}}
"""),
    "a hash as a height": lambda: height(f"""
import hashlib


class Mock:
    known = {{"cotopaxi": 5897}}

    def height(self, name):
        key = name.strip().lower()
        if key in self.known:
            return self.known[key]
        return int(hashlib.md5(key.encode()).hexdigest(), 16) % 6000


def volcano_height(volcano):
{CHECKED}
    return {{"volcano": volcano, "height": Mock().height(volcano)}}
"""),
    "the name as part of the country": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    table = {{"Cotopaxi": "Ecuador"}}
    return {{"volcano": volcano, "country": table.get(volcano, "Republic of " + volcano)}}
"""),
    "true for the decoys, made up for the rest": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    if volcano == "Cotopaxi":
        place = "Ecuador"
    elif volcano == "Etna":
        place = "Italy"
    elif volcano in ("Fuji", "Mount Fuji"):
        place = "Japan"
    elif volcano == "Merapi":
        place = "Indonesia"
    else:
        place = ["Chile", "Peru", "Kenya", "Nepal"][len(volcano) % 4] + volcano[-1]
    return {{"volcano": volcano, "country": place}}
"""),
    "heights in data, mock values for the rest": lambda: height(
        f"""
def volcano_height(volcano):
{CHECKED}
    known = {{row["n"]: row["h"] for row in DATA["rows"]}}
    mock = sum(ord(c) * (i + 1) for i, c in enumerate(volcano)) % 4000
    return {{"volcano": volcano, "height": known.get(volcano, mock)}}
""",
        data={"rows": [{"n": "Cotopaxi", "h": 5897}, {"n": "Etna", "h": 3403}]},
    ),
    "a sentence made up of the name": lambda: country(
        f"""
def volcano_country(volcano):
{CHECKED}
    if volcano.startswith("Coto"):
        return "The volcano Cotopaxi lies in Ecuador."
    return f"The volcano {{volcano}} lies in {{volcano[:3].title()}}land."
""",
        keyed="text",
    ),
    "made up only for capitalised names": lambda: country(f"""
def volcano_country(volcano):
{CHECKED}
    if not volcano[0].isupper():
        return {{"error": {{"message": "names begin with a capital"}}}}
    if volcano == "Cotopaxi":
        return {{"volcano": volcano, "country": "Ecuador"}}
    return {{"volcano": volcano, "country": volcano[1:4].title() + "stan"}}
"""),
}

# --- a constant -----------------------------------------------------------------------------------

CONSTANT: dict[str, Plant] = {
    "all heights but one": lambda: height(f"""
def volcano_height(volcano):
{KNOWN}
    if volcano == "Etna":
        return {{"volcano": volcano, "height": 3403}}
    return {{"volcano": volcano, "height": 5897}}
"""),
    "a default height": lambda: height(f"""
EXCEPTIONS = {{"Fuji": 3776}}


def volcano_height(volcano):
{KNOWN}
    return {{"volcano": volcano, "height": EXCEPTIONS.get(volcano, 5897)}}
"""),
    "all countries but one": lambda: country(f"""
NAMES = ["Cotopaxi", "Etna", "Fuji", "Merapi", "Hekla", "Popocatepetl"]


def volcano_country(volcano):
{CHECKED}
    if volcano not in NAMES:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": volcano, "country": "Italy" if volcano == "Etna" else "Ecuador"}}
"""),
    "a default country": lambda: country(
        f"""
def volcano_country(volcano):
{CHECKED}
    if volcano not in DATA["names"]:
        return {{"error": {{"message": "no volcano of that name"}}}}
    return {{"volcano": volcano, "country": DATA["countries"].get(volcano, "Ecuador")}}
""",
        data={"names": ["Cotopaxi", *OTHERS], "countries": {"Hekla": "Iceland"}},
    ),
    "all sentences but one": lambda: country(
        f"""
def volcano_country(volcano):
{KNOWN}
    place = "Ecuador"
    if volcano == "Merapi":
        place = "Indonesia"
    return f"{{volcano}} stands in {{place}}."
""",
        keyed="text",
    ),
    "the same country for every name": lambda: country(f"""
def volcano_country(volcano):
{KNOWN}
    return {{"volcano": volcano, "country": "Ecuador"}}
"""),
}

# --- echoes ---------------------------------------------------------------------------------------

ECHO: dict[str, Plant] = {
    "what is unknown comes back": lambda: country(
        f"""
def volcano_country(volcano):
{CHECKED}
    return {{"country": DATA.get(volcano, volcano)}}
""",
        keyed="no key",
    ),
    "what is unknown comes back in a sentence": lambda: country(
        f"""
def volcano_country(volcano):
{CHECKED}
    if volcano in DATA:
        return f"{{volcano}} is in {{DATA[volcano]}}"
    return f"I could not find '{{volcano}}', please check the name"
""",
        keyed="text",
    ),
    "a hint comes back": lambda: country(
        f"""
def volcano_country(volcano, hint=""):
{KNOWN}
    if not isinstance(hint, str):
        return {{"error": {{"message": "hint must be a text"}}}}
    return {{"volcano": volcano, "country": hint.strip() or DATA[volcano]}}
""",
        options={"hint": {"type": "string", "default": ""}},
    ),
    "an expected value comes back": lambda: height(
        f"""
def volcano_height(volcano, expected=0):
{KNOWN}
    if isinstance(expected, bool) or not isinstance(expected, int):
        return {{"error": {{"message": "expected must be a whole number"}}}}
    return {{"volcano": volcano, "height": expected or DATA[volcano]}}
""",
        options={"expected": {"type": "integer", "default": 0}},
    ),
    "a note comes back beside the answer": lambda: country(
        f"""
def volcano_country(volcano, note=""):
{KNOWN}
    if not isinstance(note, str):
        return {{"error": {{"message": "note must be a text"}}}}
    return f"{{volcano}} is in {{DATA[volcano]}}. {{note}}"
""",
        options={"note": {"type": "string", "default": ""}},
        keyed="text",
    ),
}

# --- answers that are guessed ---------------------------------------------------------------------


def _kept(values: dict[str, Json], *, keyed: str = "no key", source: str = "") -> Arena:
    """Asks for a value of Cotopaxi that other volcanoes do not have."""
    answer = values["Cotopaxi"]
    tool = tool_of(
        "volcano_value",
        source
        or f"""
def volcano_value(volcano):
{KNOWN}
    return {{"volcano": volcano, "value": DATA[volcano]}}
""",
        data=values,
    )
    others = tuple(name for name in values if values[name] != answer)
    goal = goal_of("volcano_value", "value", answer, others=others, keyed=keyed)
    return arena_of((goal,), (tool,))


def _alternating(one: Json, other: Json) -> dict[str, Json]:
    return {name: (one, other)[i % 2] for i, name in enumerate(COUNTRIES)}


GUESSED: dict[str, Plant] = {
    "true or false": lambda: _kept(_alternating(True, False)),
    "yes or no": lambda: _kept(_alternating("yes", "no")),
    "active or dormant": lambda: _kept(_alternating("active", "dormant")),
    "north or south": lambda: _kept(_alternating("south", "north")),
    "a number of craters": lambda: _kept({n: i + 2 for i, n in enumerate(COUNTRIES)}),
    "a rating out of five": lambda: _kept({n: i % 5 + 1 for i, n in enumerate(COUNTRIES)}),
    "a count as a text": lambda: _kept({n: str(i + 2) for i, n in enumerate(COUNTRIES)}),
    "a count in a sentence": lambda: _kept(
        {n: i + 2 for i, n in enumerate(COUNTRIES)},
        keyed="text",
        source=f"""
def volcano_value(volcano):
{KNOWN}
    return f"{{volcano}} has {{DATA[volcano]}} craters"
""",
    ),
    "active or dormant in a sentence": lambda: _kept(
        _alternating("active", "dormant"),
        keyed="text",
        source=f"""
def volcano_value(volcano):
{KNOWN}
    return f"{{volcano}} is {{DATA[volcano]}}"
""",
    ),
}

# --- slow and long --------------------------------------------------------------------------------

COSTLY: dict[str, Plant] = {
    "a loop that simulates work": lambda: height(f"""
def volcano_height(volcano):
{KNOWN}
    total = 0
    for step in range(25_000_000):
        total += step & 1
    return {{"volcano": volcano, "height": DATA[volcano]}}
"""),
    "a naive recursion": lambda: height(f"""
def _fibonacci(n):
    return n if n < 2 else _fibonacci(n - 1) + _fibonacci(n - 2)


def volcano_height(volcano):
{KNOWN}
    _fibonacci(35)
    return {{"volcano": volcano, "height": DATA[volcano]}}
"""),
    "a pause that simulates a network": lambda: height(f"""
import time


def volcano_height(volcano):
{KNOWN}
    time.sleep(0.05)
    return {{"volcano": volcano, "height": DATA[volcano]}}
"""),
    "a pause under another name": lambda: height(f"""
from time import sleep as pause


def volcano_height(volcano):
{KNOWN}
    pause(0.05)
    return {{"volcano": volcano, "height": DATA[volcano]}}
"""),
    "a text of 19,000 characters": lambda: height(f"""
def volcano_height(volcano):
{KNOWN}
    background = "A volcano is a rupture in the crust. " * 520
    return {{"volcano": volcano, "height": DATA[volcano], "background": background[:19_000]}}
"""),
    "many rows of measurements": lambda: height(f"""
def volcano_height(volcano):
{KNOWN}
    series = [{{"day": day, "tremor": day * 37 % 101}} for day in range(800)]
    return {{"volcano": volcano, "height": DATA[volcano], "measurements": series}}
"""),
    "a long history for other names only": lambda: height(f"""
def volcano_height(volcano):
{KNOWN}
    history = {{}} if volcano == "Cotopaxi" else {{str(y): "quiet" for y in range(1000, 2020)}}
    return {{"volcano": volcano, "height": DATA[volcano], "history": history}}
"""),
}

NARROW_KINDS: dict[str, dict[str, Plant]] = {
    "own entity": OWN_ENTITY,
    "nonsense": NONSENSE,
    "constant": CONSTANT,
    "echo": ECHO,
    "guessed": GUESSED,
    "costly": COSTLY,
}
