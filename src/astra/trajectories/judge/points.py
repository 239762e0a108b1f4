"""What of a rollout is judged: points that the record decides, and questions to the teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from astra.errors import Rejected
from astra.teacher.prompt import Prompt
from astra.teacher.prompts.judging import (
    ANSWER,
    CALLS,
    OPENING,
    ROUND,
    AnswerIn,
    AnswerPart,
    JudgedCallsIn,
    OpeningIn,
    RoundIn,
)
from astra.trajectories.judge.conversation import (
    JudgedConversation,
    JudgedTurn,
    cut,
    judged_conversation,
)
from astra.trajectories.judge.rule_checks import (
    other_language,
    recovered,
    repetitions,
    unknown_numbers,
    unknown_urls,
)
from astra.trajectories.records import RecordedRollout, TrajectoryScore
from astra.types import CallStatus, Record, StopReason, ToolSchema

RELEVANCE_PLACE = "answer, to the request"
FAITHFULNESS_PLACE = "answer, to the conversation"
CALLS_PER_REQUEST = 12
"""Calls that are judged in one request."""
_MOST_NAMED = 5
"""URLs or numbers that a reason quotes."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgeQuestion:
    """A request to the teacher. Compared by identity: several points may share one."""

    prompt: Prompt[Any, Any]
    input: Record


@dataclass(frozen=True, slots=True)
class JudgePoint:
    """One thing to judge: decided by the record, or part of a question to the teacher."""

    measure: TrajectoryScore
    place: str
    turn: int = 1
    """User turn, from 1."""
    value: float = 0.0
    """The record's verdict. Ignored when there is a question."""
    reason: str = ""
    """Why the record decides so. Empty when there is a question."""
    question: JudgeQuestion | None = None
    part: str = ""
    """What of the answer is about this point: a field, or the id of a call."""


def judge_points(rollout: RecordedRollout) -> Iterator[JudgePoint]:
    """Everything of a rollout that is judged, in the order of the measures."""
    conversation = judged_conversation(rollout)
    if not any(turn.first for turn in conversation.turns):
        raise Rejected("no_message", "the assistant wrote no message: there is nothing to judge")
    yield from _opening_points(rollout, conversation)
    yield from _round_points(rollout, conversation)
    yield from _call_points(rollout, conversation)
    for number in range(1, len(conversation.turns) + 1):
        yield from _answer_points(rollout, conversation, number)


def _opening_points(
    rollout: RecordedRollout, conversation: JudgedConversation
) -> Iterator[JudgePoint]:
    """Understanding and planning of what opens each user turn."""
    for number, turn in enumerate(conversation.turns, start=1):
        if turn.first is None:
            continue
        past = conversation.messages[: turn.request - 1]
        tools, others = _tools(rollout, conversation, turn.first)
        opening = OpeningIn(
            language=rollout.task.language,
            tools=tools,
            other_tools=others,
            messages=cut(past),
            request=conversation.messages[turn.request - 1].text,
            message=conversation.messages[turn.first - 1],
        )
        question = JudgeQuestion(OPENING, opening)
        place = f"message {turn.first}"
        for measure, part in (
            (TrajectoryScore.QU, "understanding"),
            (TrajectoryScore.QP, "planning"),
        ):
            yield JudgePoint(measure, place, number, question=question, part=part)


def _round_points(
    rollout: RecordedRollout, conversation: JudgedConversation
) -> Iterator[JudgePoint]:
    """Understanding and next step of each round that follows another one of its turn."""
    rounds = conversation.rounds
    openings = {turn.first for turn in conversation.turns}
    for index, each in enumerate(rounds):
        # What opens a later turn is judged as an opening. The paper's rounds are 2..J.
        if index == 0 or each.message in openings:
            continue
        tools, others = _tools(rollout, conversation, each.message)
        before = range(rounds[index - 1].message, each.message)
        step = RoundIn(
            language=rollout.task.language,
            tools=tools,
            other_tools=others,
            # A judge of a round sees the past and not the future.
            messages=cut(conversation.messages[: each.end], before),
            round=index + 1,
            message=each.message,
        )
        question = JudgeQuestion(ROUND, step)
        for measure, part in (
            (TrajectoryScore.TCU, "understanding"),
            (TrajectoryScore.TCP, "next_step"),
        ):
            yield JudgePoint(measure, f"round {index + 1}", each.turn, question=question, part=part)


def _call_points(
    rollout: RecordedRollout, conversation: JudgedConversation
) -> Iterator[JudgePoint]:
    """Status and necessity of each call."""
    calls = rollout.trajectory.calls
    turns = {
        call.id: conversation.turn_of(message.number)
        for message in conversation.messages
        for call in message.calls
    }
    made_good = recovered(calls)
    for call in calls:
        if call.id in made_good:
            continue
        succeeded = call.status is CallStatus.ok
        reason = "it succeeded" if succeeded else f"it ended as {call.status.value}"
        yield JudgePoint(
            TrajectoryScore.TCS, f"call {call.id}", turns[call.id], float(succeeded), reason
        )
    repeated = repetitions(calls)
    open_calls = [call.id for call in calls if call.id not in repeated]
    tools, _ = _tools(rollout, conversation, len(conversation.messages), planned=False)
    messages = cut(conversation.messages)
    batches = [
        JudgeQuestion(
            CALLS,
            JudgedCallsIn(
                language=rollout.task.language,
                tools=tools,
                messages=messages,
                calls=tuple(open_calls[start : start + CALLS_PER_REQUEST]),
            ),
        )
        for start in range(0, len(open_calls), CALLS_PER_REQUEST)
    ]
    for call in calls:
        place, turn = f"call {call.id}", turns[call.id]
        if call.id in repeated:
            reason = f"it repeats the successful call {repeated[call.id]}"
            yield JudgePoint(TrajectoryScore.TC, place, turn, 0.0, reason)
        else:
            batch = batches[open_calls.index(call.id) // CALLS_PER_REQUEST]
            yield JudgePoint(TrajectoryScore.TC, place, turn, question=batch, part=call.id)


def _answer_points(
    rollout: RecordedRollout, conversation: JudgedConversation, number: int
) -> Iterator[JudgePoint]:
    """Relevance and faithfulness of the answer that ends a user turn."""
    turns, language = conversation.turns, rollout.task.language
    turn = turns[number - 1]
    part = rollout if number == len(turns) else _until(rollout, turn)
    trajectory = part.trajectory
    answer = trajectory.answer
    named = "" if len(turns) == 1 else f" {number}"
    relevance_place, faithfulness_place = (
        place.replace("answer", f"answer{named}", 1)
        for place in (RELEVANCE_PLACE, FAITHFULNESS_PLACE)
    )

    def by_record(place: str, reason: str) -> JudgePoint:
        return JudgePoint(TrajectoryScore.FA, place, number, 0.0, reason)

    if trajectory.stop is not StopReason.answered or not answer.strip():
        reason = f"there is no final answer: the episode ended by {trajectory.stop.value}"
        yield by_record(relevance_place, reason)
        yield by_record(faithfulness_place, reason)
        return
    foreign = other_language(answer, language)
    computed, unfounded = unknown_numbers(part)
    reasons: list[str] = []
    if urls := unknown_urls(part):
        reasons.append(f"the URL {_quoted(urls)} occurs nowhere in the conversation")
    if unfounded:
        reasons.append(
            f"the number {_quoted(unfounded)} occurs nowhere in the conversation and follows from "
            "nothing in it"
        )
    wanted: list[AnswerPart] = []
    if not foreign:
        wanted.append("relevance")
    if not reasons:
        wanted.append("faithfulness")
    messages = conversation.messages[: turn.end]
    question = JudgeQuestion(
        ANSWER,
        AnswerIn(
            language=language,
            # Results of earlier turns were judged with their answers.
            messages=cut(messages, range(turn.request, turn.end + 1)),
            message=turn.end,
            judge=tuple(wanted),
            computed=tuple(computed),
        ),
    )
    if foreign:
        reason = f"it is not in the language of the request ({language})"
        yield by_record(relevance_place, reason)
    else:
        yield JudgePoint(
            TrajectoryScore.FA, relevance_place, number, question=question, part="relevance"
        )
    if reasons:
        yield by_record(faithfulness_place, "; ".join(reasons))
    else:
        yield JudgePoint(
            TrajectoryScore.FA, faithfulness_place, number, question=question, part="faithfulness"
        )


def _until(rollout: RecordedRollout, turn: JudgedTurn) -> RecordedRollout:
    """The rollout as it was when a user turn ended: with an answer, since the user spoke again."""
    trajectory = rollout.trajectory
    system = sum(message.role == "system" for message in trajectory.messages)
    messages = trajectory.messages[: turn.end + system]
    made = {call.id for message in messages for call in message.tool_calls}
    past = trajectory.model_copy(
        update={
            "messages": messages,
            "calls": tuple(call for call in trajectory.calls if call.id in made),
            "stop": StopReason.answered,
        }
    )
    return rollout.model_copy(update={"trajectory": past})


def _tools(
    rollout: RecordedRollout,
    conversation: JudgedConversation,
    last: int,
    *,
    planned: bool = True,
) -> tuple[tuple[ToolSchema, ...], tuple[str, ...]]:
    """The tools that were called up to a message or are planned, and the names of the others."""
    names = {call.tool for m in conversation.messages[:last] for call in m.calls}
    if planned:
        names |= {call.tool for call in rollout.task.plan}
        # One wish more than turns before: a refusal may have been passed over.
        turn = conversation.turn_of(last)
        wishes = () if rollout.script is None or turn == 1 else rollout.script.wishes[:turn]
        names |= {call.tool for wish in wishes for call in wish.plan}
    return (
        tuple(tool for tool in rollout.tools if tool.name in names),
        tuple(tool.name for tool in rollout.tools if tool.name not in names),
    )


def _quoted(items: Sequence[str]) -> str:
    return ", ".join(repr(item[:200]) for item in items[:_MOST_NAMED])
