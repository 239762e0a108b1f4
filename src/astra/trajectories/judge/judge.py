"""The seven scores of a rollout (ASTRA paper, trajectory reward; spec 1.5).

    reward = mean of the scores that exist
    QU, QP   mean over user turns: their first assistant message: no 0, partly 1/2, yes 1
    TCU, TCP mean over the further rounds of each turn, same grades; missing if there are none
    TCS      mean over all calls of: succeeded 1, failed 0; from the record. A failure that the same
             call made good later is left out
    TC       mean over all calls of: needed 1, superfluous 0
    FA       mean over user turns: (relevance + faithfulness) / 2, of their answer

With one user turn these are the paper's. TCS and TC are missing without calls. No score has a
default: when the teacher can't answer, that is an error, and the rollout has no scores. Rules are
applied first, and the teacher is not asked about what they decide. Points that read the same part
of a conversation share a request.

What this does not guarantee: that the teacher is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from astra.errors import TeacherError
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.judging import CALLS, VALUES, CallVerdicts, JudgedCallsIn
from astra.trajectories.judge.points import JudgePoint, JudgeQuestion, judge_points
from astra.trajectories.judge.rule_checks import outcome
from astra.trajectories.records import JudgeFinding, Judgement, RecordedRollout, TrajectoryScore


async def judge(rollout: RecordedRollout, teacher: Teacher, votes: int = 1) -> Judgement:
    """Judge a rollout, asking each question `votes` times; the mean counts.

    Raises `Rejected` for a rollout without any assistant message, and what the teacher raises.
    """
    points = list(judge_points(rollout))
    questions = list(dict.fromkeys(p.question for p in points if p.question is not None))
    # All at once, but read in order, so that the same answers give the same bytes.
    asked = [_ask(teacher, question, index) for question in questions for index in range(votes)]
    replies = await _together(asked)
    of_question = {q: replies[i * votes : (i + 1) * votes] for i, q in enumerate(questions)}
    per_point = [
        _findings(point, of_question[point.question] if point.question else []) for point in points
    ]
    return Judgement(
        rollout=rollout.id,
        judge=teacher.name,
        scores=(scores := scores_of(per_point)),
        reward=fmean(scores.values()),
        outcome=outcome(rollout),
        findings=tuple(finding for findings in per_point for finding in findings),
    )


def scores_of(per_point: Sequence[Sequence[JudgeFinding]]) -> dict[TrajectoryScore, float]:
    """The scores from the findings of each point: means over votes, then parts, then turns.

    Calls and rounds count alike in whatever turn; the two halves of an answer count once per turn.
    """
    scores: dict[TrajectoryScore, float] = {}
    for measure in TrajectoryScore:
        values = [
            fmean(finding.value for finding in findings)
            for findings in per_point
            if findings[0].measure is measure
        ]
        if values:
            scores[measure] = fmean(values)
    return scores


class _Verdict(NamedTuple):
    value: float
    reason: str


def _findings(point: JudgePoint, replies: Sequence[Any]) -> list[JudgeFinding]:
    verdicts = [_verdict(reply, point.part) for reply in replies]
    if point.question is None:
        verdicts = [_Verdict(point.value, point.reason)]
    return [
        JudgeFinding(
            measure=point.measure,
            value=verdict.value,
            reason=verdict.reason,
            place=point.place,
            by="record" if point.question is None else "teacher",
            turn=point.turn,
        )
        for verdict in verdicts
    ]


def _verdict(reply: Any, part: str) -> _Verdict:
    if isinstance(reply, CallVerdicts):
        verdict = next(each for each in reply.verdicts if each.call == part)
        return _Verdict(float(verdict.holds), verdict.reason)
    grade = getattr(reply, part)
    return _Verdict(VALUES[grade.grade], grade.reason)


async def _ask(teacher: Teacher, question: JudgeQuestion, index: int) -> Any:
    """The answer. Calls that a teacher can't judge together are asked about in halves."""
    try:
        return await teacher.ask(question.prompt, question.input, index=index)
    except TeacherError:
        given = question.input
        if not isinstance(given, JudgedCallsIn) or len(given.calls) == 1:
            raise
        middle = len(given.calls) // 2
        halves = [
            JudgeQuestion(CALLS, given.model_copy(update={"calls": calls}))
            for calls in (given.calls[:middle], given.calls[middle:])
        ]
        replies = await _together([_ask(teacher, half, index) for half in halves])
        return CallVerdicts(verdicts=tuple(v for reply in replies for v in reply.verdicts))


async def _together(pending: Sequence[Awaitable[Any]]) -> list[Any]:
    """The results of all, in their order; the first error ends the others and is raised itself."""

    async def result(one: Awaitable[Any]) -> Any:
        return await one

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(result(one)) for one in pending]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]
