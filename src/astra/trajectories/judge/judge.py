"""The seven scores of a rollout (ASTRA paper, trajectory reward; spec 1.5).

    reward = mean of the scores that exist
    QU, QP   the first assistant message: no 0, partly 1/2, yes 1
    TCU, TCP mean over rounds 2..J of the same grades; missing for J < 2
    TCS      mean over all calls of: succeeded 1, failed 0; from the record. A failure that the same
             call made good later is left out
    TC       mean over all calls of: needed 1, superfluous 0
    FA       (relevance + faithfulness) / 2, of the final answer

TCS and TC are missing without calls. No score has a default: when the teacher can't answer, that is
an error, and the rollout has no scores. Rules are applied first, and the teacher is not asked about
what they decide.

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
    ShownCall,
)
from astra.trajectories.judge.conversation import JudgedConversation, judged_conversation
from astra.trajectories.judge.rule_checks import (
    other_language,
    outcome,
    recovered,
    repetitions,
    unknown_numbers,
    unknown_urls,
)
from astra.trajectories.records import JudgeFinding, Judgement, RecordedRollout, TrajectoryScore
from astra.types import CallStatus, Record, StopReason

RELEVANCE_PLACE = "answer, to the request"
FAITHFULNESS_PLACE = "answer, to the conversation"
_MOST_NAMED = 5
"""URLs or numbers that a reason quotes."""


@dataclass(frozen=True, slots=True)
class JudgePoint:
    """One thing to judge: decided by the record, or a question to the teacher."""

    measure: TrajectoryScore
    place: str
    value: float = 0.0
    """The record's verdict. Ignored when there is a prompt."""
    reason: str = ""
    """Why the record decides so. Empty when there is a prompt."""
    prompt: Prompt[Any, Any] | None = None
    question: Record | None = None
    """Input of the prompt."""


async def judge(rollout: RecordedRollout, teacher: Teacher, votes: int = 1) -> Judgement:
    """Judge a rollout, asking each question `votes` times; the mean counts.

    Raises `Rejected` for a rollout without any assistant message, and what the teacher raises.
    """
    # All at once, but read in order, so that the same answers give the same bytes.
    points = list(judge_points(rollout))
    per_point = await _together([_findings(point, teacher, votes) for point in points])
    scores: dict[TrajectoryScore, float] = {}
    for measure in TrajectoryScore:
        values = [
            fmean(finding.value for finding in findings)
            for point, findings in zip(points, per_point, strict=True)
            if point.measure is measure
        ]
        if values:
            scores[measure] = fmean(values)
    return Judgement(
        rollout=rollout.id,
        judge=teacher.name,
        scores=scores,
        reward=fmean(scores.values()),
        outcome=outcome(rollout),
        findings=tuple(finding for findings in per_point for finding in findings),
    )


async def _findings(point: JudgePoint, teacher: Teacher, votes: int) -> list[JudgeFinding]:
    prompt, question = point.prompt, point.question
    if prompt is None:
        verdicts = [(point.value, point.reason)]
    else:
        answers = await _together([teacher.ask(prompt, question, index=i) for i in range(votes)])
        verdicts = [
            (
                float(answer.holds) if isinstance(answer, JudgeVerdict) else VALUES[answer.grade],
                answer.reason,
            )
            for answer in answers
        ]
    return [
        JudgeFinding(
            measure=point.measure,
            value=value,
            reason=reason,
            place=point.place,
            by="record" if prompt is None else "teacher",
        )
        for value, reason in verdicts
    ]


async def _together(pending: Sequence[Awaitable[Any]]) -> list[Any]:
    """All results in order; the first error cancels the rest and is raised as itself."""

    async def result(one: Awaitable[Any]) -> Any:
        return await one

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(result(one)) for one in pending]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


# --- what there is to judge --------------------------------------------------------------------


def judge_points(rollout: RecordedRollout) -> Iterator[JudgePoint]:
    """Everything of a rollout that is judged, in the order of the measures."""
    conversation = judged_conversation(rollout)
    language, tools = rollout.task.language, rollout.tools
    first = conversation.first
    if first is None or not conversation.requests:
        raise Rejected("no_message", "the assistant wrote no message: there is nothing to judge")
    place = f"message {first.number}"
    opening = FirstMessageIn(
        language=language, tools=tools, request=conversation.requests[0], message=first
    )
    yield JudgePoint(TrajectoryScore.QU, place, prompt=UNDERSTANDING, question=opening)
    yield JudgePoint(TrajectoryScore.QP, place, prompt=PLANNING, question=opening)
    for number, each in enumerate(conversation.rounds[1:], start=2):
        # A judge of a round sees the past and not the future.
        past = conversation.messages[: each.end]
        step = RoundIn(
            language=language, tools=tools, messages=past, round=number, message=each.message
        )
        yield JudgePoint(TrajectoryScore.TCU, f"round {number}", prompt=RESPONSE, question=step)
        yield JudgePoint(TrajectoryScore.TCP, f"round {number}", prompt=NEXT_STEP, question=step)
    calls = rollout.trajectory.calls
    made_good = recovered(calls)
    for call in calls:
        if call.id in made_good:
            continue
        succeeded = call.status is CallStatus.ok
        reason = "it succeeded" if succeeded else f"it ended as {call.status.value}"
        yield JudgePoint(TrajectoryScore.TCS, f"call {call.id}", float(succeeded), reason)
    repeated = repetitions(calls)
    for call in calls:
        place = f"call {call.id}"
        if call.id in repeated:
            reason = f"it repeats the successful call {repeated[call.id]}"
            yield JudgePoint(TrajectoryScore.TC, place, 0.0, reason)
            continue
        judged = JudgedCallIn(
            language=language,
            tools=tools,
            messages=conversation.messages,
            call=ShownCall(id=call.id, tool=call.tool, arguments=call.arguments),
        )
        yield JudgePoint(TrajectoryScore.TC, place, prompt=CALL_NEEDED, question=judged)
    yield from _answer_points(rollout, conversation)


def _answer_points(
    rollout: RecordedRollout, conversation: JudgedConversation
) -> Iterator[JudgePoint]:
    """Relevance and faithfulness of the final answer."""
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
        relevance = AnswerIn(language=language, asked=conversation.requests, answer=answer)
        yield JudgePoint(TrajectoryScore.FA, RELEVANCE_PLACE, prompt=RELEVANCE, question=relevance)
    computed, unfounded = unknown_numbers(rollout)
    reasons: list[str] = []
    if urls := unknown_urls(rollout):
        reasons.append(f"the URL {_quoted(urls)} occurs nowhere in the conversation")
    if unfounded:
        reasons.append(
            f"the number {_quoted(unfounded)} occurs nowhere in the conversation and follows from "
            "nothing in it"
        )
    if reasons:
        yield JudgePoint(TrajectoryScore.FA, FAITHFULNESS_PLACE, 0.0, "; ".join(reasons))
        return
    whole = FaithfulIn(
        language=language, messages=conversation.messages, answer=answer, computed=tuple(computed)
    )
    yield JudgePoint(TrajectoryScore.FA, FAITHFULNESS_PLACE, prompt=FAITHFULNESS, question=whole)


def _quoted(items: Sequence[str]) -> str:
    return ", ".join(repr(item[:200]) for item in items[:_MOST_NAMED])
