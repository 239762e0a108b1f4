"""What the checks read: signatures, documents, places, wrong calls. Each with what it refuses."""

from __future__ import annotations

import random

import pytest
from jsonschema import Draft202012Validator

from astra.arenas.certificate.arena_under_test import ArenaUnderTest
from astra.arenas.certificate.containment import document_text, offered, stands_in
from astra.arenas.certificate.function_signature import MAX_SOURCE, BadSource, signature
from astra.arenas.certificate.leak import leaks
from astra.arenas.certificate.parameters import accepts
from astra.arenas.certificate.schema import KEYWORDS, document_problem
from astra.arenas.certificate.wrong_calls import (
    MOST_MUTANTS,
    canonical_call,
    other_values,
    wrong_calls,
)
from astra.arenas.scenarios import scenario_of
from astra.protocols import Sandbox
from tests.support.arenas import (
    capital_tool,
    good_arenas,
    parallel_arena,
    single_hop_arena,
)

# --- signatures ------------------------------------------------------------------------------


def test_a_signature_is_read_without_running_the_source() -> None:
    source = "raise SystemExit\ndef f(a, b=-1, *, c='x', d=print()):\n    pass\n"
    assert [tuple(parameter) for parameter in signature(source, "f")] == [
        ("a", True, None, False),
        ("b", False, -1, True),
        ("c", False, "x", True),
        ("d", False, None, False),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "",
        "f = lambda a: a",
        "async def f(a):\n    pass",
        "if True:\n    def f(a):\n        pass",
        "@staticmethod\ndef f(a):\n    pass",
        "def f(a, /):\n    pass",
        "def f(*a):\n    pass",
        "def f(**a):\n    pass",
        "def f(a):\n    pass\ndef f(b):\n    pass",
        "def f(a):\n    pass\nfrom os import path as f",
        "def f(a):\n    pass\nfor f in ():\n    pass",
        "def f(a):\n    pass\ndef g():\n    global f\n    f = 1",
        "def f(a):\n    pass\nwith open('x') as f:\n    pass",
        "def f(a):\n    pass\n(f := 1)",
        "def f(a):\n    pass\n\uff46 = 1",
        "from os import *\ndef f(a):\n    pass",
        "from . import x\ndef f(a):\n    pass",
        "def f(a):\n    try:\n        import requests\n    except ImportError:\n        pass",
        "def f(a):\n    pass\x00",
        "def f(a):" + "\n" * MAX_SOURCE,
        "x = " + "(" * 5_000 + "\ndef f(a):\n    pass",
        "x" + ".a" * 20_000 + "\ndef f(a):\n    pass",
        "x = 1" + "+1" * 20_000 + "\ndef f(a):\n    pass",
    ],
)
def test_sources_without_one_plain_function_are_refused(source: str) -> None:
    with pytest.raises(BadSource):
        signature(source, "f")


# --- documents -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "text", "description": "x"}, "type"),
        ({"description": "x"}, "type"),
        ({"type": "string"}, "no description"),
        ({"type": "string", "description": 3}, "no description"),
        ({"type": "string", "description": "x", "enum": []}, "at least one"),
        ({"type": "string", "description": "x", "enum": ["a", "a"]}, "each once"),
        ({"type": "string", "description": "x", "enum": [1]}, "own schema"),
        ({"type": "string", "description": "x", "enum": "a"}, "valid JSON Schema"),
        ({"type": "string", "description": "x", "examples": [1]}, "own schema"),
        ({"type": "string", "description": "x", "maxLength": -1}, "valid JSON Schema"),
        ({"type": "string", "description": "x", "pattern": "(x*)*"}, "fixed length"),
        ({"type": "string", "description": "x", "pattern": "a?a?a?aaa"}, "fixed length"),
        ({"type": "array", "description": "x"}, "items"),
        ({"type": "array", "description": "x", "items": {"$ref": "#"}}, "$ref"),
        ({"type": "object", "description": "x", "properties": {"y": {"type": "null"}}}, "no desc"),
        ({"type": "object", "description": "x", "additionalProperties": {}}, "additional"),
        ({"type": "string", "description": "x", "anyOf": [{}]}, "anyOf"),
        (True, "no description"),
    ],
)
def test_bad_schemas_of_a_parameter_are_refused(schema: object, words: str) -> None:
    tool = capital_tool()
    parameters = tool.document.parameters
    document = tool.document.model_copy(
        update={
            "parameters": {
                **parameters,
                "properties": {**parameters["properties"], "country": schema},
            }
        }
    )
    assert words in document_problem(tool.model_copy(update={"document": document}))


def test_deep_schemas_are_refused() -> None:
    schema: dict[str, object] = {"type": "string", "description": "x"}
    for _ in range(60):
        schema = {"type": "array", "description": "x", "items": schema}
    tool = capital_tool()
    parameters = {"type": "object", "properties": {"country": schema}}
    document = tool.document.model_copy(update={"parameters": parameters})
    assert "deep" in document_problem(tool.model_copy(update={"document": document}))


def test_good_documents_have_no_problem() -> None:
    for arena in good_arenas().values():
        assert [document_problem(tool) for tool in arena.tools] == [""] * len(arena.tools)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": ["number", "null"]},
        {"type": "string", "enum": ["a", ""]},
        {"type": "integer", "minimum": 2},
        {"type": "string", "pattern": r"\d{2}"},
        {"type": "array", "items": {"type": "boolean"}},
    ],
)
def test_accepting_a_value_is_what_the_validator_says(schema: dict[str, object]) -> None:
    assert set(schema) <= KEYWORDS
    check = Draft202012Validator(schema)
    for value in (1, 2.0, 2.5, True, None, "a", "", "12", [], [True], [1], {}):
        assert accepts(schema, value) == check.is_valid(value), value


# --- places ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text", "stands"),
    [
        (3, "in 2023", False),
        (3, "the top 3 of them", True),
        (1234567, "1,234,567 people", True),
        ("1990-05-01", "on May 1, 1990", True),
        ("1990-05-01", "1990年5月1日", True),
        ("1990-05-01", "on May 2, 1990", False),
        ("Paris", "PARIS, Texas", True),
        ("Paris", "Parisian", False),
        ("中国", "关于中国的问题", True),
        (True, "true", False),
        (None, "None", False),
    ],
)
def test_values_stand_in_texts(value: object, text: str, stands: bool) -> None:
    assert stands_in(value, text) is stands


@pytest.mark.parametrize(
    ("answer", "text", "leaked"),
    [
        ("IS", "What is it?", False),
        ("IS", "Which country has the code IS?", True),
        ("USA", "the usage", False),
        ("yes", "yes or no", False),
        (True, "true", False),
        (("Oslo", "Bergen"), "Oslo and Trondheim", False),
        (("Oslo", "Bergen"), "Bergen, then Oslo", True),
        (2, "the two largest", False),
        (2, "the top 2", True),
        ((), "", False),
    ],
)
def test_leaks(answer: object, text: str, leaked: bool) -> None:
    assert leaks(answer, text) is leaked  # type: ignore[arg-type]


def test_a_document_is_read_to_its_last_word() -> None:
    text = document_text(capital_tool())
    for word in ("capital of country", "Seat of government", "style", "How much", "long", "short"):
        assert word in text


def test_documents_offer_enums_defaults_and_booleans() -> None:
    assert offered({"type": "string", "enum": ["km"]}, "km")
    assert offered({"type": "integer", "default": 5}, 5)
    assert offered({"type": "boolean"}, True)
    assert offered({"type": "array", "items": {"type": "string", "enum": ["a"]}}, ["a"])
    assert not offered({"type": "integer", "default": 1}, True)
    assert not offered({"type": "string", "enum": ["km"]}, "mi")
    assert not offered({"type": "array", "items": {"type": "string"}}, [])


# --- wrong calls -----------------------------------------------------------------------------


def test_canonical_calls_fill_defaults_and_fold_case() -> None:
    tool = capital_tool()
    gold = canonical_call(tool, {"country": "Germany"})
    assert canonical_call(tool, {"country": " GERMANY ", "style": "short"}) == gold
    assert canonical_call(tool, {"country": "Germany", "style": "long"}) != gold
    assert canonical_call(tool, {"country": "Japan"}) != gold


def test_wrong_calls_are_many_and_differ_from_gold_in_what_is_required(sandbox: Sandbox) -> None:
    for arena in good_arenas().values():
        case = ArenaUnderTest(arena, sandbox, 0)
        for step in case.steps:
            tool = case.tools[step.call.tool]
            mutants = wrong_calls(case, step, random.Random(0))
            keys = [canonical_call(tool, mutant.arguments) for mutant in mutants]
            assert len(mutants) >= MOST_MUTANTS
            assert len(set(keys)) == len(keys)
            for mutant in mutants:
                for name in tool.document.parameters["required"]:
                    assert mutant.arguments[name] != step.call.arguments[name]


def test_a_decoy_that_is_the_gold_call_is_no_wrong_call(sandbox: Sandbox) -> None:
    arena = single_hop_arena()
    goal = arena.goals[0].model_copy(
        update={"decoys": ({"country": "germany"}, {"country": "Germany", "style": "short"})}
    )
    case = ArenaUnderTest(arena.model_copy(update={"goals": (goal,)}), sandbox, 0)
    kinds = {mutant.kind for mutant in wrong_calls(case, case.steps[0], random.Random(0))}
    assert kinds == {"unknown"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 5),
        ({"type": "integer"}, 10**12),
        ({"type": "number"}, 0.5),
        ({"type": "number"}, 0),
        ({"type": "string"}, "1999-12-31"),
        ({"type": "string"}, "42"),
        ({"type": "string"}, "阿"),
        ({"type": "string", "enum": ["a", "b", "c"]}, "b"),
        ({"type": "boolean"}, True),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
    ],
)
def test_other_values_differ_and_fit(schema: dict[str, object], value: object) -> None:
    values = [other for _, other in other_values(schema, value, random.Random(1))]
    fitting = [other for other in values if accepts(schema, other)]
    assert fitting
    assert value not in fitting


# --- shapes ------------------------------------------------------------------


def test_shapes() -> None:
    for arena in good_arenas().values():
        assert scenario_of(arena.goals) is arena.scenario
    assert scenario_of(parallel_arena().goals[:1]).value == "single_hop"
