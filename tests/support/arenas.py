"""Good arenas made by hand, one per shape, and a way to change them.

They pass every check of the certificate, so that a test can plant one defect and see it found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astra.arenas.certificate import CHECKS, VERSION
from astra.arenas.certificates import Certificate, CheckResult
from astra.arenas.folder import ToolRow
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.types import (
    Arena,
    Distractor,
    Goal,
    GoldCall,
    Json,
    Matcher,
    Scenario,
    Target,
    Tool,
    ToolSchema,
)

COUNTRIES: dict[str, dict[str, Json]] = {
    "Germany": {"capital": "Berlin", "currency": "euro", "inhabitants": 83_190_556},
    "Japan": {"capital": "Tokyo", "currency": "yen", "inhabitants": 125_681_593},
    "Norway": {"capital": "Oslo", "currency": "krone", "inhabitants": 5_425_270},
    "Brazil": {"capital": "Brasília", "currency": "real", "inhabitants": 203_062_512},
    "Kenya": {"capital": "Nairobi", "currency": "shilling", "inhabitants": 47_564_296},
    "Poland": {"capital": "Warsaw", "currency": "zloty", "inhabitants": 38_036_118},
    "France": {"capital": "Paris", "currency": "euro", "inhabitants": 68_042_591},
}
UNIVERSITIES: dict[str, str] = {
    "Jagiellonian University": "Poland",
    "Keio University": "Japan",
    "Heidelberg University": "Germany",
    "University of Bergen": "Norway",
    "University of São Paulo": "Brazil",
    "Moi University": "Kenya",
}
DISHES: dict[str, int] = {"ramen": 436, "goulash": 312, "paella": 379, "pierogi": 245}

_LOOKUP = '''
def {name}({parameter}, {extra}):
    """One field of one record."""
    if not isinstance({parameter}, str) or not {parameter}.strip():
        return _error("invalid_type", "{parameter} must be a non-empty string")
    if {option} not in {choices}:
        return _error("invalid_choice", "{option} must be one of the listed values")
    if {parameter} not in DATA:
        return _error("not_found", "no record of that name")
    value = DATA[{parameter}]
    return {result}


def _error(code, message):
    return {{"error": {{"code": code, "message": message}}}}
'''


def lookup_tool(
    name: str,
    data: dict[str, Json],
    *,
    parameter: str,
    field: str,
    description: str,
    domain: str = "countries",
    plain: bool = False,
) -> Tool:
    """A tool that finds one field by one name; `plain`: it answers with a sentence."""
    styles = ["short", "long"]
    record = f'{{"{parameter}": {parameter}, "{field}": value, "style": style}}'
    source = _LOOKUP.format(
        name=name,
        parameter=parameter,
        extra="style='short'",
        option="style",
        choices=tuple(styles),
        result=f'f"{{{parameter}}}: {{value}}" + "." * (style == "long")' if plain else record,
    )
    parameters: dict[str, Json] = {
        "type": "object",
        "properties": {
            parameter: {"type": "string", "description": f"Name of the {parameter}."},
            "style": {
                "type": "string",
                "description": "How much to say.",
                "enum": styles,
                "default": "short",
            },
        },
        "required": [parameter],
        "additionalProperties": False,
    }
    document = ToolSchema(name=name, description=description, parameters=parameters)
    return Tool(document=document, source=source, data=data, domain=domain)


def column(field: str) -> dict[str, Json]:
    """One column of the countries, by country."""
    return {name: row[field] for name, row in COUNTRIES.items()}


def capital_tool(*, plain: bool = False) -> Tool:
    """Capitals by country."""
    return lookup_tool(
        "capital_of_country",
        column("capital"),
        parameter="country",
        field="capital",
        description="Seat of government of a country.",
        plain=plain,
    )


def inhabitants_tool() -> Tool:
    """Numbers of inhabitants by country."""
    return lookup_tool(
        "inhabitants_of_country",
        column("inhabitants"),
        parameter="country",
        field="inhabitants",
        description="Number of people who live in a country.",
    )


def university_tool() -> Tool:
    """Countries by university."""
    return lookup_tool(
        "country_of_university",
        dict(UNIVERSITIES),
        parameter="university",
        field="country",
        description="Where a university stands.",
        domain="universities",
    )


def calories_tool() -> Tool:
    """A tool of another domain, as a distractor."""
    return lookup_tool(
        "calories_of_dish",
        dict(DISHES),
        parameter="dish",
        field="calories",
        description="Energy of one portion of a dish, in kilocalories.",
        domain="food",
    )


def _decoys(parameter: str, names: list[str]) -> tuple[dict[str, Json], ...]:
    return tuple({parameter: name} for name in names)


def capital_goal(country: str, name: str = "g1", *, plain: bool = False) -> Goal:
    """Asks for a capital."""
    capital = str(COUNTRIES[country]["capital"])
    return Goal(
        id=name,
        question=f"What is the capital of {country}?",
        answer=capital,
        call=GoldCall(tool="capital_of_country", arguments={"country": country}),
        target=Target(matcher=Matcher.text, value=capital)
        if plain
        else Target(
            matcher=Matcher.exact, value=capital, field="capital", key={"country": country}
        ),
        decoys=_decoys("country", [c for c in COUNTRIES if c != country][:4]),
        operation="lookup",
    )


def inhabitants_goal(
    country: str, name: str, question: str, depends_on: tuple[str, ...] = ()
) -> Goal:
    """Asks for a number of inhabitants."""
    number = COUNTRIES[country]["inhabitants"]
    return Goal(
        id=name,
        question=question,
        answer=number,
        call=GoldCall(tool="inhabitants_of_country", arguments={"country": country}),
        target=Target(
            matcher=Matcher.number, value=number, field="inhabitants", key={"country": country}
        ),
        depends_on=depends_on,
        decoys=_decoys("country", [c for c in COUNTRIES if c != country][:4]),
        operation="lookup",
    )


def seal(**fields: Any) -> Arena:
    """An arena with the id that its content has."""
    draft = Arena.model_validate({"id": "", "split": "train", **fields})
    return draft.with_content_id()


def changed(arena: Arena, **updates: Any) -> Arena:
    """The arena with other fields, and the id that goes with them."""
    draft = arena.model_copy(update=updates)
    return draft.with_content_id()


def with_goal(arena: Arena, name: str, **updates: Any) -> Arena:
    """The arena with one goal changed."""
    goals = [g.model_copy(update=updates) if g.id == name else g for g in arena.goals]
    return changed(arena, goals=tuple(goals))


def with_tool(arena: Arena, tool: Tool) -> Arena:
    """The arena with the tool of that name replaced."""
    tools = [tool if own.name == tool.name else own for own in arena.tools]
    return changed(arena, tools=tuple(tools))


def with_distractors(arena: Arena, *tools: Tool) -> Arena:
    """The arena with these distractors."""
    return changed(arena, distractors=tuple(Distractor.of(tool, "low") for tool in tools))


_COMMON: dict[str, Any] = {
    "language": "en",
    "domain": "countries",
    "provenance": {"source": "by hand", "key": "0", "seed": 0},
}


def single_hop_arena(*, plain: bool = False) -> Arena:
    """One call. `plain`: the tool answers with a sentence."""
    goal = capital_goal("Germany", plain=plain)
    return seal(
        question="What is the capital of Germany?",
        answer=goal.answer,
        answer_target=Target(matcher=Matcher.text, value=goal.answer),
        goals=(goal,),
        tools=(capital_tool(plain=plain),),
        scenario=Scenario.single_hop,
        **_COMMON,
    )


def parallel_arena() -> Arena:
    """Two independent calls of one tool and an answer node that compares them."""
    text = "How many people live in {}?"
    first = inhabitants_goal("Japan", "g1", text.format("Japan"))
    second = inhabitants_goal("Kenya", "g2", text.format("Kenya"))
    difference = COUNTRIES["Japan"]["inhabitants"] - COUNTRIES["Kenya"]["inhabitants"]
    answer = Goal(
        id="g3",
        question="How large is the difference between the two?",
        answer=difference,
        call=None,
        target=None,
        depends_on=("g1", "g2"),
        operation="difference",
    )
    return seal(
        question="By how many people do Japan and Kenya differ?",
        answer=difference,
        answer_target=Target(matcher=Matcher.number, value=difference),
        goals=(first, second, answer),
        tools=(inhabitants_tool(),),
        scenario=Scenario.parallel_single_hop,
        **_COMMON,
    )


def choice_arena(question: str) -> Arena:
    """Two calls of one tool and an answer node that says which of the two has more."""
    which = {"question": "Which of the two numbers is larger?", "answer": "Japan"}
    arena = with_goal(parallel_arena(), "g3", **which)
    target = Target(matcher=Matcher.text, value="Japan")
    return changed(arena, question=question, answer="Japan", answer_target=target)


def multi_hop_arena() -> Arena:
    """Two calls, the second of which needs what the first finds out."""
    university = "Jagiellonian University"
    country = UNIVERSITIES[university]
    first = Goal(
        id="g1",
        question=f"In which country does {university} stand?",
        answer=country,
        call=GoldCall(tool="country_of_university", arguments={"university": university}),
        target=Target(
            matcher=Matcher.exact, value=country, field="country", key={"university": university}
        ),
        decoys=_decoys("university", [u for u in UNIVERSITIES if u != university][:4]),
        operation="lookup",
    )
    second = inhabitants_goal(country, "g2", "How many people live in that country?", ("g1",))
    return seal(
        question=f"How many people live in the country where {university} stands?",
        answer=second.answer,
        answer_target=Target(matcher=Matcher.number, value=second.answer),
        goals=(first, second),
        tools=(university_tool(), inhabitants_tool()),
        scenario=Scenario.multi_hop,
        **_COMMON,
    )


def branching_arena() -> Arena:
    """A chain of two calls beside a third one: a graph that is no chain."""
    chain = multi_hop_arena()
    beside = capital_goal("Norway", "g3")
    answer = (str(COUNTRIES["Poland"]["inhabitants"]), "Oslo")
    return changed(
        chain,
        question=f"{chain.question[:-1]}, and which city is the capital of Norway?",
        answer=answer,
        answer_target=Target(matcher=Matcher.text, value=answer),
        goals=(*chain.goals, beside),
        tools=(*chain.tools, capital_tool()),
        scenario=Scenario.parallel_multi_hop,
    )


def good_arenas() -> dict[str, Arena]:
    """One good arena per shape, and one whose tool answers with plain text."""
    return {
        "single_hop": single_hop_arena(),
        "plain": single_hop_arena(plain=True),
        "parallel": parallel_arena(),
        "multi_hop": multi_hop_arena(),
        "branching": branching_arena(),
    }


def stamped(arena: Arena) -> Certificate:
    """A certificate as a passed examination writes it."""
    checks = tuple(CheckResult(check=name, passed=True) for name in CHECKS)
    return Certificate(
        arena=arena.id,
        certified=True,
        checks=checks,
        seeds=(0,),
        sandbox="unsafe",
        version=VERSION,
        seconds=0.0,
    )


def write_arena_run(
    path: Path,
    arenas: Sequence[Arena],
    *,
    tools_of: Sequence[Arena] | None = None,
    certified: bool = True,
) -> Path:
    """A run folder of arenas. `tools_of`: arenas whose tools may be distractors. None: all.

    `certified`: with certificates that nobody examined them for.
    """
    folder = RunFolder.create(path, {"count": len(arenas)})
    rows = [
        ToolRow(id=tool.id, tool=tool, arena=arena.id, split=arena.split)
        for arena in (arenas if tools_of is None else tools_of)
        for tool in arena.tools
    ]
    with folder.lock(), folder.append("arenas") as log, folder.append("tools") as tools:
        log.append([to_line(arena) for arena in arenas])
        tools.append([to_line(row) for row in rows])
        if certified:
            with folder.append("certificates") as certificates:
                certificates.append([to_line(stamped(arena)) for arena in arenas])
    return path
