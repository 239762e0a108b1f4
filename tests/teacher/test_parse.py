"""Replies: tolerant of what stands around the answer, strict in the answer."""

import json
import time
from typing import Any

import pytest

from astra.core.untrusted import REPLY_CHARACTERS
from astra.protocols import Reply
from astra.teacher.parse import find_object, read_reply
from astra.teacher.prompts.arenas import CallOut, Decomposition, GroupOut, JudgeVerdict
from astra.types import FinishReason, Message, Record, ToolCallRequest

GOOD = '{"reason": "It is so.", "holds": true}'
VERDICT = JudgeVerdict(reason="It is so.", holds=True)


def reply(content: str = "", finish: FinishReason = FinishReason.stop, **more: Any) -> Reply:
    return Reply(Message(role="assistant", content=content, **more), finish)


def problem(given: Reply | str, wanted: type[Record] = JudgeVerdict) -> str:
    with pytest.raises(ValueError) as raised:
        read_reply(reply(given) if isinstance(given, str) else given, wanted)
    return str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"\ufeff \n{GOOD}\n ",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```\nI hope that helps {{really}}.",
        f"Sure! Here is the verdict: {GOOD} Anything else?",
        f"The set {{a, b}} and {{}} are no answers. {GOOD}",
        f'<think>Perhaps {{"reason": "no", "holds": false}}?</think>\n{GOOD}',
        f"<think>a <think>b</think> c</think>{GOOD}",
        f'the opening mark was in the prompt {{"holds": false}}</think>{GOOD}',
        f"{GOOD}\n{GOOD.replace('true', 'false')}",
        '{"reason": "It is so.", \n\t"holds": true }',
    ],
)
def test_what_stands_around_is_passed_over(text: str):
    assert read_reply(reply(text), JudgeVerdict)[1] == VERDICT


def test_marks_inside_of_texts_are_text():
    value = {"reason": "</think> ``` { <think> }", "holds": True}
    for text in (json.dumps(value), f"```json\n{json.dumps(value)}\n```"[8:-4]):
        assert read_reply(reply(text), JudgeVerdict)[0] == value


def test_a_line_break_inside_of_a_text_is_read_as_one():
    found = find_object('{"source": "def f():\n\treturn 1"}')
    assert found == {"source": "def f():\n\treturn 1"}


def test_an_answer_that_was_filed_under_reasoning():
    assert read_reply(reply(reasoning=f" {GOOD}\n"), JudgeVerdict)[1] == VERDICT
    assert "empty" in problem(reply(reasoning=f"I think it is {GOOD}"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("I can't judge that.", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ("<think>It goes on and on", "before its reasoning"),
        (GOOD[:-1], "invalid JSON"),
        (GOOD[:20], "invalid JSON"),
        ("{'reason': 'x', 'holds': True}", "no JSON object"),
        ('{"reason": "x", "holds": true,}', "invalid JSON"),
        ('{"reason": "x", "holds": NaN}', "NaN"),
        ('{"reason": "x", "holds": -Infinity}', "-Infinity"),
        ('{"reason": "x", "reason": "y", "holds": true}', "'reason' twice"),
        ('{"reason": "\\ud800", "holds": true}', "surrogate"),
        ('{"reason": "x", "holds": 1e999}', "too large"),
        ('{"reason": "x", "holds": ' + "9" * 5000 + "}", "4300"),
        ('{"reason": "x"}', "holds"),
        ('{"reason": "x", "holds": "true"}', "holds"),
        ('{"reason": "x", "holds": 1}', "holds"),
        ('{"reason": "x", "holds": null}', "holds"),
        ('{"reason": 5, "holds": true}', "reason"),
        ('{"reason": "x", "holds": true, "sure": 1}', "sure"),
        ("x" * (REPLY_CHARACTERS + 1), "characters"),
        # A broken object is not passed over for a whole one inside of it.
        ('{"bad": oops, "inner": ' + GOOD + "}", "invalid JSON"),
        ('{"x": ' * 5000, "nested|invalid JSON"),
        (reply("No.", FinishReason.filtered), "refused: 'No.'"),
        (reply(GOOD, FinishReason.filtered), "refused"),
        (reply(GOOD[:-3], FinishReason.length), "cut off"),
        (
            reply(tool_calls=(ToolCallRequest(id="1", tool="f", arguments="{}"),)),
            "calls a tool",
        ),
    ],
)
def test_what_is_refused(given: Reply | str, told: str):
    found = problem(given)
    assert any(part in found for part in told.split("|")), found
    assert len(found) < 1000


def test_a_whole_answer_at_the_limit_is_an_answer():
    assert read_reply(reply(GOOD, FinishReason.length), JudgeVerdict)[1] == VERDICT


@pytest.mark.parametrize("deep", [100, 900, 100_000])
def test_deep_nesting(deep: int):
    text = '{"arguments": {"a": ' + "[" * deep + "]" * deep + "}}"
    assert "deeper" in problem(text, CallOut)


def test_nothing_is_defaulted():
    step = {"id": "s1", "question": "q", "answer": 1, "kind": "number"}
    whole = {
        "answerable": True,
        "acts": False,
        "reason": "",
        "question": "q",
        "steps": [step | {"depends_on": [], "needs_tool": True}],
        "answer": 1,
        "kind": "number",
    }
    assert read_reply(reply(json.dumps(whole)), Decomposition)[1].steps[0].answer == 1
    assert "'steps.0.depends_on'" in problem(json.dumps(whole | {"steps": [step]}), Decomposition)
    for name in whole:
        less = {k: v for k, v in whole.items() if k != name}
        assert name in problem(json.dumps(less), Decomposition)


def test_types_are_kept():
    for answer in (1, 1.0, "1", True, ["a", 2]):
        value = {"answerable": True, "acts": False, "reason": "", "question": "q", "steps": []}
        value |= {"answer": answer, "kind": "text"}
        found = read_reply(reply(json.dumps(value)), Decomposition)[1].answer
        assert found == (tuple(answer) if isinstance(answer, list) else answer)
        assert type(found) is (tuple if isinstance(answer, list) else type(answer))
    assert read_reply(reply('{"groups": [["s1", "s2"]]}'), GroupOut)[1].groups == (("s1", "s2"),)


@pytest.mark.parametrize(
    "piece", ["{", '{"', '{"a":', '{"a":"', "<think>", "</think>", "```json\n{", '{"a":1}', "\\"]
)
def test_hostile_texts_take_no_time(piece: str):
    text = (piece * REPLY_CHARACTERS)[:REPLY_CHARACTERS]
    start = time.perf_counter()
    problem(text)
    assert time.perf_counter() - start < 2
