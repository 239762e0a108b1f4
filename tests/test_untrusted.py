"""Untrusted JSON is refused with a reason, and never ends the stack."""

from __future__ import annotations

import json

import pytest

from astra.core.messages import conversation_to_openai, message_from_openai, read_arguments
from astra.core.untrusted import JSON_DEPTH, check_json, read_json, read_json_at
from astra.types import Json, Message, ToolCallRequest


def nested(levels: int) -> Json:
    value: Json = 1
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested deeper than 64"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested deeper than 64"),
        (json.dumps(nested(JSON_DEPTH + 1)), "nested deeper than 64"),
        ('{"a": 1e999}', "beyond 1.8e308"),
        ("1" + "0" * 400, "beyond 1.8e308"),
        ("NaN", "NaN is not a JSON value"),
        ('["\\ud800"]', "surrogate"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ("{} {}", "Extra data"),
        ("x" * 200, "at most 100"),
    ],
)
def test_json_beyond_the_bounds_is_refused(text: str, reason: str) -> None:
    most = 100 if text.startswith("x") else None
    with pytest.raises(ValueError, match=reason):
        read_json(text, most=most, unique_keys=True)


def test_the_bounds_themselves_are_allowed() -> None:
    assert read_json(json.dumps(nested(JSON_DEPTH))) == nested(JSON_DEPTH)
    check_json({"a": [1.5, None, True, "é", 10**308]})
    assert read_json_at('say {"a": "two\nlines"}.', 4) == ({"a": "two\nlines"}, 22)


def test_a_value_deeper_than_the_stack_is_refused() -> None:
    with pytest.raises(ValueError, match="nested"):
        check_json(nested(100_000))


def test_arguments_are_objects_or_nothing() -> None:
    assert read_arguments(" ") == {}
    assert [read_arguments(text) for text in ("[1]", "{", "[" * 100_000)] == [None, None, None]


def test_a_conversation_comes_back_from_its_openai_form() -> None:
    call = ToolCallRequest(id="c", tool="find", arguments='{"city": "Łódź"}')
    said = [
        Message(role="user", content="Where?"),
        Message(role="assistant", reasoning="hm", tool_calls=(call,)),
        Message(role="tool", content="{}", tool_call_id="c"),
    ]
    rows = conversation_to_openai(said)
    assert rows[1]["tool_calls"][0]["function"]["arguments"] == {"city": "Łódź"}
    assert rows[2]["name"] == "find"
    assert [message_from_openai(row) for row in rows] == said
