"""Defect injection: every planted defect is rejected, by the check that is meant to."""

from __future__ import annotations

import pytest

from astra.arenas.certificate import CHECKS, certify
from astra.protocols import Sandbox
from astra.types import Arena, GoldCall, Json, Matcher, Scenario, Target, Tool
from tests.certificate.planting import KNOWN, PlantedDefects, capital, edited
from tests.support.arenas import (
    COUNTRIES,
    branching_arena,
    calories_tool,
    capital_tool,
    changed,
    column,
    good_arenas,
    lookup_tool,
    multi_hop_arena,
    parallel_arena,
    seal,
    single_hop_arena,
    with_distractors,
    with_goal,
    with_tool,
)

DEFECTS = PlantedDefects()
defect = DEFECTS.add


def documented(tool: Tool, **updates: Json) -> Tool:
    """The tool with its document changed."""
    return tool.model_copy(update={"document": tool.document.model_copy(update=updates)})


def schema_of(tool: Tool, parameter: str, **updates: Json) -> Tool:
    """The tool with the schema of one parameter changed; None drops a keyword."""
    parameters = tool.document.parameters
    schema = {**parameters["properties"][parameter], **updates}
    schema = {key: value for key, value in schema.items() if value is not None}
    properties = {**parameters["properties"], parameter: schema}
    return documented(tool, parameters={**parameters, "properties": properties})


VALUE = "value = DATA[country]"
CHECKED = "if not isinstance(country, str) or"


# --- names -----------------------------------------------------------------------------------


@defect("names", "two tools are called")
def two_tools_of_one_name() -> Arena:
    arena = single_hop_arena()
    return changed(arena, tools=(*arena.tools, *arena.tools))


@defect("names", "two tools are called")
def distractor_of_the_same_name() -> Arena:
    other = calories_tool()
    twin = documented(other, name="capital_of_country")
    return with_distractors(single_hop_arena(), twin)


def renamed(name: str) -> Arena:
    arena = single_hop_arena()
    tool = lookup_tool(
        name, column("capital"), parameter="country", field="capital", description="Capitals."
    )
    call = GoldCall(tool=name, arguments={"country": "Germany"})
    return with_goal(changed(arena, tools=(tool,)), "g1", call=call)


@defect("names", "reserved")
def reserved_name() -> Arena:
    return renamed("reset")


@defect("names", "reserved")
def reserved_name_in_capitals() -> Arena:
    return renamed("Final_Answer")


@defect("names", "builtin")
def name_of_a_builtin() -> Arena:
    return renamed("sorted")


@defect("names", "not an identifier")
def name_that_is_no_identifier() -> Arena:
    arena = single_hop_arena()
    return changed(arena, tools=(documented(capital_tool(), name="capital-of-country"),))


@defect("names", "content hash")
def wrong_id() -> Arena:
    return single_hop_arena().model_copy(update={"id": "0123456789abcdef"})


# --- schema ----------------------------------------------------------------------------------


@defect("schema", "parameters")
def schema_that_disagrees_with_the_function() -> Arena:
    return capital(("style='short'", "style='short', year=2000"))


@defect("schema", "required")
def required_with_a_default_in_the_code() -> Arena:
    return capital(("def capital_of_country(country,", "def capital_of_country(country='Japan',"))


@defect("schema", "default of 'style'")
def default_that_differs() -> Arena:
    return capital(("style='short'", "style='long'"))


@defect("schema", "**kwargs")
def function_that_takes_anything() -> Arena:
    return capital(("style='short'", "style='short', **rest"))


@defect("schema", "more than once")
def function_defined_twice() -> Arena:
    return capital(("def _error", "capital_of_country = print\n\ndef _error"))


@defect("schema", "not valid Python")
def source_that_is_no_python() -> Arena:
    return capital(("def _error", "def def _error"))


@defect("schema", "not valid Python")
def source_that_exhausts_the_parser() -> Arena:
    return capital(("def _error", "x = " + "-" * 50_000 + "1\n\ndef _error"))


@defect("schema", "standard library")
def import_from_outside_the_library() -> Arena:
    return capital(("def _error", "import numpy\n\ndef _error"))


@defect("schema", "no description")
def undescribed_parameter() -> Arena:
    return with_tool(single_hop_arena(), schema_of(capital_tool(), "country", description=" "))


@defect("schema", "not a valid JSON Schema")
def invalid_json_schema() -> Arena:
    return with_tool(single_hop_arena(), schema_of(capital_tool(), "country", minLength="two"))


@defect("schema", "does not fit its own schema")
def default_outside_of_the_enum() -> Arena:
    tool = schema_of(capital_tool(), "style", default="loud")
    return with_tool(single_hop_arena(), edited(tool, ("style='short'", "style='loud'")))


@defect("schema", "$ref")
def reference_to_the_network() -> Arena:
    tool = schema_of(capital_tool(), "country", **{"$ref": "http://192.0.2.1/schema.json"})
    return with_tool(single_hop_arena(), tool)


@defect("schema", "fixed length")
def pattern_that_takes_exponential_time() -> Arena:
    return with_tool(single_hop_arena(), schema_of(capital_tool(), "country", pattern="(a+)+$"))


@defect("schema", "does not fit the document")
def gold_argument_outside_of_the_schema() -> Arena:
    call = GoldCall(tool="capital_of_country", arguments={"country": "Germany", "style": "loud"})
    return with_goal(single_hop_arena(), "g1", call=call)


@defect("schema", "a decoy")
def decoy_outside_of_the_schema() -> Arena:
    return with_goal(single_hop_arena(), "g1", decoys=({"country": 7},))


@defect("schema", "not a tool of the arena")
def gold_call_of_an_unknown_tool() -> Arena:
    call = GoldCall(tool="capital_of_land", arguments={"country": "Germany"})
    return with_goal(single_hop_arena(), "g1", call=call)


@defect("schema", "no goal uses")
def tool_that_no_goal_uses() -> Arena:
    arena = single_hop_arena()
    return changed(arena, tools=(*arena.tools, calories_tool()))


@defect("schema", "without a target")
def call_without_a_target() -> Arena:
    return with_goal(single_hop_arena(), "g1", target=None)


@defect("schema", "nothing to reward")
def arena_without_calls() -> Arena:
    return changed(single_hop_arena(), goals=(), tools=())


# --- replay ----------------------------------------------------------------------------------


@defect("replay", "gave")
def output_depends_on_time() -> Arena:
    return capital(
        ("def _error", "import time\n\ndef _error"),
        ('"style": style}', '"style": style, "year": time.gmtime().tm_year}'),
    )


@defect("replay", "gave")
def output_depends_on_the_year() -> Arena:
    return capital(
        ("def _error", "import datetime\n\ndef _error"),
        ('"style": style}', '"style": style, "d": datetime.date.today().year > 2050}'),
    )


@defect("replay", "gave")
def output_depends_on_randomness() -> Arena:
    return capital(
        ("def _error", "import random\n\ndef _error"),
        ('"style": style}', '"style": style, "luck": random.random()}'),
    )


@defect("replay", "")
def output_depends_on_the_kernels_randomness() -> Arena:
    return capital(
        ("def _error", "import uuid\n\ndef _error"),
        ('"style": style}', '"style": style, "request": str(uuid.uuid4())}'),
    )


@defect("replay", "gave")
def output_depends_on_the_hash_seed() -> Arena:
    return capital(('"style": style}', '"style": style, "also": list(set(DATA))}'))


@defect("replay", "Error")
def call_to_the_network() -> Arena:
    return capital(
        (
            VALUE,
            "import socket\n    socket.create_connection(('192.0.2.1', 80), 1)\n    " + VALUE,
        )
    )


@defect("replay", "Error")
def file_outside_of_the_sandbox() -> Arena:
    return capital((VALUE, "open('/etc/passwd').read()\n    " + VALUE))


@defect("replay", "does not solve")
def wrong_answer() -> Arena:
    arena = with_goal(
        single_hop_arena(),
        "g1",
        answer="Bonn",
        target=Target(
            matcher=Matcher.exact, value="Bonn", field="capital", key={"country": "Germany"}
        ),
    )
    return changed(arena, answer="Bonn", answer_target=Target(matcher=Matcher.text, value="Bonn"))


@defect("replay", "returned an error")
def gold_call_that_is_refused() -> Arena:
    return capital((VALUE, "return _error('closed', 'come back tomorrow')"))


@defect("replay", "Limit")
def endless_loop() -> Arena:
    return capital((VALUE, "while True:\n        pass"))


@defect("replay", "Died")
def tool_that_ends_its_process() -> Arena:
    return capital((VALUE, "import os\n    os._exit(0)"))


@defect("replay", "")
def result_that_is_no_json() -> Arena:
    return capital((VALUE, VALUE + "\n    return {1, 2}"))


# --- order -----------------------------------------------------------------------------------


@defect("order", "another order")
def output_depends_on_a_global() -> Arena:
    return capital(
        ("def _error", "CALLS = []\n\ndef _error"),
        (VALUE, VALUE + "\n    CALLS.append(country)"),
        ('"style": style}', '"style": style, "calls": len(CALLS)}'),
    )


@defect("order", "another order")
def tool_that_remembers_its_first_answer() -> Arena:
    return capital(
        ("def _error", "FIRST = []\n\ndef _error"),
        (VALUE, "FIRST.append(DATA[country])\n    value = FIRST[0]"),
    )


@defect("order", "another order")
def tool_that_reads_traces_of_another_call() -> Arena:
    """The second tool answers only when the first has been called in the same process."""
    arena = multi_hop_arena()
    first, second = arena.tools
    first = edited(
        first,
        (
            "value = DATA[university]",
            "value = DATA[university]\n    import json\n    json.visited = value",
        ),
    )
    second = edited(
        second,
        (
            VALUE,
            VALUE + "\n    import json"
            "\n    if getattr(json, 'visited', country) != country:"
            "\n        return _error('busy', 'another country is open')",
        ),
    )
    return changed(arena, tools=(first, second))


@defect("order", "another order")
def tool_that_wears_out() -> Arena:
    return capital(
        ("def _error", "LEFT = [3]\n\ndef _error"),
        (
            VALUE,
            "LEFT[0] -= 1\n    if LEFT[0] < 0:\n"
            "        return _error('quota', 'no calls left')\n    " + VALUE,
        ),
    )


# --- gold ------------------------------------------------------------------------------------


@defect("gold", "is empty")
def empty_answer() -> Arena:
    target = Target(matcher=Matcher.exact, value=" ", field="capital", key={"country": "Germany"})
    return with_goal(single_hop_arena(), "g1", answer=" ", target=target)


@defect("gold", "is empty")
def empty_list_as_main_answer() -> Arena:
    target = Target(matcher=Matcher.text, value=())
    return changed(single_hop_arena(), answer=(), answer_target=target)


@defect("gold", "its target wants")
def answer_that_is_not_the_targets() -> Arena:
    return with_goal(single_hop_arena(), "g1", answer="Bonn")


@defect("gold", "tolerances")
def tolerance_that_takes_anything() -> Arena:
    arena = parallel_arena()
    target = arena.goals[0].target
    assert target is not None
    return with_goal(arena, "g1", target=target.model_copy(update={"relative": 0.9}))


@defect("gold", "also solves")
def one_call_asked_for_twice() -> Arena:
    arena = parallel_arena()
    first = arena.goals[0]
    return changed(arena, goals=(first, first.model_copy(update={"id": "g2"}), *arena.goals[2:]))


@defect("gold", "also solves")
def call_that_solves_two_goals() -> Arena:
    """The second goal has no key, and its answer stands beside the first's."""
    arena = branching_arena()
    tool = edited(capital_tool(), ('"style": style}', '"style": style, "next": "Oslo"}'))
    bergen = arena.goals[2]
    first = single_hop_arena().goals[0].model_copy(update={"id": "g1"})
    loose = Target(matcher=Matcher.exact, value="Oslo", field="next")
    second = bergen.model_copy(update={"id": "g2", "target": loose})
    return seal(
        question="Which cities are the capitals of Germany and of Norway?",
        answer=("Berlin", "Oslo"),
        answer_target=Target(matcher=Matcher.text, value=("Berlin", "Oslo")),
        goals=(first, second),
        tools=(tool,),
        scenario=Scenario.parallel_single_hop,
        language="en",
        domain="countries",
        provenance={"source": "by hand", "key": "1"},
    )


@defect("gold", "empty or default")
def goal_solved_by_defaults() -> Arena:
    tool = edited(capital_tool(), ("_country(country,", "_country(country='Germany',"))
    tool = schema_of(tool, "country", default="Germany")
    parameters = {**tool.document.parameters, "required": []}
    return with_tool(single_hop_arena(), documented(tool, parameters=parameters))


@defect("gold", "empty or default")
def empty_text_that_finds_the_answer() -> Arena:
    return capital(
        ("not isinstance(country, str) or not country.strip()", "not isinstance(country, str)"),
        (KNOWN, "country = country or 'Germany'\n    " + KNOWN),
    )


@defect("gold", "empty or default")
def tool_without_parameters() -> Arena:
    tool = documented(
        capital_tool(),
        parameters={"type": "object", "properties": {}, "additionalProperties": False},
    )
    source = 'def capital_of_country():\n    return {"country": "Germany", "capital": "Berlin"}\n'
    tool = tool.model_copy(update={"source": source})
    call = GoldCall(tool="capital_of_country", arguments={})
    return with_goal(with_tool(single_hop_arena(), tool), "g1", call=call, decoys=())


# --- mutants ---------------------------------------------------------------------------------


@defect("gold", "empty or default")
def tool_that_answers_whatever_is_asked() -> Arena:
    tool = capital_tool()
    head = tool.source.partition("    if not")[0]
    answer = '    return {"country": "Germany", "capital": "Berlin", "style": style}\n'
    return with_tool(single_hop_arena(), tool.model_copy(update={"source": head + answer}))


@defect("mutants", "wrong call (decoy)")
def tool_that_always_returns_its_answer() -> Arena:
    return capital((VALUE, "country, value = 'Germany', 'Berlin'"))


@defect("mutants", "constant")
def tool_that_echoes_the_key_of_a_constant() -> Arena:
    return capital((VALUE, "value = 'Berlin'"))


@defect("mutants", "does not exist")
def tool_that_answers_for_what_does_not_exist() -> Arena:
    always = (VALUE, "value = DATA.get(country, 'Berlin')")
    return capital(("if country not in DATA", "if False"), always)


@defect("mutants", "serves only its own")
def tool_that_serves_only_its_own_entity() -> Arena:
    arena = single_hop_arena()
    return with_tool(arena, capital_tool().model_copy(update={"data": {"Germany": "Berlin"}}))


@defect("mutants", "serves only its own")
def goal_without_decoys() -> Arena:
    return with_goal(single_hop_arena(), "g1", decoys=())


@defect("mutants", "wrong call (decoy)")
def text_that_holds_every_answer() -> Arena:
    tool = capital_tool(plain=True)
    tool = edited(tool, (VALUE, "value = ', '.join(DATA.values())"))
    return with_tool(single_hop_arena(plain=True), tool)


@defect("mutants", "wrong calls can be made")
def too_few_wrong_calls() -> Arena:
    arena = single_hop_arena()
    few = ["Germany", "Japan", "Norway"]
    tool = schema_of(capital_tool(), "country", enum=[*few[1:], few[0]])
    tool = edited(tool, ("style='short'", ""))
    properties = {"country": tool.document.parameters["properties"]["country"]}
    tool = documented(tool, parameters={**tool.document.parameters, "properties": properties})
    tool = edited(
        tool,
        ("    if style not in ('short', 'long'):\n", "    if country not in DATA:\n"),
        (', "style": style', ""),
    )
    decoys = tuple({"country": name} for name in few[1:])
    return with_goal(with_tool(arena, tool), "g1", decoys=decoys)


@defect("mutants", "distractor 'seat_of_government'")
def distractor_that_solves_a_goal() -> Arena:
    twin = lookup_tool(
        "seat_of_government",
        column("capital"),
        parameter="nation",
        field="city",
        description="Where the government of a nation sits.",
        domain="politics",
    )
    return with_distractors(single_hop_arena(), twin)


@defect("mutants", "distractor 'facts'")
def distractor_with_the_answer_among_its_facts() -> Arena:
    source = """
def facts(topic, name):
    row = DATA.get(name)
    if row is None or topic not in row:
        return {"error": {"message": "unknown"}}
    return {"name": name, "topic": topic, "value": row[topic]}
"""
    twin = documented(
        calories_tool(),
        name="facts",
        parameters={
            "type": "object",
            "properties": {
                "topic": {
                    "type": "string",
                    "description": "What about.",
                    "enum": ["currency", "inhabitants", "capital"],
                },
                "name": {"type": "string", "description": "Of what."},
            },
            "required": ["topic", "name"],
        },
    ).model_copy(update={"source": source, "data": COUNTRIES})
    return with_distractors(parallel_arena(), twin)


@defect("mutants", "Limit")
def distractor_that_never_ends() -> Arena:
    twin = edited(
        calories_tool(),
        ("if dish not in DATA:", "while dish not in DATA:\n        pass\n    if False:"),
    )
    return with_distractors(single_hop_arena(), twin)


# --- general ---------------------------------------------------------------------------------


@defect("general", "has no effect")
def optional_parameter_without_effect() -> Arena:
    return capital((', "style": style', ""))


# --- leak ------------------------------------------------------------------------------------


@defect("leak", "the main question")
def answer_in_the_question() -> Arena:
    return changed(single_hop_arena(), question="What is the capital of Germany, if not BERLIN?")


@defect("leak", "the main question")
def number_in_the_question_with_separators() -> Arena:
    arena = multi_hop_arena()
    return changed(arena, question=arena.question + " Is it 38,036,118?")


@defect("leak", "the document")
def answer_in_a_description() -> Arena:
    tool = documented(capital_tool(), description="Seat of government, for example Berlin.")
    return with_tool(single_hop_arena(), tool)


@defect("leak", "the document")
def answer_in_an_example() -> Arena:
    return with_tool(single_hop_arena(), schema_of(capital_tool(), "country", examples=["Berlin"]))


@defect("leak", "the document")
def answer_in_a_tool_name() -> Arena:
    return renamed("is_it_berlin")


@defect("leak", "the question of goal")
def answer_in_another_question() -> Arena:
    return with_goal(multi_hop_arena(), "g2", question="How many people live in Poland?")


# --- grounding -------------------------------------------------------------------------------


@defect("grounding", "comes neither")
def gold_argument_that_nothing_reveals() -> Arena:
    return changed(single_hop_arena(), question="What is the capital of that country?")


@defect("grounding", "comes neither")
def argument_from_an_undeclared_goal() -> Arena:
    arena = with_goal(multi_hop_arena(), "g2", depends_on=())
    return changed(arena, scenario=Scenario.parallel_single_hop)


# --- robust ----------------------------------------------------------------------------------


@defect("robust", "raised")
def crash_on_a_wrong_type() -> Arena:
    return capital(("not isinstance(country, str) or not country.strip()", "not country.strip()"))


@defect("robust", "raised")
def crash_on_an_odd_number() -> Arena:
    arena = single_hop_arena()
    tool = edited(
        capital_tool(),
        ("style='short'", "style='short', year=2000"),
        (VALUE, "import datetime\n    datetime.date(int(year), 1, 1)\n    " + VALUE),
    )
    year = {"type": "integer", "description": "As of which year.", "default": 2000}
    parameters = tool.document.parameters
    properties = {**parameters["properties"], "year": year}
    return with_tool(arena, documented(tool, parameters={**parameters, "properties": properties}))


@defect("robust", "instead of refused")
def answer_to_a_wrong_type() -> Arena:
    return capital(
        (
            CHECKED,
            "country = country if isinstance(country, str) else 'Japan'\n    if",
        )
    )


@defect("robust", "without a message")
def error_without_a_message() -> Arena:
    return capital(('"country must be a non-empty string"', '""'))


@defect("robust", "Limit")
def endless_loop_on_a_wrong_type() -> Arena:
    return capital((CHECKED, "while isinstance(country, dict):\n        pass\n    " + CHECKED))


@defect("robust", "Limit")
def sleep_on_a_wrong_type() -> Arena:
    sleep = "if isinstance(country, dict):\n        import time\n        time.sleep(60)\n    "
    return capital((CHECKED, sleep + CHECKED))


# --- ablation --------------------------------------------------------------------------------


@defect("ablation", "declares that it depends")
def declared_dependency_that_is_none() -> Arena:
    arena = with_goal(parallel_arena(), "g2", depends_on=("g1",))
    return changed(arena, scenario=Scenario.multi_hop)


@defect("ablation", "declares that it depends")
def dependency_whose_answer_is_in_the_question() -> Arena:
    arena = multi_hop_arena()
    return changed(arena, question="How many live in Poland, where Jagiellonian University is?")


@defect("ablation", "declares that it depends")
def dependency_whose_answer_is_in_an_enum() -> Arena:
    arena = multi_hop_arena()
    tool = schema_of(arena.tools[1], "country", enum=list(COUNTRIES))
    return with_tool(arena, tool)


@defect("ablation", "cycle")
def cyclic_dependency() -> Arena:
    return with_goal(multi_hop_arena(), "g1", depends_on=("g2",))


@defect("ablation", "does not exist")
def dependency_on_nothing() -> Arena:
    return with_goal(multi_hop_arena(), "g2", depends_on=("g9",))


@defect("ablation", "an answer node")
def answer_node_that_is_no_leaf() -> Arena:
    return with_goal(parallel_arena(), "g2", depends_on=("g3",))


@defect("ablation", "same id")
def two_goals_of_one_id() -> Arena:
    return with_goal(parallel_arena(), "g2", id="g1")


@defect("ablation", "scenario")
def wrong_scenario() -> Arena:
    return changed(multi_hop_arena(), scenario=Scenario.parallel_multi_hop)


# --- spelling --------------------------------------------------------------------------------


@defect("spelling", "spelling")
def only_the_case_of_the_gold_call_is_known() -> Arena:
    return changed(single_hop_arena(), question="what is the capital of germany?")


# --- the tests -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEFECTS)
async def test_planted_defect_is_found_by_its_check(name: str, sandbox: Sandbox) -> None:
    await DEFECTS.require_found(name, sandbox)


@pytest.mark.parametrize("name", good_arenas())
async def test_good_arenas_are_certified(name: str, sandbox: Sandbox) -> None:
    arena = with_distractors(good_arenas()[name], calories_tool())
    certificate = await certify(arena, sandbox, seed=3)
    assert [result for result in certificate.checks if not result.passed] == []
    assert certificate.certified
    assert tuple(result.check for result in certificate.checks) == CHECKS
    assert (certificate.arena, certificate.sandbox) == (arena.id, sandbox.level)
    assert certificate.seeds == (3, 4, 5)


def test_every_check_has_a_planted_defect() -> None:
    assert {check for check, _, _ in DEFECTS.values()} == set(CHECKS)
