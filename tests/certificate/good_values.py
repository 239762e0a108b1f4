"""Good arenas that look like defective ones: steps, conversions, numbering and options."""

from __future__ import annotations

from collections.abc import Callable

from astra.types import Arena, Json
from tests.certificate.volcanoes import (
    CHECKED,
    HEIGHTS,
    HONEST_COUNTRY,
    HONEST_HEIGHT,
    KNOWN,
    arena_of,
    country,
    goal_of,
    height,
    tool_of,
)
from tests.support.arenas import changed

Plant = Callable[[], Arena]
UNIT: dict[str, Json] = {"type": "string", "enum": ["m", "ft"], "default": "m"}


def _number(
    source: str,
    answer: Json,
    *,
    asked: Json,
    others: tuple[Json, ...],
    schema: dict[str, Json],
    question: str,
) -> Arena:
    """Asks a keyless function `look_up` of one argument for its `result`."""
    tool = tool_of("look_up", source, parameter="x", description="Reads a printed scale.")
    parameters = {
        **tool.document.parameters,
        "properties": {"x": {"description": "What to look up.", **schema}},
    }
    document = tool.document.model_copy(update={"parameters": parameters})
    goal = goal_of("look_up", "result", answer, parameter="x", keyed="no key", question=question)
    assert goal.call is not None
    goal = goal.model_copy(
        update={
            "call": goal.call.model_copy(update={"arguments": {"x": asked}}),
            "decoys": tuple({"x": other} for other in others),
        }
    )
    return arena_of((goal,), (tool.model_copy(update={"document": document}),))


def _asking(arena: Arena, question: str) -> Arena:
    return changed(arena, question=question)


# --- steps, choices, numbering, conversions -----------------------------------------------------

ODD: dict[str, Plant] = {
    "a step function of a number": lambda: _number(
        """
CLASSES = ((0, 40, "gale"), (40, 80, "storm"), (80, 140, "hurricane"), (140, 400, "extreme"))


def look_up(x):
    if isinstance(x, bool) or not isinstance(x, (int, float)):
        return {"error": {"message": "x must be a speed"}}
    for low, high, name in CLASSES:
        if low <= x < high:
            return {"result": name}
    return {"error": {"message": "x must be between 0 and 400"}}
""",
        "storm",
        asked=55,
        others=(10, 30, 100, 200),
        schema={"type": "number"},
        question="How is wind of 55 knots called?",
    ),
    "a step function of a whole number, by bisection": lambda: _number(
        """
import bisect


def look_up(x):
    if type(x) is not int or not 0 < x < 10_000:
        raise ValueError("x must be a year from 1 to 9999")
    starts, names = [1, 500, 1500, 1800], ["antiquity", "middle", "modern", "recent"]
    return {"result": names[bisect.bisect_right(starts, x) - 1]}
""",
        "middle",
        asked=1066,
        others=(100, 1600, 1950, 2000),
        schema={"type": "integer"},
        question="Which epoch is the year 1066?",
    ),
    "the same answer a day later": lambda: _number(
        """
from datetime import date

TERMS = [("1900-01-01", "Rivera"), ("1925-07-10", "Ayora"), ("1931-08-24", "Alba")]


def look_up(x):
    try:
        day = date.fromisoformat(x)
    except Exception:
        return {"error": {"code": "bad_date", "message": "x must be YYYY-MM-DD"}}
    held = [name for start, name in TERMS if date.fromisoformat(start) <= day]
    if not held or day.year > 1940:
        return {"error": {"code": "not_found", "message": "nobody held the office"}}
    return {"result": held[-1]}
""",
        "Ayora",
        asked="1927-02-03",
        others=("1910-05-05", "1920-01-31", "1932-01-01", "1935-06-06"),
        schema={"type": "string", "format": "date"},
        question="Who held the office on 1927-02-03?",
    ),
    "a question that offers two answers": lambda: _asking(
        country(HONEST_COUNTRY), "Is Cotopaxi in Ecuador or Peru?"
    ),
    "a question that offers two numbers": lambda: _asking(
        height(HONEST_HEIGHT), "How high is Cotopaxi, 5897 or 6120 metres?"
    ),
    "a question that offers three answers": lambda: _asking(
        country(HONEST_COUNTRY), "Which country has Cotopaxi: Chile, Ecuador or Peru?"
    ),
    "a numbered question": lambda: _asking(
        height(HONEST_HEIGHT, data={**HEIGHTS, "Cotopaxi": 2}, answer=2),
        "1. Take Cotopaxi. 2. How many peaks has it?",
    ),
    "a question with steps": lambda: _asking(
        height(HONEST_HEIGHT, data={**HEIGHTS, "Cotopaxi": 2}, answer=2),
        "Step 1: take Cotopaxi. Step 2: how many peaks has it?",
    ),
    "a ValueError on wrong types": lambda: height("""
def volcano_height(volcano):
    if not isinstance(volcano, str):
        raise ValueError(f"volcano must be a text, not {type(volcano).__name__}")
    if volcano not in DATA:
        raise ValueError("no volcano of that name")
    return {"volcano": volcano, "height": DATA[volcano]}
"""),
    "numeric text for an integer": lambda: _number(
        """
def look_up(x):
    try:
        number = int(x)
    except (TypeError, ValueError, OverflowError):
        return {"error": {"message": "x must be a whole number"}}
    if not 0 <= number <= 10_000:
        return {"error": {"message": "x must be from 0 to 10000"}}
    return {"result": number * 271 + 4000}
""",
        61 * 271 + 4000,
        asked=61,
        others=(3, 9, 12, 40),
        schema={"type": "integer"},
        question="Which value has number 61?",
    ),
    "numeric text for a number": lambda: _number(
        """
def look_up(x):
    try:
        number = float(x)
    except (TypeError, ValueError, OverflowError):
        return {"error": {"message": "x must be a number"}}
    if not 0 <= number <= 10_000:
        return {"error": {"message": "x must be from 0 to 10000"}}
    return {"result": round(number * 1.852, 3)}
""",
        113.898,
        asked=61.5,
        others=(3, 9, 12, 40),
        schema={"type": "number"},
        question="How many kilometres are 61.5 nautical miles?",
    ),
    "a function of any text": lambda: _number(
        """
def look_up(x):
    if not isinstance(x, str) or not x.strip():
        return {"error": {"message": "x must be a word"}}
    return {"result": sum((i + 1) * ord(c) for i, c in enumerate(x.casefold())) % 99991}
""",
        sum((i + 1) * ord(c) for i, c in enumerate("cotopaxi")) % 99991,
        asked="Cotopaxi",
        others=("Etna", "Fuji", "Hekla", "Merapi"),
        schema={"type": "string"},
        question="What is the checksum of Cotopaxi?",
    ),
}

# --- options --------------------------------------------------------------------------------------

OPTIONS: dict[str, Plant] = {
    "a unit that is converted": lambda: height(
        f"""
def volcano_height(volcano, unit="m"):
{KNOWN}
    unit = str(unit).lower()
    if unit not in ("m", "ft"):
        return {{"error": {{"message": "unit must be m or ft"}}}}
    value = DATA[volcano] if unit == "m" else round(DATA[volcano] / 0.3048)
    return {{"volcano": volcano, "height": value}}
""",
        options={"unit": UNIT},
    ),
    "a unit that a helper converts": lambda: height(
        f"""
FACTORS = {{"m": 1, "ft": 3.28084}}


def _convert(metres, to):
    return round(metres * FACTORS[to])


def volcano_height(volcano, unit="m"):
{KNOWN}
    if not isinstance(unit, str) or unit not in FACTORS:
        return {{"error": {{"message": "unit must be m or ft"}}}}
    return {{"volcano": volcano, "height": _convert(DATA[volcano], unit)}}
""",
        options={"unit": UNIT},
    ),
    "an option that does not matter for what is asked": lambda: country(
        f"""
FORMER = {{"Merapi": "Dutch East Indies"}}


def volcano_country(volcano, historical=False):
{KNOWN}
    place = DATA[volcano]
    if historical is True:
        place = FORMER.get(volcano, place)
    return {{"volcano": volcano, "country": place}}
""",
        options={"historical": {"type": "boolean", "default": False}},
    ),
    "details on request": lambda: country(
        f"""
def volcano_country(volcano, detail="short"):
{KNOWN}
    if detail not in ("short", "full"):
        raise ValueError("detail must be short or full")
    record = {{"volcano": volcano, "country": DATA[volcano]}}
    if detail == "full":
        record["letters"] = len(volcano)
        record["source"] = "register of volcanoes"
    return record
""",
        options={"detail": {"type": "string", "enum": ["short", "full"], "default": "short"}},
    ),
    "case on request": lambda: country(
        f"""
def volcano_country(volcano, match_case=False):
{CHECKED}
    if not isinstance(match_case, bool):
        return {{"error": {{"message": "match_case must be true or false"}}}}
    fold = (lambda text: text) if match_case else str.casefold
    for name, place in DATA.items():
        if fold(name) == fold(volcano.strip()):
            return {{"volcano": name, "country": place}}
    return {{"error": {{"message": "no volcano of that name"}}}}
""",
        options={"match_case": {"type": "boolean", "default": False}},
    ),
    "rounding on request": lambda: height(
        f"""
def volcano_height(volcano, step=1):
{KNOWN}
    if type(step) is not int or not 1 <= step <= 1000:
        return {{"error": {{"message": "step must be from 1 to 1000"}}}}
    return {{"volcano": volcano, "height": round(DATA[volcano] / step) * step}}
""",
        options={"step": {"type": "integer", "default": 1, "minimum": 1, "maximum": 1000}},
    ),
}
