"""Planted defects of how tools behave when they are called."""

from __future__ import annotations

from astra.types import Arena, Matcher, Target
from tests.certificate.planting import (
    PlantedDefects,
    capital,
    documented,
    edited,
    schema_of,
)
from tests.support.arenas import (
    COUNTRIES,
    calories_tool,
    capital_tool,
    changed,
    column,
    lookup_tool,
    multi_hop_arena,
    parallel_arena,
    single_hop_arena,
    with_distractors,
    with_goal,
    with_tool,
)

TOOL_DEFECTS = PlantedDefects()
defect = TOOL_DEFECTS.add

VALUE = "value = DATA[country]"
CHECKED = "if not isinstance(country, str) or"


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


# --- spelling --------------------------------------------------------------------------------


@defect("spelling", "spelling")
def only_the_case_of_the_gold_call_is_known() -> Arena:
    return changed(single_hop_arena(), question="what is the capital of germany?")
