"""Kinds of bad tool that language models write, each planted in a small arena, and good tools
that look like them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from astra.arenas.certificate import certify
from astra.arenas.certificate.question_forms import is_offered, without_numbering
from astra.protocols import Sandbox
from astra.types import Arena, GoldCall, Json, Matcher, Scenario, Target, Tool, ToolSchema
from tests.certificate.planting import KNOWN, PlantedDefects, capital, edited
from tests.certificate.test_seams import RESULT, ROWS, with_parameter
from tests.support.arenas import (
    COUNTRIES,
    capital_tool,
    changed,
    choice_arena,
    multi_hop_arena,
    parallel_arena,
    seal,
    single_hop_arena,
    with_goal,
    with_tool,
)

KINDS = PlantedDefects()
kind = KINDS.add
VALUE = "value = DATA[country]"
NOT_FOUND = 'return _error("not_found", "no record of that name")'

# --- a tool for one entity ---------------------------------------------------------------------


OTHERS = {
    "null": "None",
    "an error as a text": '{"error": "not found"}',
    "null in the answer's place": '{"country": country, "capital": None}',
    "an empty text": '{"country": country, "capital": ""}',
    "a word for nothing": '{"country": country, "capital": "Unknown"}',
    "an empty list": "[]",
    "another field": '{"country": country, "city": "Tokyo"}',
}


def _own(other: str) -> Arena:
    return capital((VALUE, f'if country != "Germany":\n        return {other}\n    {VALUE}'))


for _title, _other in OTHERS.items():
    KINDS[f"only its own, else {_title}"] = (
        "mutants",
        "serves only its own",
        lambda other=_other: _own(other),
    )


@kind("mutants", "serves only its own")
def what_it_says_of_anything_else_is_one_sentence() -> Arena:
    sentence = '"We have nothing on file"'
    alone = f'if country != "Germany":\n        return {sentence}\n    {KNOWN}'
    return capital((KNOWN, alone), plain=True)


@kind("general", "hard-coded")
def nonsense_around_one_answer() -> Arena:
    nonsense = 'value = "Berlin" if country == "Germany" else country[::-1] + " City"'
    return capital((KNOWN, "pass\n"), (VALUE, nonsense))


@kind("general", "hard-coded")
def numbers_made_up_around_one_answer() -> Arena:
    arena = parallel_arena()
    tool = edited(
        arena.tools[0],
        (KNOWN, "pass\n"),
        (VALUE, "value = DATA.get(country, 7919 * len(country) + ord(country[0]))"),
    )
    return with_tool(arena, tool)


@kind("general", "all decoys of goal")
def constant_for_all_decoys_but_one() -> Arena:
    arena = parallel_arena()
    number = COUNTRIES["Japan"]["inhabitants"]
    constant = f"value = {number} if country not in ('Norway', 'Kenya') else DATA[country]"
    goal = arena.goals[0]
    decoys = tuple({"country": c} for c in ("Norway", "Brazil", "Poland", "France"))
    arena = with_goal(arena, goal.id, decoys=decoys)
    return with_tool(arena, edited(arena.tools[0], (VALUE, constant)))


# --- ways to the whole table -------------------------------------------------------------------


def listing(condition: str, rows: str = ROWS) -> tuple[str, str]:
    return (KNOWN, f"if {condition}:\n        return {rows}\n    {KNOWN}")


@kind("general", "(everything)")
def pattern_that_lists_the_table() -> Arena:
    return capital(listing('country == ".*"'))


@kind("general", "(word)")
def word_of_its_own_that_lists_the_table() -> Arena:
    return capital(listing('country.lower() == "world"'))


@kind("general", "shows the answer")
def wildcard_that_shows_the_table_by_name() -> Arena:
    return capital(listing('country == "*"', "dict(DATA)"))


@kind("general", "(part)")
def substring_search() -> Arena:
    find = "country = next((c for c in DATA if len(country) > 2 and country in c), country)\n"
    return capital((KNOWN, f"{find}    {KNOWN}"))


@kind("general", "(option)")
def limit_that_lists_the_table() -> Arena:
    tool = with_parameter(capital_tool(), "limit", 1, type="integer")
    return with_tool(
        single_hop_arena(),
        edited(tool, (RESULT, f"if limit == 0:\n        return {ROWS}\n    {RESULT}")),
    )


@kind("general", "(option)")
def free_text_option_that_lists_the_table() -> Arena:
    tool = with_parameter(capital_tool(), "scope", "", type="string")
    return with_tool(
        single_hop_arena(),
        edited(tool, (RESULT, f'if scope == "europe":\n        return {ROWS}\n    {RESULT}')),
    )


@kind("general", "(option)")
def ninth_choice_that_lists_the_table() -> Arena:
    names = [f"view_{i}" for i in range(12)]
    tool = with_parameter(capital_tool(), "view", names[0], type="string", enum=names)
    checked = f'if view not in {names}:\n        return _error("x", "no such view")\n    '
    rows = f'if view == "view_9":\n        return {ROWS}\n    '
    return with_tool(
        single_hop_arena(), edited(tool, (KNOWN, checked + KNOWN), (RESULT, rows + RESULT))
    )


@kind("general", "(options)")
def two_options_at_once_that_list_the_table() -> Arena:
    tool = with_parameter(capital_tool(), "every", False, type="boolean")
    tool = edited(
        tool, (RESULT, f'if every and style == "long":\n        return {ROWS}\n    {RESULT}')
    )
    return with_tool(single_hop_arena(), tool)


@kind("general", "error message")
def error_that_lists_the_table() -> Arena:
    return capital((NOT_FOUND, 'return _error("not_found", f"known are {DATA}")'))


@kind("general", "error message")
def error_that_states_the_answer() -> Arena:
    return capital((NOT_FOUND, 'return {"error": "try Germany, whose capital is Berlin"}'))


@kind("general", "gives back an argument")
def option_that_comes_back_as_the_answer() -> Arena:
    tool = with_parameter(capital_tool(), "guess", "", type="string")
    return with_tool(single_hop_arena(), edited(tool, (VALUE, "value = guess or DATA[country]")))


@kind("general", "a step can be skipped")
def second_tool_that_takes_the_first_ones_input() -> Arena:
    arena = multi_hop_arena()
    first, second = arena.tools
    both: dict[str, Json] = {**second.data, **{u: second.data[c] for u, c in first.data.items()}}
    return with_tool(arena, second.model_copy(update={"data": both}))


# --- answers that are guessed ------------------------------------------------------------------


def keyless(values: dict[str, Json]) -> Arena:
    tool = capital_tool().model_copy(update={"data": values})
    answer = values["Germany"]
    assert isinstance(answer, str | int)
    target = Target(matcher=Matcher.exact, value=answer, field="capital")
    others = tuple({"country": c} for c in COUNTRIES if values[c] != answer)
    arena = with_goal(
        with_tool(single_hop_arena(), tool), "g1", answer=answer, target=target, decoys=others
    )
    final = Target(matcher=Matcher.exact, value=answer)
    return changed(arena, answer=answer, answer_target=final)


@kind("general", "two answers and no key")
def two_answers_without_a_key() -> Arena:
    return keyless(
        {c: "left" if c in ("Japan", "Kenya", "France", "Poland") else "right" for c in COUNTRIES}
    )


@kind("general", "small number")
def small_count_without_a_key() -> Arena:
    return keyless({c: i + 2 for i, c in enumerate(COUNTRIES)})


# --- limits ------------------------------------------------------------------------------------


# On a busy machine the limit of wall time comes first.
@kind("replay", "SandboxLimit")
def call_that_computes_for_most_of_a_second() -> Arena:
    burn = "n = 0\n    while n < 40_000_000:\n        n += 1\n    "
    return capital((VALUE, burn + VALUE))


@kind("general", "characters, at most")
def result_of_nineteen_thousand_characters() -> Arena:
    return capital((RESULT, RESULT.replace("style}", 'style, "pad": "x" * 19_000}')))


@pytest.mark.parametrize("name", KINDS)
async def test_a_kind_of_bad_tool_is_found_by_its_check(name: str, sandbox: Sandbox) -> None:
    await KINDS.require_found(name, sandbox)


# --- good arenas -------------------------------------------------------------------------------


def function_arena(
    source: str,
    parameter: dict[str, Json],
    gold: Json,
    answer: str | int | float,
    others: list[Json],
    question: str,
) -> Arena:
    """One keyless call of a function of one argument, `x`, that answers in the field `result`."""
    document = ToolSchema(
        name="look_up",
        description="Reads a printed scale.",
        parameters={
            "type": "object",
            "properties": {"x": {"description": "What to look up.", **parameter}},
            "required": ["x"],
            "additionalProperties": False,
        },
    )
    matcher = Matcher.exact if isinstance(answer, str) else Matcher.number
    base = single_hop_arena()
    goal = base.goals[0].model_copy(
        update={
            "question": question,
            "answer": answer,
            "call": GoldCall(tool="look_up", arguments={"x": gold}),
            "target": Target(matcher=matcher, value=answer, field="result"),
            "decoys": tuple({"x": other} for other in others),
        }
    )
    return seal(
        question=question,
        answer=answer,
        answer_target=Target(matcher=matcher, value=answer),
        goals=(goal,),
        tools=(Tool(document=document, source=source, data={}, domain="scales"),),
        scenario=Scenario.single_hop,
        language="en",
        domain="scales",
        provenance={"source": "by hand", "key": "2", "seed": 0},
    )


_NUMBER_ONLY = """
    if isinstance(x, bool) or not isinstance(x, (int, float)) or not 0 <= x < 10**6:
        return {"error": {"message": "x must be a number of grams"}}
"""
_POSTAGE = f"""
def look_up(x):
{_NUMBER_ONLY}
    for most, price in ((20, 0.95), (50, 1.1), (500, 1.8), (1000, 2.9)):
        if x <= most:
            return {{"result": price}}
    return {{"result": 19.99}}
"""
_RULERS = """
import datetime

def look_up(x):
    try:
        day = datetime.date.fromisoformat(x)
    except (TypeError, ValueError):
        return {"error": {"message": "x must be a date, YYYY-MM-DD"}}
    reigns = (("1837-06-20", "Victoria"), ("1901-01-22", "Edward"), ("1910-05-06", "George"))
    names = [name for start, name in reigns if datetime.date.fromisoformat(start) <= day]
    if not names:
        return {"error": {"message": "before the first reign"}}
    return {"result": names[-1]}
"""
_RAISES = """
def look_up(x):
    if not isinstance(x, str) or not x.strip():
        raise ValueError("x must be a name")
    metals = {"gold": "yellow", "copper": "reddish", "iron": "grey", "cobalt": "bluish"}
    if x not in metals:
        return {"error": {"message": "not a metal of the scale"}}
    return {"result": metals[x]}
"""
_CONVERTS = """
def look_up(x):
    try:
        number = int(x)
    except (TypeError, ValueError, OverflowError):
        return {"error": {"message": "x must be a whole number"}}
    if abs(number) > 10**6:
        return {"error": {"message": "x is too large"}}
    return {"result": number * number * 31 + 1000}
"""


def postage() -> Arena:
    question = "What does a letter of 120 grams cost?"
    weight: dict[str, Json] = {"type": "number"}
    return function_arena(_POSTAGE, weight, 120, 1.8, [10, 30, 700, 3000], question)


def a_day_later() -> Arena:
    question = "Who reigned on 1903-04-05?"
    others: list[Json] = ["1850-01-01", "1880-05-05", "1912-01-01", "1915-03-03"]
    return function_arena(_RULERS, {"type": "string"}, "1903-04-05", "Edward", others, question)


def raises_value_error() -> Arena:
    question = "Which colour has copper?"
    others: list[Json] = ["gold", "iron", "cobalt"]
    return function_arena(_RAISES, {"type": "string"}, "copper", "reddish", others, question)


def numeric_text() -> Arena:
    question = "Which value belongs to the number 57?"
    integer: dict[str, Json] = {"type": "integer"}
    return function_arena(_CONVERTS, integer, 57, 57 * 57 * 31 + 1000, [3, 9, 12, 40], question)


def one_of_two() -> Arena:
    return changed(single_hop_arena(), question="The capital of Germany: is it Berlin or Oslo?")


def numbered() -> Arena:
    arena = keyless({c: i + 2 for i, c in enumerate(COUNTRIES)})
    target = arena.goals[0].target
    assert target is not None
    keyed = target.model_copy(update={"key": {"country": "Germany"}})
    arena = with_goal(arena, "g1", target=keyed)
    return changed(arena, question="1. Take Germany. 2. How many capitals did it have?")


def one_of_two_compared() -> Arena:
    return choice_arena("Compare Japan and Kenya: which has more people?")


GOOD = (
    *(postage, a_day_later, raises_value_error, numeric_text, one_of_two, one_of_two_compared),
    numbered,
)


@pytest.mark.parametrize("arena", GOOD, ids=lambda arena: arena.__name__)
async def test_a_good_arena_that_looks_odd_is_certified(
    arena: Callable[[], Arena], sandbox: Sandbox
) -> None:
    certificate = await certify(arena(), sandbox)
    assert [check for check in certificate.checks if not check.passed] == []
    assert certificate.certified


async def test_an_answer_that_is_named_but_not_to_choose_from_leaks(sandbox: Sandbox) -> None:
    certificate = await certify(choice_arena("How many more people has Japan than Kenya?"), sandbox)
    (failed,) = (check for check in certificate.checks if not check.passed)
    assert failed.check == "leak" and "Japan" in failed.reason


@pytest.mark.parametrize(
    ("question", "plain"),
    [
        ("1. Name it. 2. How many?", "Name it. How many?"),
        ("Question 3: how many?", "how many?"),
        ("(1) Name it; (2) how many?", "Name it; how many?"),
        ("Is it so? 3. It is.", "Is it so? 3. It is."),
        ("There are 2. How many?", "There are 2. How many?"),
    ],
)
def test_only_numbering_is_left_out(question: str, plain: str) -> None:
    assert " ".join(without_numbering(question).split()) == plain


@pytest.mark.parametrize(
    ("question", "offered"),
    [
        ("Is it Lima or Oslo?", True),
        ("Which is higher, Oslo or Lima?", True),
        ("What is it, if not LIMA?", False),
        ("It is Lima. Is it Lima or Oslo?", False),
        ("Is it Lima or so?", False),
        ("It is Lima or Oslo.", False),
        ("Is it lima or oslo?", True),
        ("Tell me whether Lima or Oslo is higher.", True),
        ("Compare the rents in Lima and Oslo; which one is cheaper?", True),
        ("Compare the rents at both lima and oslo. Which city has the lower one?", True),
        ("In Lima vs in Oslo, which costs less?", True),
        ("Which country do Lima and Oslo lie in?", False),
        ("Compare the rents in Lima and Oslo.", False),
        ("Lima is cheap. Lima and Oslo: which one is cheaper?", False),
        ("How much cheaper is Lima than Oslo?", False),
    ],
)
def test_an_offer_is_not_a_leak(question: str, offered: bool) -> None:
    assert is_offered("Lima", question) is offered


@pytest.mark.parametrize(
    ("question", "offered"),
    [
        ("利马还是奥斯陆更古老？", True),
        ("比较利马和奥斯陆，哪个更古老？", True),
        ("利马和奥斯陆在哪个国家？", False),
        ("利马有多少人？", False),
    ],
)
def test_an_offer_in_chinese_is_not_a_leak(question: str, offered: bool) -> None:
    assert is_offered("利马", question) is offered
