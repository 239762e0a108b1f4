"""Validators in bounded time: patterns, unique items, references."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from astra.core.json_schema import is_fixed, validator

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


def test_fixed_patterns_have_no_choice_of_length() -> None:
    assert is_fixed(r"^[A-Z]{2}\d\d$") and is_fixed("")
    assert not any(map(is_fixed, ["a+", "a*", "a?", "(a)", "a|b", "a{1,2}"]))
