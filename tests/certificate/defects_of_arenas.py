"""Planted defects of names, documents, questions and goals: most are found without a call."""

from __future__ import annotations

from astra.types import Arena, GoldCall, Matcher, Scenario, Target
from tests.certificate.planting import (
    KNOWN,
    PlantedDefects,
    capital,
    documented,
    edited,
    schema_of,
)
from tests.support.arenas import (
    COUNTRIES,
    branching_arena,
    calories_tool,
    capital_tool,
    changed,
    column,
    lookup_tool,
    multi_hop_arena,
    parallel_arena,
    seal,
    single_hop_arena,
    with_distractors,
    with_goal,
    with_tool,
)

ARENA_DEFECTS = PlantedDefects()
defect = ARENA_DEFECTS.add


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
