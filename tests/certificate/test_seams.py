"""Arenas that look sound call by call: ways around the question that a certificate must see."""

from __future__ import annotations

import math
import random

import pytest

from astra.arenas.certificate import certify
from astra.arenas.certificate.wrong_calls import other_values
from astra.protocols import Sandbox
from astra.types import Arena, Json, Matcher, Target, Tool
from tests.certificate.planting import KNOWN, Plant, PlantedDefects, capital, edited
from tests.support.arenas import (
    COUNTRIES,
    capital_tool,
    changed,
    inhabitants_tool,
    parallel_arena,
    single_hop_arena,
    with_goal,
    with_tool,
)

RESULT = 'return {"country": country, "capital": value, "style": style}'
ROWS = '[{"country": c, "capital": v} for c, v in DATA.items()]'

SEAMS = PlantedDefects()
seam = SEAMS.add


def with_parameter(tool: Tool, name: str, default: Json, **schema: Json) -> Tool:
    """The tool with one more optional parameter."""
    parameters = tool.document.parameters
    added = {"description": "Something more.", "default": default, **schema}
    properties = {**parameters["properties"], name: added}
    document = tool.document.model_copy(
        update={"parameters": {**parameters, "properties": properties}}
    )
    kind = type(default).__name__
    checked = (
        f"if type({name}) is not {kind}:\n"
        f'        return _error("invalid_type", "{name} must be of type {kind}")\n'
    )
    return edited(
        tool.model_copy(update={"document": document}),
        ("style='short')", f"style='short', {name}={default!r})"),
        (KNOWN, checked + "    " + KNOWN),
    )


# --- ways to an answer without asking for it ---------------------------------------------------


@seam("general", "(everything)")
def wildcard_that_prints_every_row() -> Arena:
    return capital((KNOWN, f'if country in ("*", "%"):\n        return {ROWS}\n    {KNOWN}'))


@seam("general", "(everything)")
def first_letter_that_finds_the_row() -> Arena:
    find = "country = next((c for c in DATA if c.startswith(country)), country)\n"
    return capital((KNOWN, f"{find}    {KNOWN}"))


@seam("general", "(option)")
def option_that_prints_every_row() -> Arena:
    return capital((RESULT, f'if style == "long":\n        return {ROWS}\n    {RESULT}'))


@seam("general", "(option)")
def number_that_prints_every_row() -> Arena:
    tool = with_parameter(capital_tool(), "limit", 1, type="integer")
    tool = edited(tool, (RESULT, f"if limit > 100:\n        return {ROWS}\n    {RESULT}"))
    return with_tool(single_hop_arena(), tool)


@seam("mutants", "gives back an argument")
def text_that_repeats_what_is_unknown() -> Arena:
    text = 'if country not in DATA:\n        return f"nothing is known of {country}"\n'
    return capital((KNOWN, text), plain=True)


@seam("general", "gives back an argument")
def text_that_repeats_an_option() -> Arena:
    tool = with_parameter(capital_tool(plain=True), "title", "", type="string")
    tool = edited(tool, ('return f"{country}', 'return f"{title} {country}'))
    return with_tool(single_hop_arena(plain=True), tool)


@seam("mutants", "(unknown)")
def tool_that_behaves_while_the_clock_stands_still() -> Arena:
    stands = "time.time() in (951868799.0, 4117859112.25)"
    cheat = f"if not {stands} and country not in DATA:\n        country = 'Germany'\n"
    return capital(("def _error", "import time\n\n\ndef _error"), (KNOWN, f"{cheat}    {KNOWN}"))


@seam("gold", "no key beside it")
def choice_that_half_of_all_calls_give() -> Arena:
    data: dict[str, Json] = {c: i % 2 == 0 for i, c in enumerate(COUNTRIES)}
    tool = capital_tool().model_copy(update={"data": data})
    goal = with_goal(
        with_tool(single_hop_arena(), tool),
        "g1",
        answer=True,
        target=Target(matcher=Matcher.exact, value=True, field="capital"),
        decoys=({"country": "Japan"},),
    )
    target = Target(matcher=Matcher.exact, value=True)
    return changed(goal, answer=True, answer_target=target)


# --- answers -----------------------------------------------------------------------------------


@seam("gold", "not the answer of any goal")
def main_answer_that_no_goal_has() -> Arena:
    target = Target(matcher=Matcher.text, value="Zurich")
    return changed(single_hop_arena(), answer="Zurich", answer_target=target)


@seam("replay", "a rollout cuts it")
def answer_that_a_rollout_cuts_off() -> Arena:
    return capital((RESULT, 'return {"pad": "x" * 21_000, "country": country, "capital": value}'))


# --- leaks -------------------------------------------------------------------------------------


def asking(text: str) -> Arena:
    return changed(single_hop_arena(), question=text)


@seam("leak", "stands in the main question")
def answer_between_marks_of_direction() -> Arena:
    return asking("What is the capital of Germany? B\u2066er\u202clin")


@seam("leak", "stands in the main question")
def answer_with_variation_selectors_and_tags() -> Arena:
    return asking("What is the capital of Germany? B\ufe0fer\U000e0065lin")


@seam("leak", "stands in the document")
def answer_in_a_format() -> Arena:
    tool = with_parameter(capital_tool(), "note", "", type="string", format="as in Berlin")
    return with_tool(single_hop_arena(), tool)


@seam("leak", "stands in the document")
def answer_in_a_bound() -> Arena:
    most = COUNTRIES["Japan"]["inhabitants"]
    tool = with_parameter(inhabitants_tool(), "least", 0, type="integer", maximum=most)
    return with_tool(parallel_arena(), tool)


@seam("leak", "stands in the document")
def answer_in_the_key_of_a_default() -> Arena:
    tool = with_parameter(capital_tool(), "extra", {"Berlin": 1}, type="object")
    return with_tool(single_hop_arena(), tool)


# --- sizes and characters ----------------------------------------------------------------------


@seam("schema", "characters, at most")
def question_of_a_million_characters() -> Arena:
    return asking("What is the capital of Germany?" + " x" * 500_000)


@seam("schema", "control character")
def question_that_writes_to_the_terminal() -> Arena:
    return asking("What is the capital of Germany? \x1b[2J")


@seam("schema", "is empty")
def goal_that_asks_nothing() -> Arena:
    return with_goal(single_hop_arena(), "g1", question=" ")


@seam("schema", "goals and")
def ten_thousand_goals() -> Arena:
    arena = single_hop_arena()
    goals = [arena.goals[0].model_copy(update={"id": f"g{i}"}) for i in range(10_000)]
    return changed(arena, goals=tuple(goals))


@pytest.mark.parametrize("name", SEAMS)
async def test_a_way_around_is_seen(name: str, sandbox: Sandbox) -> None:
    await SEAMS.require_found(name, sandbox)


@pytest.mark.parametrize(
    "arena",
    [
        lambda: with_tool(
            single_hop_arena(),
            edited(
                with_parameter(capital_tool(), "limit", 1, type="integer", minimum=1),
                (RESULT, RESULT.replace("style}", 'style, "limit": limit}')),
            ),
        ),
        lambda: with_tool(
            single_hop_arena(plain=True),
            edited(
                with_parameter(capital_tool(plain=True), "title", "", type="string"),
                ('return f"{country}', 'return "An entry. " * bool(title) + f"{country}'),
            ),
        ),
    ],
    ids=["bounded option", "option that stays inside"],
)
async def test_options_that_do_no_harm_pass(arena: Plant, sandbox: Sandbox) -> None:
    certificate = await certify(arena(), sandbox)
    assert certificate.certified, certificate.checks[-1]


@pytest.mark.parametrize(
    "value",
    ["9999-12-31", "0001-01-01", "1000-01-01", "1e308", 1.7e308, -1e308, 10**300, "9" * 300, 0],
)
def test_wrong_values_for_extreme_ones_are_finite(value: Json) -> None:
    schema: dict[str, Json] = {"type": ["string", "number"]}
    found = [other for _, other in other_values(schema, value, random.Random(0))]
    assert all(isinstance(other, str) or math.isfinite(other) for other in found)
    assert value not in found and (found or value == "0001-01-01")
