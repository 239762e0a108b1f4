"""Distractors that are better tools than the arena's own are refused, ordinary ones are not."""

from __future__ import annotations

import pytest

from astra.arenas.certificate import certify
from astra.arenas.certificate.distractor_calls import distractor_calls
from astra.protocols import Sandbox
from astra.types import Arena, Json, Tool, ToolSchema
from tests.certificate.planting import PlantedDefects
from tests.support.arenas import (
    COUNTRIES,
    UNIVERSITIES,
    branching_arena,
    calories_tool,
    capital_tool,
    multi_hop_arena,
    parallel_arena,
    single_hop_arena,
    with_distractors,
)

BETTER = PlantedDefects()
ORDINARY: dict[str, tuple[Tool, ...]] = {}
text: dict[str, Json] = {"type": "string", "description": "A text."}
number: dict[str, Json] = {"type": "integer", "description": "A number."}
CAPITALS: Json = {name: row["capital"] for name, row in COUNTRIES.items()}
FACTS: Json = {name: {**row} for name, row in COUNTRIES.items()}


def choice(values: list[str]) -> dict[str, Json]:
    return {"type": "string", "description": "One of these.", "enum": values}


def properties(required: list[str] | None = None, /, **schemas: Json) -> dict[str, Json]:
    return {
        "type": "object",
        "description": "What is asked.",
        "properties": schemas,
        "required": list(schemas) if required is None else required,
    }


def tool(body: str, parameters: dict[str, Json], data: Json = None, **document: str) -> Tool:
    """A tool `better` whose parameters are those of the document, with this body."""
    required = parameters["required"]
    optional = [f"{name}=None" for name in parameters["properties"] if name not in required]
    names = [*required, *optional]
    lines = "\n    ".join(body.strip().splitlines())
    description = document.get("description", "Something else.")
    return Tool(
        document=ToolSchema(name="better", description=description, parameters=parameters),
        source=f"def better({', '.join(names)}):\n    {lines}\n",
        data=data,
        domain="other",
    )


better = BETTER.add("mutants", "distractor 'better'")
NOTHING = "{'error': {'message': 'nothing'}}"


@better
def two_enums_of_a_hundred_combinations() -> Arena:
    fields = [f"field_{i}" for i in range(9)] + ["capital"]
    countries = [*COUNTRIES, "Peru", "Chile", "Cuba"]
    found = tool(
        f"return {{'result': DATA[country][field]}} if country in DATA and "
        f"field in DATA[country] else {NOTHING}",
        properties(field=choice(fields), country=choice(countries)),
        FACTS,
    )
    return with_distractors(single_hop_arena(), found)


@better
def two_enums_that_name_no_argument() -> Arena:
    rows, columns = [f"r{i}" for i in range(10)], [f"c{i}" for i in range(10)]
    found = tool(
        f"return DATA.get(row + column, {NOTHING})",
        properties(row=choice(rows), column=choice(columns)),
        {"r4c7": {"country": "Germany", "city": "Berlin"}},
    )
    return with_distractors(single_hop_arena(), found)


@better
def three_enums_one_of_them_optional() -> Arena:
    found = tool(
        f"return DATA[nation] if kind == 'k7' and mode == 'm6' else {NOTHING}",
        properties(
            ["kind", "nation"],
            kind=choice([f"k{i}" for i in range(10)]),
            mode=choice([f"m{i}" for i in range(9)]),
            nation=text,
        ),
        CAPITALS,
    )
    return with_distractors(single_hop_arena(), found)


@better
def free_text_that_is_searched_for_a_name() -> Arena:
    found = tool(
        f"hits = [v for k, v in DATA.items() if k in query]\nreturn hits or {NOTHING}",
        properties(query=text),
        CAPITALS,
    )
    return with_distractors(single_hop_arena(), found)


@better
def free_text_of_any_kind() -> Arena:
    return with_distractors(
        single_hop_arena(), tool("return {'note': 'It is Berlin.'}", properties(prompt=text))
    )


@better
def free_text_that_must_be_a_question() -> Arena:
    found = tool(f"return 'Berlin' if query.endswith('?') else {NOTHING}", properties(query=text))
    return with_distractors(single_hop_arena(), found)


@better
def an_object_with_the_argument() -> Arena:
    found = tool(
        "return {'city': DATA.get(request['place']['name'], 'none')}",
        properties(request=properties(place=properties(name=text))),
        CAPITALS,
    )
    return with_distractors(single_hop_arena(), found)


@better
def a_list_of_objects() -> Arena:
    places = {
        "type": "array",
        "description": "Places.",
        "items": properties(name=text, field=choice(["area", "capital"])),
    }
    found = tool(
        "return [{'of': p['name'], 'is': DATA.get(p['name'], {}).get(p['field'])} for p in places]",
        properties(places=places),
        FACTS,
    )
    return with_distractors(single_hop_arena(), found)


@better
def a_list_of_pages() -> Arena:
    found = tool(
        f"rows = DATA[page - 1:page] if page > 0 else []\nreturn rows or {NOTHING}",
        properties(page=number),
        [{"name": f"N{i}", "city": f"C{i}"} for i in range(29)]
        + [{"name": "Germany", "city": "Berlin"}],
    )
    return with_distractors(single_hop_arena(), found)


@better
def a_list_of_lines_with_an_optional_page() -> Arena:
    found = tool(
        "return '\\n'.join(DATA[(page or 0) * 2:(page or 0) * 2 + 2])",
        properties([], page=number),
        [f"N{i}: C{i}" for i in range(29)] + ["Germany: Berlin"],
    )
    return with_distractors(single_hop_arena(), found)


@better
def the_whole_list_without_arguments() -> Arena:
    return with_distractors(single_hop_arena(), tool("return DATA", properties(), CAPITALS))


@better
def the_whole_chain_in_one_call() -> Arena:
    data = {name: {"n": COUNTRIES[c]["inhabitants"]} for name, c in UNIVERSITIES.items()}
    found = tool(f"return DATA.get(place, {NOTHING})", properties(place=text), data)
    return with_distractors(multi_hop_arena(), found)


@better
def the_whole_chain_with_a_choice_of_facts() -> Arena:
    data = {name: {**COUNTRIES[c]} for name, c in UNIVERSITIES.items()}
    fields = [f"field_{i}" for i in range(12)] + ["inhabitants"]
    found = tool(
        "return {'is': DATA.get(place, {}).get(fact, 'none')}",
        properties(place=text, fact=choice(fields)),
        data,
    )
    return with_distractors(multi_hop_arena(), found)


@better
def the_answer_that_combines_two_goals() -> Arena:
    data = {name: row["inhabitants"] for name, row in COUNTRIES.items()}
    found = tool(
        f"return abs(DATA[one] - DATA[other]) if one in DATA and other in DATA else {NOTHING}",
        properties(one=text, other=text),
        data,
    )
    return with_distractors(parallel_arena(), found)


@better
def a_document_that_states_the_answer() -> Arena:
    found = tool(
        f"return {NOTHING}",
        properties(query=text),
        description="Facts, for example that the capital of Germany is Berlin.",
    )
    return with_distractors(single_hop_arena(), found)


@pytest.mark.parametrize("name", BETTER)
async def test_a_better_tool_is_refused(name: str, sandbox: Sandbox) -> None:
    await BETTER.require_found(name, sandbox)


@pytest.mark.parametrize(
    "distractor",
    [
        calories_tool(),
        # Cities, but of other things than the question asks about.
        tool(
            "return {'city': DATA[page % 7]}",
            properties(page=number),
            [row["capital"] for row in COUNTRIES.values()],
        ),
        tool(
            f"return {{'city': DATA.get(dish, {{}}).get(kind)}} if dish in DATA else {NOTHING}",
            properties(dish=text, kind=choice([f"k{i}" for i in range(12)])),
            {"ramen": {"k3": "Berlin"}, "Germany": {"k4": "beer"}},
        ),
        # It repeats what it was asked.
        tool("return {'city': city, 'length': len(city)}", properties(city=text)),
        tool("return [{'row': page}, {'row': page + 1}]", properties(page=number)),
        tool(
            "return DATA[:size['rows']]",
            properties(size=properties(rows=number)),
            [{"city": "Berlin", "team": "Hertha"}, {"city": "Oslo", "team": "Lyn"}],
            description="Cities of teams.",
        ),
    ],
    ids=["other_field", "bare_list", "chance", "echo", "pages", "rows"],
)
@pytest.mark.parametrize(
    "arena",
    [single_hop_arena(), multi_hop_arena(), parallel_arena(), branching_arena()],
    ids=["single_hop", "multi_hop", "parallel", "branching"],
)
async def test_an_ordinary_distractor_is_not_refused(
    arena: Arena, distractor: Tool, sandbox: Sandbox
) -> None:
    certificate = await certify(with_distractors(arena, distractor), sandbox)
    assert certificate.certified, certificate.checks[-1]


def test_distractors_are_asked_what_the_arena_asks() -> None:
    arena = single_hop_arena()
    question = {"dish": arena.question}
    assert distractor_calls(calories_tool(), arena) == [{"dish": "Germany"}, question]
    assert distractor_calls(capital_tool(), arena)[0] == {"country": "Germany"}
    more = distractor_calls(calories_tool(), arena, held={"g1"})
    assert {"dish": "Germany", "style": "long"} in more
    assert {"dish": "a"} in more
    assert len(more) < 50
