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
from astra.teacher.prompts.judging import (
    ANSWER,
    CALLS,
    OPENING,
    ROUND,
    AnswerGrades,
    AnswerIn,
    CallVerdict,
    CallVerdicts,
    Grade,
    JudgedCallsIn,
    OpeningGrades,
    OpeningIn,
    RoundGrades,
    RoundIn,
    ShownCall,
    ShownMessage,
)
from astra.testing.rule_teacher.faults import FLIPPED, Planters
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


def judge_opening(given: OpeningIn, rng: random.Random) -> OpeningGrades:
    """Whether the message says or calls anything; whether its calls are of tools that exist, with
    arguments that stand in the conversation."""
    del rng
    message = given.message
    if message.calls:
        understanding = Grade(reason=f"It calls {message.calls[0].tool}.", grade="yes")
        told = [*_told(given.messages), given.request]
        planning = _grounded(message.calls, given.tools, told)
    elif message.text.strip():
        reason = "It speaks of the request, and calls nothing."
        understanding = Grade(reason=reason, grade="partly")
        planning = Grade(reason="No call is made.", grade="partly")
    else:
        understanding = Grade(reason="It says nothing and calls nothing.", grade="no")
        planning = Grade(reason="No call is made.", grade="no")
    return OpeningGrades(understanding=understanding, planning=planning)


def judge_round(given: RoundIn, rng: random.Random) -> RoundGrades:
    """Whether an error of the round before is met with another try, or told of; whether the
    arguments stand in what came before."""
    del rng
    message = next(m for m in given.messages if m.number == given.message)
    before = [m for m in given.messages if m.number < given.message]
    return RoundGrades(
        understanding=_errors_met(message, before),
        next_step=_grounded(message.calls, given.tools, _told(before)),
    )


def _errors_met(message: ShownMessage, before: Sequence[ShownMessage]) -> Grade:
    last = max((m.number for m in before if m.calls), default=0)
    calls = {c.id: c for m in before if m.number == last for c in m.calls}
    errors = {m.answers for m in before if m.number > last and m.by == "tool" and _is_error(m.text)}
    tried = {call.tool for call in message.calls}
    for name in sorted(str(each) for each in errors if each in calls):
        if calls[name].tool not in tried and not _FAILED.search(message.text):
            return Grade(reason=f"The error of call {name} is passed over.", grade="no")
    return Grade(reason="Nothing that came back is passed over.", grade="yes")


def judge_calls(given: JudgedCallsIn, rng: random.Random) -> CallVerdicts:
    """Whether no earlier call with the same arguments returned the same."""
    del rng
    return CallVerdicts(verdicts=tuple(_needed(given.messages, call) for call in given.calls))


def _needed(messages: Sequence[ShownMessage], judged: str) -> CallVerdict:
    results = {m.answers: m.text for m in messages if m.answers is not None}
    calls = [call for message in messages for call in message.calls]
    wanted = next((_key(call) for call in calls if call.id == judged), "")
    for call in calls:
        if call.id == judged:
            break
        same = results.get(call.id) == results.get(judged)
        if _key(call) == wanted and same and not _is_error(results.get(call.id, "")):
            return CallVerdict(
                call=judged, reason=f"Call {call.id} returned the same.", holds=False
            )
    return CallVerdict(call=judged, reason="No earlier call returned this.", holds=True)


def judge_answer(given: AnswerIn, rng: random.Random) -> AnswerGrades:
    """Whether the answer shares a word with what was asked; whether its numbers stand in the
    conversation, or may follow from it, and whether it rests on calls that succeeded."""
    del rng
    *before, answer = given.messages
    return AnswerGrades(
        relevance=_relevance(before, answer.text) if "relevance" in given.judge else None,
        faithfulness=_faithfulness(before, answer.text, given.computed)
        if "faithfulness" in given.judge
        else None,
    )


def _relevance(before: Sequence[ShownMessage], answer: str) -> Grade:
    if not answer.strip():
        return Grade(reason="The answer is empty.", grade="no")
    requests = " ".join(m.text for m in before if m.by == "user")
    asked = set(_WORD.findall(normalise(requests)))
    if asked and not asked & set(_WORD.findall(normalise(answer))):
        return Grade(reason="The answer shares no word with the request.", grade="partly")
    return Grade(reason="The answer speaks of what was asked.", grade="yes")


def _faithfulness(before: Sequence[ShownMessage], answer: str, computed: Sequence[str]) -> Grade:
    failed, calls = _failed_for_good(before)
    if failed and failed == calls:
        return Grade(reason="No call succeeded: nothing was found out.", grade="no")
    known = {number for text in _told(before) for number in _NUMBER.findall(normalise(text))}
    known |= set(computed)
    for number in _NUMBER.findall(normalise(answer)):
        if number not in known and float(number) > SMALL:
            return Grade(reason=f"The number {number} stands nowhere.", grade="partly")
    if failed:
        return Grade(reason=f"{failed} of {calls} calls failed for good.", grade="partly")
    return Grade(reason="Its numbers come from the conversation.", grade="yes")


def _told(messages: Sequence[ShownMessage]) -> list[str]:
    """What was said and called in a conversation."""
    return [m.text for m in messages] + [
        json.dumps(call.arguments, ensure_ascii=False) for m in messages for call in m.calls
    ]


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


def _one_flipped(
    given: JudgedCallsIn, right: CallVerdicts, rng: random.Random
) -> CallVerdicts | None:
    """One of the verdicts says the opposite."""
    if not right.verdicts:
        return None
    verdicts = list(right.verdicts)
    index = rng.randrange(len(verdicts))
    holds = not verdicts[index].holds
    reason = "It holds." if holds else "It does not hold."
    verdicts[index] = verdicts[index].model_copy(update={"holds": holds, "reason": reason})
    return right.model_copy(update={"verdicts": tuple(verdicts)})


RULES = {
    OPENING.name: judge_opening,
    ROUND.name: judge_round,
    CALLS.name: judge_calls,
    ANSWER.name: judge_answer,
}
DEFECTS: Planters = {CALLS.name: {FLIPPED: _one_flipped}}
