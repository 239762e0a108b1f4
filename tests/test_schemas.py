"""Validators in bounded time: patterns, unique items, references."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

import astra
from astra.core.json_schema import validator
from astra.core.patterns import is_fixed, is_matchable
from astra.hosts.emulator import EmulatedTool, result_problem
from astra.models.arguments import random_arguments
from astra.protocols import ToolResult
from astra.runs.folder import RunFolder
from astra.trajectories.collect.schemas import any_schema
from astra.trajectories.records import CollectedToolServer
from astra.types import ToolSchema

NASTY = "a" * 5000 + "!"


def fits(schema: dict[str, Any], value: Any) -> bool:
    return validator(json.dumps(schema)).is_valid(value)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|aa)+$", "^(a*)*b", "a*a*a*a*a*a*b", "(x+x+)+y"])
def test_patterns_of_exponential_time_are_quick(pattern: str) -> None:
    start = time.process_time()
    text = NASTY.replace("a", "x") if "x" in pattern else NASTY
    assert not fits({"pattern": pattern}, text)
    assert fits({"patternProperties": {pattern: False}}, {text: 1})
    assert fits({"patternProperties": {pattern: {}}, "additionalProperties": False}, {text: 1})
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("^[a-z0-9-]+$", "oslo-1", "Oslo"),
        (r"^\d{4}$", "2024", "202"),
        ("^(en|zh)$", "zh", "fr"),
        ("^[A-Z][a-z]*( [A-Z][a-z]*)*$", "New York", "new york"),
        ("", "anything", None),
    ],
)
def test_patterns_mean_what_they_say(pattern: str, yes: str, no: str | None) -> None:
    assert fits({"pattern": pattern}, yes)
    assert no is None or not fits({"pattern": pattern}, no)
    assert fits({"pattern": pattern}, 7)


def test_what_needs_a_look_ahead_is_left_to_the_tool() -> None:
    assert fits({"pattern": "^(?!b)a+$"}, "a") and fits({"pattern": "^(?!b)a+$"}, "b")


def test_names_of_properties() -> None:
    named = {"patternProperties": {"^x_": {"type": "integer"}}, "additionalProperties": False}
    assert fits(named, {"x_a": 1})
    assert not fits(named, {"x_a": "1"}) and not fits(named, {"y": 1})
    free = {"patternProperties": {"^x+$": {"type": "integer"}}, "additionalProperties": False}
    assert fits(free, {"xx": 1}) and not fits(free, {"xx": "1"})


def test_what_is_no_schema_raises() -> None:
    with pytest.raises(SchemaError):
        validator('{"type": 7}')
    with pytest.raises(SchemaError):
        validator('{"pattern": "(a"}')
    with pytest.raises(Unresolvable):
        fits({"$ref": "http://127.0.0.1:9/x.json"}, 1)


def test_unique_items_are_quick_and_know_numbers_only() -> None:
    assert fits({"uniqueItems": True}, list(range(20_000)))
    assert not fits({"uniqueItems": True}, [1, 1.0]) and fits({"uniqueItems": True}, [1, True])


def test_long_enums_are_quick_and_know_numbers_only() -> None:
    count = 4_000
    listed = {"items": {"enum": list(range(count))}}
    start = time.process_time()
    assert fits(listed, list(range(count))) and not fits(listed, [*range(count), count])
    assert time.process_time() - start < 3
    assert fits(listed, [7.0]) and not fits(listed, [True]) and not fits(listed, ["7"])
    mixed = {"enum": [*map(str, range(count)), {"a": [1]}]}
    assert fits(mixed, {"a": [1.0]}) and not fits(mixed, {"a": [True]}) and not fits(mixed, 7)


def test_fixed_patterns_have_no_choice_of_length() -> None:
    assert is_fixed(r"^[A-Z]{2}\d\d$") and is_fixed("")
    assert not any(map(is_fixed, ["a+", "a*", "a?", "(a)", "a|b", "a{1,2}"]))


SLOW = {
    "type": "object",
    "properties": {"code": {"type": "string", "pattern": "^(a|a)*$"}},
    "required": ["code"],
}
SLOW_CODE = {"code": "a" * 5000 + "!"}


def _slow_tool() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "description": description,
            "parameters": SLOW,
            "examples": [{"code": "a" * 40 + "!"}],
        }
        for name, description in (
            ("find_order", "Looks up one order of the shop by its code."),
            ("cancel_order", "Cancels an order that was not shipped yet."),
            ("refund", "Pays the money for an order back to the customer."),
        )
    ]


def test_collecting_tools_with_a_slow_pattern_ends(tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps(_slow_tool()))
    command = ("tools", "collect", "tools.json", "--teacher", "rules", "--out", "out")
    subprocess.run([sys.executable, "-m", "astra", *command], cwd=tmp_path, timeout=120, check=True)
    (server,) = RunFolder.open(tmp_path / "out").rows("servers", CollectedToolServer)
    assert server.tools[0].document.parameters["properties"]["code"]["pattern"] == "^(a|a)*$"


def test_an_emulated_result_with_a_slow_pattern_is_checked_in_time() -> None:
    document = ToolSchema(name="find", description="Finds.", parameters={"type": "object"})
    tool = EmulatedTool(document, output_schema=SLOW)
    start = time.process_time()
    assert "does not fit the output schema: code" in result_problem(tool, ToolResult(SLOW_CODE))
    assert not result_problem(tool, ToolResult({"code": "aaa"}))
    assert time.process_time() - start < 5


def test_random_arguments_for_a_slow_pattern_are_made_in_time() -> None:
    code = {"type": "string", "pattern": "^(a|a)*$", "minLength": 5000}
    start = time.process_time()
    assert random_arguments({"properties": {"code": code}, "required": ["code"]}, Random(0)) is None
    assert time.process_time() - start < 5


def test_patterns_that_no_linear_engine_reads_are_told_in_words() -> None:
    schema = {"type": "string", "pattern": "^(?!b)a+$"}
    converted = any_schema(schema)
    assert "pattern" not in converted.schema and "^(?!b)a+$" in converted.schema["description"]
    assert not is_matchable("^(?!b)a+$") and not is_matchable("(") and is_matchable("^(a|a)*$")


def test_validators_are_made_in_one_place() -> None:
    """Others would match patterns with Python's engine, and fetch references."""
    source = Path(astra.__file__).parent
    made = [
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"Draft\w+Validator|validator_for|jsonschema\.validate", path.read_text())
    ]
    assert made == ["core/json_schema.py"]
