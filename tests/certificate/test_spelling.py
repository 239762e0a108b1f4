"""What a person's spelling says, and whether a goal is solved in the spelling that is allowed."""

from __future__ import annotations

import pytest

from astra.arenas.certificate import certify
from astra.core.spellings import says
from astra.protocols import Sandbox
from astra.types import Arena, Goal, GoldCall, Json, Matcher, Scenario, Target, Tool, ToolSchema
from tests.support.arenas import seal

SAID: list[tuple[Json, str, str]] = [
    ("2026-02-09", "outbound on February 9 returning February 21", ""),
    ("2025-12-02", "for 12/02/2025 at night", ""),
    ("2025-12-19", "at lunchtime on 12/19.", ""),
    ("2025-12-31", "am 31.12.2025", ""),
    ("2026-05-03", "on the 3rd of May", ""),
    ("2026-02-13", "Feb 9-13", ""),
    ("2026-02-09", "2月9日出发", ""),
    ("Feb 9", "on February 9", ""),
    ("15:00", "at 3:00 PM", ""),
    ("15:00", "around 3 pm", ""),
    ("12:00", "at noon", ""),
    ("15:30", "下午3点半", ""),
    (4, "a party of four", ""),
    (4, "四个人", ""),
    (25, "twenty-five people", ""),
    (12, "a dozen eggs", ""),
    (300_000, "under $300k", ""),
    (1_500_000, "1.5 million people", ""),
    (20_000, "2万人", ""),
    (0.15, "a discount of 15%", ""),
    (15, "15 percent of them", ""),
    ("Saint-Denis", "a hotel in Saint–Denis", ""),
    ("O'Hare", "from O’Hare", ""),
    ("São Paulo", "flights to Sao Paulo", ""),
    ("CA", "homes in California", "State, e.g. CA (California) or NY (New York)."),
    ("NYC", "from New York", "City code, such as New York (NYC)."),
    ("JFK", "from New York", "Airport: JFK for New York, LHR for London."),
]
NOT_SAID: list[tuple[Json, str, str]] = [
    ("2026-02-10", "on February 9", ""),
    ("2025-02-12", "on 12/02/2025", ""),
    ("2026-12-02", "on 12/02/2025", ""),
    ("16:00", "at 3 PM", ""),
    ("03:00", "at 3 PM", ""),
    (5, "a party of four", ""),
    (1, "which one of them is it", ""),
    (300, "under $300k", ""),
    (16, "15%", ""),
    ("CA", "homes in Canada", "State, e.g. CA (California)."),
    ("JFK", "from London", "Airport: JFK for New York, LHR for London."),
    ("Saint-Denis", "a hotel in Saint-Malo", ""),
    (True, "one", ""),
    (None, "none", ""),
]


@pytest.mark.parametrize(("value", "text", "description"), SAID)
def test_said(value: Json, text: str, description: str) -> None:
    assert says(value, text, description)


@pytest.mark.parametrize(("value", "text", "description"), NOT_SAID)
def test_not_said(value: Json, text: str, description: str) -> None:
    assert not says(value, text, description)


FARES = {
    ("oslo", "02-09"): 119,
    ("oslo", "02-10"): 137,
    ("lima", "02-09"): 845,
    ("lima", "02-10"): 861,
    ("cairo", "02-09"): 402,
    ("cairo", "02-10"): 417,
    ("perth", "02-09"): 1203,
    ("perth", "02-10"): 1177,
}
_SOURCE = """
FARES = {fares!r}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _error(message):
    return {{"error": {{"message": message}}}}


{day}


def get_fare(city, date):
    if not isinstance(city, str) or not isinstance(date, str):
        return _error("city and date must be texts")
    day = _day(date)
    fare = FARES.get(({city}, day))
    if fare is None:
        return _error("no fare is on file")
    return {{"city": {shown}, "fare": fare}}
"""
ISO_DAY = """
def _day(text):
    parts = text.split("-")
    return text[5:] if len(text) == 10 and len(parts) == 3 {and_year} else None
"""
ANY_DAY = """
def _day(text):
    parts = text.replace(",", " ").replace("/", " ").replace("-", " ").lower().split()
    if len(parts) > 1 and parts[0][:3] in MONTHS and parts[1].isdigit():
        return "%02d-%02d" % (MONTHS.index(parts[0][:3]) + 1, int(parts[1]))
    if len(parts) == 3 and len(parts[0]) == 4:
        return parts[1] + "-" + parts[2]
    return None
"""
WORDS_DAY = """
def _day(text):
    return {"February 9": "02-09", "February 10": "02-10"}.get(text)
"""


def fare_arena(
    *,
    question: str = "What does a flight to Oslo on February 9, 2026 cost?",
    date: str = "2026-02-09",
    asks_for: str = "Day of the flight, YYYY-MM-DD.",
    day: str = ISO_DAY.replace("{and_year}", ""),
    city: str = "city.strip().lower()",
    shown: str = "city.strip().title()",
    decoy_date: str = "2026-02-10",
) -> Arena:
    """One lookup of a fare by city and day."""
    document = ToolSchema(
        name="get_fare",
        description="Returns the fare of a flight to a city on one day, in euros.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "City of arrival."},
                "date": {"type": "string", "description": asks_for},
            },
            "required": ["city", "date"],
        },
    )
    source = _SOURCE.format(fares=FARES, day=day, city=city, shown=shown)
    call = {"city": "Oslo", "date": date}
    decoys: tuple[dict[str, Json], ...] = tuple(
        {"city": name, "date": when}
        for name in ("Lima", "Cairo", "Perth", "Oslo")
        for when in (date, decoy_date)
        if {"city": name, "date": when} != call
    )
    goal = Goal(
        id="s1",
        question=question,
        answer=119,
        call=GoldCall(tool="get_fare", arguments=call),
        target=Target(matcher=Matcher.number, value=119, field="fare", key={"city": "Oslo"}),
        decoys=decoys,
    )
    return seal(
        question=question,
        answer=119,
        answer_target=Target(matcher=Matcher.number, value=119),
        goals=(goal,),
        tools=(Tool(document=document, source=source, domain="flights"),),
        scenario=Scenario.single_hop,
        domain="flights",
        language="en",
        provenance={"key": "k", "source": "test"},
    )


GOOD = {
    "a day in the form that is asked for": fare_arena(),
    "any form is taken": fare_arena(asks_for="Day of the flight.", day=ANY_DAY),
    "no year is said, any year is answered": fare_arena(
        question="What does a flight to Oslo on February 9 cost?"
    ),
    "the year stands in the document": fare_arena(
        question="What does a flight to Oslo on February 9 cost?",
        asks_for="Day of the flight in 2026, YYYY-MM-DD.",
        day=ISO_DAY.replace("{and_year}", 'and parts[0] == "2026"'),
    ),
    "the question writes the name otherwise": fare_arena(
        question="What does a flight to OSLO on February 9, 2026 cost?"
    ),
    "the document is strict about case": fare_arena(
        question="What does a flight to oslo on February 9, 2026 cost?",
        city='{"Oslo": "oslo", "Lima": "lima", "Cairo": "cairo", "Perth": "perth"}.get(city)',
    ),
}
_STRICT_CITY = GOOD["the document is strict about case"]
_strict = _STRICT_CITY.tools[0].document.parameters
_STRICT_DOCUMENT = _STRICT_CITY.tools[0].document.model_copy(
    update={
        "parameters": _strict
        | {
            "properties": _strict["properties"]
            | {"city": {"type": "string", "description": "City, with a capital (case-sensitive)."}}
        }
    }
)
GOOD["the document is strict about case"] = _STRICT_CITY.model_copy(
    update={"tools": (_STRICT_CITY.tools[0].model_copy(update={"document": _STRICT_DOCUMENT}),)}
).with_content_id()
BAD = {
    "the gold call has another form than is asked for": (
        fare_arena(date="February 9", decoy_date="February 10", day=WORDS_DAY),
        "asks for YYYY-MM-DD",
    ),
    "nobody says the year": (
        fare_arena(
            question="What does a flight to Oslo on February 9 cost?",
            day=ISO_DAY.replace("{and_year}", 'and parts[0] == "2026"'),
        ),
        "2027-02-09",
    ),
    "the question's form is not taken where none is asked for": (
        fare_arena(asks_for="Day of the flight."),
        "february 9, 2026",
    ),
    "the question's case is not taken": (_STRICT_CITY, "'oslo'"),
}


@pytest.mark.parametrize("name", GOOD)
async def test_good_spellings(name: str, sandbox: Sandbox) -> None:
    certificate = await certify(GOOD[name], sandbox, all_checks=True)
    assert [check for check in certificate.checks if not check.passed] == []


@pytest.mark.parametrize("name", BAD)
async def test_bad_spellings(name: str, sandbox: Sandbox) -> None:
    arena, words = BAD[name]
    certificate = await certify(arena, sandbox, all_checks=True)
    (failed,) = [check for check in certificate.checks if not check.passed]
    assert failed.check == "spelling" and words in failed.reason, failed
