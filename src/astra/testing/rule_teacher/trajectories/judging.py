"""Rules that judge a trajectory by what can be counted in it.

They look for arguments that stand nowhere, errors that are passed over, calls that repeat others,
numbers that come from nowhere, answers on calls that failed, and answers that share nothing with
the request. They understand no sentence: a fluent falsehood passes.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from astra.core.text import contains_text, normalise
from astra.teacher.prompt import JudgeVerdict
from astra.teacher.prompts.judging import (
    CALL_NEEDED,
    FAITHFULNESS,
    NEXT_STEP,
    PLANNING,
    RELEVANCE,
    RESPONSE,
    UNDERSTANDING,
    AnswerIn,
    FaithfulIn,
    FirstMessageIn,
    Grade,
    JudgedCallIn,
    RoundIn,
    ShownCall,
    ShownMessage,
)
from astra.testing.rule_teacher.faults import FLIPPED, Planters, flipped
from astra.types import Json, ToolSchema, canonical_json

_WORD = re.compile(r"[^\W\d_]{4,}|\d+|[\u4e00-\u9fff]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_FAILED = re.compile(
    r"error|fail|could not|couldn't|can't|cannot|unable|unavailable|again|retry"
    r"|错误|失败|无法|不能|再试|重试",
    re.IGNORECASE,
)
SMALL = 10
"""Numbers up to which none is looked for."""


def judge_understanding(given: FirstMessageIn, rng: random.Random) -> Grade:
    """Whether the message says or calls anything."""
    del rng
    message = given.message
    if message.calls:
        return Grade(reason=f"It calls {message.calls[0].tool}.", grade="yes")
    if message.text.strip():
        return Grade(reason="It speaks of the request, and calls nothing.", grade="partly")
    return Grade(reason="It says nothing and calls nothing.", grade="no")


def judge_planning(given: FirstMessageIn, rng: random.Random) -> Grade:
    """Whether the calls are of tools that exist, with arguments that stand in the request."""
    del rng
    calls = given.message.calls
    if not calls:
        return Grade(reason="No call is made.", grade="partly" if given.message.text else "no")
    return _grounded(calls, given.tools, [given.request])


def judge_response(given: RoundIn, rng: random.Random) -> Grade:
    """Whether an error of the round before is met with another try, or told of."""
    del rng
    message = next(m for m in given.messages if m.number == given.message)
    before = [m for m in given.messages if m.number < given.message]
    last = max((m.number for m in before if m.calls), default=0)
    calls = {c.id: c for m in before if m.number == last for c in m.calls}
    errors = {m.answers for m in before if m.number > last and m.by == "tool" and _is_error(m.text)}
    tried = {call.tool for call in message.calls}
    for name in sorted(str(each) for each in errors if each in calls):
        if calls[name].tool not in tried and not _FAILED.search(message.text):
            return Grade(reason=f"The error of call {name} is passed over.", grade="no")
    return Grade(reason="Nothing that came back is passed over.", grade="yes")


def judge_next_step(given: RoundIn, rng: random.Random) -> Grade:
    """Whether the arguments stand in what came before."""
    del rng
    message = next(m for m in given.messages if m.number == given.message)
    earlier = [m for m in given.messages if m.number < given.message]
    before = [m.text for m in earlier] + [
        json.dumps(call.arguments, ensure_ascii=False) for m in earlier for call in m.calls
    ]
    return _grounded(message.calls, given.tools, before)


def judge_call(given: JudgedCallIn, rng: random.Random) -> JudgeVerdict:
    """Whether no earlier call with the same arguments returned the same."""
    del rng
    results = {m.answers: m.text for m in given.messages if m.answers is not None}
    wanted = _key(given.call)
    for message in given.messages:
        for call in message.calls:
            if call.id == given.call.id:
                return JudgeVerdict(reason="No earlier call returned this.", holds=True)
            same = results.get(call.id) == results.get(given.call.id)
            if _key(call) == wanted and same and not _is_error(results.get(call.id, "")):
                return JudgeVerdict(reason=f"Call {call.id} returned the same.", holds=False)
    return JudgeVerdict(reason="No earlier call returned this.", holds=True)


def judge_relevance(given: AnswerIn, rng: random.Random) -> Grade:
    """Whether the answer shares a word, a number or a character with what was asked."""
    del rng
    if not given.answer.strip():
        return Grade(reason="The answer is empty.", grade="no")
    asked = set(_WORD.findall(normalise(" ".join(given.asked))))
    shared = sorted(asked & set(_WORD.findall(normalise(given.answer))))
    if asked and not shared:
        return Grade(reason="The answer shares no word with the request.", grade="partly")
    return Grade(reason="The answer speaks of what was asked.", grade="yes")


def judge_faithfulness(given: FaithfulIn, rng: random.Random) -> Grade:
    """Whether the numbers of the answer stand in the conversation, or may follow from it, and
    whether it rests on calls that succeeded."""
    del rng
    failed, calls = _failed_for_good(given.messages)
    if failed and failed == calls:
        return Grade(reason="No call succeeded: nothing was found out.", grade="no")
    told = [m.text for m in given.messages[:-1]] + [
        json.dumps(c.arguments, ensure_ascii=False) for m in given.messages for c in m.calls
    ]
    known = {number for text in told for number in _NUMBER.findall(normalise(text))}
    known |= set(given.computed)
    for number in _NUMBER.findall(normalise(given.answer)):
        if number not in known and float(number) > SMALL:
            return Grade(reason=f"The number {number} stands nowhere.", grade="partly")
    if failed:
        return Grade(reason=f"{failed} of {calls} calls failed for good.", grade="partly")
    return Grade(reason="Its numbers come from the conversation.", grade="yes")


def _failed_for_good(messages: Sequence[ShownMessage]) -> tuple[int, int]:
    """(calls that ended in an error after which their tool never succeeded, all that count), each
    call counted once, however often it was tried."""
    results = {m.answers: m.text for m in messages if m.answers is not None}
    good: dict[str, bool] = {}
    pending: defaultdict[str, set[str]] = defaultdict(set)
    for call in (call for message in messages for call in message.calls):
        key = _key(call)
        if _is_error(results.get(call.id, "")):
            good.setdefault(key, False)
            pending[call.tool].add(key)
        else:
            good[key] = True
            good.update(dict.fromkeys(pending.pop(call.tool, ()), True))
    return list(good.values()).count(False), len(good)


# --- arguments ---------------------------------------------------------------------------------


def _grounded(
    calls: Sequence[ShownCall], tools: Sequence[ToolSchema], texts: Iterable[str]
) -> Grade:
    known = {tool.name: tool for tool in tools}
    told = list(texts)
    for call in calls:
        if call.tool not in known:
            return Grade(reason=f"There is no tool {call.tool}.", grade="no")
        sources = [*told, json.dumps(known[call.tool].parameters, ensure_ascii=False)]
        for name, value in _values(call.arguments, ""):
            if not any(contains_text(text, value) for text in sources):
                return Grade(
                    reason=f"The argument {name} of {call.id}, {value[:80]!r}, stands nowhere.",
                    grade="no",
                )
    return Grade(reason="The calls exist, and their arguments are known.", grade="yes")


def _values(value: Json, name: str) -> Iterator[tuple[str, str]]:
    """Name and text of what has to come from somewhere."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner, name)
    elif isinstance(value, str):
        if value.strip():
            yield name, value
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > SMALL:
        yield name, json.dumps(value)


def _is_error(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(value.get("error"))


def _key(call: ShownCall) -> str:
    return canonical_json([call.tool, call.arguments])


RULES = {
    UNDERSTANDING.name: judge_understanding,
    PLANNING.name: judge_planning,
    RESPONSE.name: judge_response,
    NEXT_STEP.name: judge_next_step,
    CALL_NEEDED.name: judge_call,
    RELEVANCE.name: judge_relevance,
    FAITHFULNESS.name: judge_faithfulness,
}
DEFECTS: Planters = {CALL_NEEDED.name: {FLIPPED: flipped}}
