"""The seven scores of a rollout (ASTRA paper, trajectory reward; spec 1.5).

    reward = mean of the scores that exist
    QU, QP   the first assistant message: no 0, partly 1/2, yes 1
    TCU, TCP mean over rounds 2..J of the same grades; not there for J < 2
    TCS      mean over all calls of: succeeded 1, failed 0; read off the record
    TC       mean over all calls of: needed 1, superfluous 0
    FA       (relevance + faithfulness) / 2, of the final answer

TCS and TC are not there without calls. Nothing is ever defaulted: an answer that the teacher can't
give is its error, and the rollout has no scores. What is visible mechanically is judged first, and
the teacher is not asked about it.

What this does not guarantee: that the teacher is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from astra.errors import Rejected
from astra.teacher.prompt import JudgeVerdict, Prompt, Teacher
from astra.teacher.prompts.judging import (
    CALL_NEEDED,
    FAITHFULNESS,
    NEXT_STEP,
    PLANNING,
    RELEVANCE,
    RESPONSE,
    UNDERSTANDING,
    VALUES,
    AnswerIn,
    FaithfulIn,
    FirstMessageIn,
    JudgedCallIn,
    RoundIn,
)
from astra.trajectories.judge.conversation import (
    JudgedConversation,
    judged_conversation,
    shown_call,
)
from astra.trajectories.judge.rule_checks import (
    other_language,
    repetitions,
    unknown_numbers,
    unknown_urls,
)
from astra.trajectories.records import JudgeFinding, Judgement, RecordedRollout, TrajectoryScore
from astra.types import CallStatus, Record, StopReason

RELEVANCE_PLACE = "answer, to the request"
FAITHFULNESS_PLACE = "answer, to the conversation"


@dataclass(frozen=True, slots=True)
class JudgePoint:
    """One thing to judge: settled by the record, or a question to the teacher."""

    measure: TrajectoryScore
    place: str
    value: float = 0.0
    """Of what the record settles."""
    reason: str = ""
    """Of what the record settles; "": the teacher is asked."""
    prompt: Prompt[Any, Any] | None = None
    given: Record | None = None


async def judge(rollout: RecordedRollout, teacher: Teacher, judges: int = 1) -> Judgement:
    """The judgement of a rollout, each question put `judges` times; the mean counts.

    Raises `Rejected` for a rollout without any assistant message, and what the teacher raises.
    """
    asked = list(points(rollout))
    found = await _together([_settle(point, teacher, judges) for point in asked])
    scores: dict[TrajectoryScore, float] = {}
    for measure in TrajectoryScore:
        values = [
            fmean(finding.value for finding in findings)
            for point, findings in zip(asked, found, strict=True)
            if point.measure is measure
        ]
        if values:
            scores[measure] = fmean(values)
    return Judgement(
        rollout=rollout.id,
        judge=teacher.name,
        scores=scores,
        reward=fmean(scores.values()),
        findings=tuple(finding for findings in found for finding in findings),
    )


async def _settle(point: JudgePoint, teacher: Teacher, judges: int) -> list[JudgeFinding]:
    if point.prompt is None:
        return [_finding(point, point.value, point.reason, teacher=False)]
    prompt, given = point.prompt, point.given
    answers = await _together([teacher.ask(prompt, given, index=index) for index in range(judges)])
    return [
        _finding(
            point,
            float(answer.holds) if isinstance(answer, JudgeVerdict) else VALUES[answer.grade],
            answer.reason,
            teacher=True,
        )
        for answer in answers
    ]


def _finding(point: JudgePoint, value: float, reason: str, *, teacher: bool) -> JudgeFinding:
    return JudgeFinding(
        measure=point.measure,
        value=value,
        reason=reason,
        place=point.place,
        by="teacher" if teacher else "record",
    )


async def _together(asked: Sequence[Awaitable[Any]]) -> list[Any]:
    """All results in order; the first error cancels the rest and is raised as itself."""

    async def result(one: Awaitable[Any]) -> Any:
        return await one

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(result(one)) for one in asked]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


# --- what there is to judge --------------------------------------------------------------------


def points(rollout: RecordedRollout) -> Iterator[JudgePoint]:
    """Everything of a rollout that is judged, in the order of the measures."""
    seen = judged_conversation(rollout)
    first = seen.first
    if first is None or not seen.asked:
        raise Rejected("no_message", "the assistant never said anything: there is nothing to judge")
    given = FirstMessageIn(
        language=rollout.task.language,
        tools=rollout.tools,
        request=seen.asked[0],
        message=first,
    )
    place = f"message {first.number}"
    yield JudgePoint(TrajectoryScore.QU, place, prompt=UNDERSTANDING, given=given)
    yield JudgePoint(TrajectoryScore.QP, place, prompt=PLANNING, given=given)
    yield from _of_rounds(rollout, seen)
    yield from _of_calls(rollout, seen)
    yield from _of_answer(rollout, seen)


def _of_rounds(rollout: RecordedRollout, seen: JudgedConversation) -> Iterator[JudgePoint]:
    for number, each in enumerate(seen.rounds[1:], start=2):
        given = RoundIn(
            language=rollout.task.language,
            tools=rollout.tools,
            messages=seen.until(each.end),
            round=number,
            message=each.message,
        )
        yield JudgePoint(TrajectoryScore.TCU, f"round {number}", prompt=RESPONSE, given=given)
        yield JudgePoint(TrajectoryScore.TCP, f"round {number}", prompt=NEXT_STEP, given=given)


def _of_calls(rollout: RecordedRollout, seen: JudgedConversation) -> Iterator[JudgePoint]:
    calls = rollout.trajectory.calls
    for call in calls:
        good = call.status is CallStatus.ok
        reason = "it succeeded" if good else f"it ended as {call.status.value}"
        yield JudgePoint(TrajectoryScore.TCS, f"call {call.id}", float(good), reason)
    repeated = repetitions(calls)
    for call in calls:
        place = f"call {call.id}"
        if call.id in repeated:
            reason = f"it repeats the successful call {repeated[call.id]}"
            yield JudgePoint(TrajectoryScore.TC, place, 0.0, reason)
            continue
        given = JudgedCallIn(
            language=rollout.task.language,
            tools=rollout.tools,
            messages=seen.messages,
            call=shown_call(call),
        )
        yield JudgePoint(TrajectoryScore.TC, place, prompt=CALL_NEEDED, given=given)


def _of_answer(rollout: RecordedRollout, seen: JudgedConversation) -> Iterator[JudgePoint]:
    trajectory, language = rollout.trajectory, rollout.task.language
    answer = trajectory.answer
    if trajectory.stop is not StopReason.answered or not answer.strip():
        reason = f"there is no final answer: the episode ended by {trajectory.stop.value}"
        yield JudgePoint(TrajectoryScore.FA, RELEVANCE_PLACE, 0.0, reason)
        yield JudgePoint(TrajectoryScore.FA, FAITHFULNESS_PLACE, 0.0, reason)
        return
    if other_language(answer, language):
        reason = f"it is not in the language of the request ({language})"
        yield JudgePoint(TrajectoryScore.FA, RELEVANCE_PLACE, 0.0, reason)
    else:
        given = AnswerIn(language=language, asked=seen.asked, answer=answer)
        yield JudgePoint(TrajectoryScore.FA, RELEVANCE_PLACE, prompt=RELEVANCE, given=given)
    computed, unfounded = unknown_numbers(rollout)
    if reason := _unfounded(unknown_urls(rollout), unfounded):
        yield JudgePoint(TrajectoryScore.FA, FAITHFULNESS_PLACE, 0.0, reason)
        return
    whole = FaithfulIn(
        language=language, messages=seen.messages, answer=answer, computed=tuple(computed)
    )
    yield JudgePoint(TrajectoryScore.FA, FAITHFULNESS_PLACE, prompt=FAITHFULNESS, given=whole)


def _unfounded(urls: Sequence[str], numbers: Sequence[str]) -> str:
    """Why an answer can't be faithful; "": nothing is seen."""
    said: list[str] = []
    if urls:
        said.append(f"the URL {_listed(urls)} stands nowhere in the conversation")
    if numbers:
        said.append(
            f"the number {_listed(numbers)} stands nowhere in the conversation and follows from "
            "nothing in it"
        )
    return "; ".join(said)


def _listed(items: Sequence[str]) -> str:
    return ", ".join(repr(item[:200]) for item in items[:5])
