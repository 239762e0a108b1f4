"""A small world of volcanoes: arenas around tools that are given as source text.

A tool is written out in full, as a language model would write it, so that each defect is a tool of
its own and not a change of one that is known to be good.
"""

from __future__ import annotations

from typing import Any, Literal

from astra.types import Arena, Goal, GoldCall, Json, Matcher, Scenario, Target, Tool, ToolSchema
from tests.support.arenas import seal

COUNTRIES: dict[str, Json] = {
    "Cotopaxi": "Ecuador",
    "Etna": "Italy",
    "Fuji": "Japan",
    "Merapi": "Indonesia",
    "Hekla": "Iceland",
    "Popocatepetl": "Mexico",
    "Erebus": "Antarctica",
    "Nyiragongo": "Congo",
}
HEIGHTS: dict[str, Json] = {
    "Cotopaxi": 5897,
    "Etna": 3403,
    "Fuji": 3776,
    "Merapi": 2910,
    "Hekla": 1488,
    "Popocatepetl": 5393,
    "Erebus": 3794,
    "Nyiragongo": 3470,
}
STATIONS: dict[str, Json] = {
    "Quito Seismic Station": "Cotopaxi",
    "Catania Lava Institute": "Etna",
    "Gotemba Watch": "Fuji",
    "Selfoss Ash Office": "Hekla",
    "Babadan Post": "Merapi",
}
ASKED = "Cotopaxi"
OTHERS = ("Etna", "Fuji", "Merapi", "Hekla", "Popocatepetl")

CHECKED = """
    if not isinstance(volcano, str) or not volcano.strip():
        return {"error": {"code": "invalid", "message": "volcano must be a name"}}
"""
"""How a careful tool begins: it refuses what is not a name."""
KNOWN = f"""{CHECKED}
    if volcano not in DATA:
        return {{"error": {{"code": "not_found", "message": "no volcano of that name"}}}}
"""

ROWS = '[{"volcano": v, "country": c} for v, c in DATA.items()]'
ONE = '{"volcano": volcano, "country": DATA[volcano]}'
"""What a tool of countries returns: every record, or that of the volcano it was asked for."""

Keyed = Literal["key", "no key", "text"]


def tool_of(
    name: str,
    source: str,
    *,
    parameter: str = "volcano",
    data: dict[str, Json] | None = None,
    options: dict[str, dict[str, Json]] | None = None,
    description: str = "Facts about a volcano.",
) -> Tool:
    """A tool with one required text and these options."""
    parameters: dict[str, Json] = {
        "type": "object",
        "properties": {
            parameter: {"type": "string", "description": f"Name of the {parameter}."},
            **{n: {"description": "An option.", **s} for n, s in (options or {}).items()},
        },
        "required": [parameter],
        "additionalProperties": False,
    }
    document = ToolSchema(name=name, description=description, parameters=parameters)
    return Tool(document=document, source=source, data=data or {}, domain="volcanoes")


def goal_of(
    tool: str,
    field: str,
    answer: Any,
    *,
    asked: str = ASKED,
    others: tuple[str, ...] = OTHERS,
    parameter: str = "volcano",
    keyed: Keyed = "key",
    question: str = "",
    name: str = "g1",
    depends_on: tuple[str, ...] = (),
) -> Goal:
    """One call about one name, with other names as decoys."""
    exact = Matcher.number if type(answer) is int else Matcher.exact
    target = (
        Target(matcher=Matcher.text, value=answer)
        if keyed == "text"
        else Target(
            matcher=exact,
            value=answer,
            field=field,
            key={parameter: asked} if keyed == "key" else {},
        )
    )
    return Goal(
        id=name,
        question=question or f"What is the {field} of {asked}?",
        answer=answer,
        call=GoldCall(tool=tool, arguments={parameter: asked}),
        target=target,
        depends_on=depends_on,
        decoys=tuple({parameter: other} for other in others),
        operation="lookup",
    )


def arena_of(goals: tuple[Goal, ...], tools: tuple[Tool, ...], question: str = "") -> Arena:
    """An arena whose answer is that of its last goal."""
    answer = goals[-1].answer
    matcher = {int: Matcher.number, str: Matcher.text}.get(type(answer), Matcher.exact)
    return seal(
        question=question or goals[-1].question,
        answer=answer,
        answer_target=Target(matcher=matcher, value=answer),
        goals=goals,
        tools=tools,
        scenario=Scenario.single_hop if len(goals) == 1 else Scenario.multi_hop,
        language="en",
        domain="volcanoes",
        provenance={"source": "by hand", "key": "volcano", "seed": 0},
    )


def country(
    source: str,
    *,
    options: dict[str, dict[str, Json]] | None = None,
    data: dict[str, Json] | None = None,
    keyed: Keyed = "key",
    question: str = "In which country is the volcano Cotopaxi?",
) -> Arena:
    """Asks for the country of a volcano; the source defines `volcano_country`."""
    tool = tool_of("volcano_country", source, data=data or COUNTRIES, options=options)
    goal = goal_of("volcano_country", "country", "Ecuador", keyed=keyed, question=question)
    return arena_of((goal,), (tool,))


def height(
    source: str,
    *,
    options: dict[str, dict[str, Json]] | None = None,
    data: dict[str, Json] | None = None,
    answer: int = 5897,
    keyed: Keyed = "key",
    others: tuple[str, ...] = OTHERS,
) -> Arena:
    """Asks for the height of a volcano; the source defines `volcano_height`."""
    tool = tool_of("volcano_height", source, data=data or HEIGHTS, options=options)
    question = "How many metres high is Cotopaxi?"
    goal = goal_of(
        "volcano_height", "height", answer, keyed=keyed, question=question, others=others
    )
    return arena_of((goal,), (tool,))


HONEST_STATION = """
def station_volcano(station):
    if not isinstance(station, str) or not station.strip():
        return {"error": {"message": "station must be a name"}}
    if station not in DATA:
        return {"error": {"message": "no station of that name"}}
    return {"station": station, "volcano": DATA[station]}
"""
HONEST_HEIGHT = f"""
def volcano_height(volcano):
{KNOWN}
    return {{"volcano": volcano, "height": DATA[volcano]}}
"""
HONEST_COUNTRY = f"""
def volcano_country(volcano):
{KNOWN}
    return {{"volcano": volcano, "country": DATA[volcano]}}
"""


def chain(
    first: str = HONEST_STATION,
    second: str = HONEST_HEIGHT,
    *,
    options: dict[str, dict[str, Json]] | None = None,
    data: dict[str, Json] | None = None,
) -> Arena:
    """Station to volcano to height: `station_volcano`, then `volcano_height`."""
    station = "Quito Seismic Station"
    tools = (
        tool_of(
            "station_volcano",
            first,
            parameter="station",
            data=STATIONS,
            description="What a station watches.",
        ),
        tool_of("volcano_height", second, data=data or HEIGHTS, options=options),
    )
    goals = (
        goal_of(
            "station_volcano",
            "volcano",
            ASKED,
            asked=station,
            others=tuple(name for name in STATIONS if name != station),
            parameter="station",
            question=f"Which volcano does {station} watch?",
        ),
        goal_of(
            "volcano_height",
            "height",
            5897,
            name="g2",
            question="How many metres high is it?",
            depends_on=("g1",),
        ),
    )
    return arena_of(
        goals, tools, f"How many metres high is the volcano that the {station} watches?"
    )
