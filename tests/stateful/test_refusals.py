"""How well refusals are told from other messages: measured on labelled ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astra.core.refusals import refuses, refusing_clauses

MESSAGES = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "refusals.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
MOST_ERRORS = 0.02


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("label", [True, False])
def test_labelled_messages(language: str, label: bool) -> None:
    rows = [r for r in MESSAGES if (r["language"], r["refuses"]) == (language, label)]
    wrong = [row["text"] for row in rows if refuses(row["text"]) is not label]
    assert len(rows) >= 30
    assert len(wrong) <= MOST_ERRORS * len(rows), wrong


def test_what_is_refused_is_told_from_what_is_done() -> None:
    text = "I changed the price. The address can't be changed, because of rule 2."
    assert refusing_clauses(text) == ["the address can't be changed"]


def test_long_messages_take_no_time() -> None:
    assert not refuses("done " * 20_000)
    assert refuses("I can't do that. " + "no rule 3 was not " * 5_000)
