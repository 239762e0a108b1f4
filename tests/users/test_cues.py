"""What cues make of messages as models write them.

`agent_messages.jsonl` holds messages with what each of them does: asks for a `value` by `name`,
asks for `leave`, asks another `question`, says that it `cannot`, says that it is `done`, or is a
plain `statement`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astra.users.cues import (
    asks_for,
    asks_to_go_ahead,
    questions,
    says_cannot,
    says_done,
    sentences,
    value_names,
)

Line = dict[str, Any]
LINES: list[Line] = [
    json.loads(line)
    for line in Path(__file__).with_name("agent_messages.jsonl").read_text("utf-8").splitlines()
]
MOST_WRONG = 0.02


def asked(line: Line) -> bool:
    names = value_names(line["name"], line["language"])
    return asks_for(line["text"], names, line.get("choices", ()))


# A message that asks for leave is a question, and may name the value: neither is counted wrong.
@pytest.mark.parametrize(
    ("cue", "kinds", "either"),
    [
        (asked, {"value"}, "leave"),
        (lambda line: asks_to_go_ahead(line["text"]), {"leave"}, ""),
        (lambda line: bool(questions(line["text"])), {"value", "question"}, "leave"),
        (lambda line: says_cannot(line["text"]), {"cannot"}, ""),
        (lambda line: says_done(line["text"]), {"done"}, ""),
    ],
    ids=["asks_for", "asks_to_go_ahead", "questions", "says_cannot", "says_done"],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_cues_of_messages(
    cue: Callable[[Line], bool], kinds: set[str], either: str, language: str
) -> None:
    lines = [x for x in LINES if x["kind"] != either and x["language"] == language]
    positive = [line for line in lines if line["kind"] in kinds]
    negative = [line for line in lines if line["kind"] not in kinds]
    missed = [line["text"] for line in positive if not cue(line)]
    wrong = [line["text"] for line in negative if cue(line)]
    assert len(missed) <= MOST_WRONG * len(positive), missed
    assert len(wrong) <= MOST_WRONG * len(negative), wrong


def test_there_are_enough_messages() -> None:
    assert len(LINES) >= 300
    assert sum(line["language"] == "zh" for line in LINES) >= 120


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It costs 483.12 EUR. Ok?", ["It costs 483.12 EUR.", "Ok?"]),
        ("已改为483.12 EUR。行吗？好的。", ["已改为483.12 EUR。", "行吗?", "好的。"]),
        ("Who is the contact of Brightline Ltd. now?", 1),
        ('Say "Yes." Then go!\n\n- a.b@c.de: x', ['Say "Yes."', "Then go!", "- a.b@c.de: x"]),
    ],
)
def test_sentences_keep_their_text(text: str, parts: list[str] | int) -> None:
    found = sentences(text)
    assert len(found) == parts if isinstance(parts, int) else found == parts


@pytest.mark.parametrize(
    "text",
    ['I set the subject to "cannot log in at all".', "主题已改为“我无法登录账号”。"],
)
def test_what_is_quoted_says_nothing(text: str) -> None:
    assert not says_cannot(text) and says_done(text)


@pytest.mark.parametrize(
    ("label", "language", "name"),
    [
        ("number of warranty months", "en", "warranty"),
        ("shipping address", "en", "address"),
        ("phone number", "en", "phone"),
        ("所属团队", "zh", "团队"),
        ("保修月数", "zh", "保修"),
        ("电话号码", "zh", "电话"),
    ],
)
def test_shorter_names_of_values(label: str, language: Any, name: str) -> None:
    assert name in value_names(label, language)
