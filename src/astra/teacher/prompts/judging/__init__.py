"""The prompts that judge a trajectory (ASTRA paper, trajectory reward; spec 1.5).

Scores that read the same part of a conversation share a request, so that it is sent once. No input
holds the system message: what a trajectory is worth must not depend on how it was asked for.
Whether a call succeeded is read off the record and never asked.
"""

from __future__ import annotations

from typing import Any, Literal

from astra.teacher.prompt import Prompt, TeacherAnswer
from astra.types import Json, Language, Record, ToolSchema


class ShownCall(Record):
    """A call in a message, or alone."""

    id: str
    tool: str
    arguments: Json
    """Text where they could not be parsed."""


class ShownMessage(Record):
    """A message as a judge sees it."""

    number: int
    """From 1, the user's first; the system message has none."""
    by: Literal["user", "assistant", "tool"]
    text: str
    reasoning: str = ""
    """What the assistant thought before it spoke, where that is known."""
    calls: tuple[ShownCall, ...] = ()
    answers: str | None = None
    """Id of the call whose result this is."""


class OpeningIn(Record):
    """A request, and what the assistant first said and called to meet it."""

    language: Language
    tools: tuple[ToolSchema, ...]
    """Those that are planned or called here."""
    other_tools: tuple[str, ...]
    """Names of the others that the assistant has."""
    messages: tuple[ShownMessage, ...]
    """The conversation before the request. Empty for the first one."""
    request: str
    message: ShownMessage


class RoundIn(Record):
    """The conversation up to and with one round: a message with calls, and their results."""

    language: Language
    tools: tuple[ToolSchema, ...]
    other_tools: tuple[str, ...]
    messages: tuple[ShownMessage, ...]
    round: int
    """From 1; calls that were made at once are one round."""
    message: int
    """Number of the assistant's message of that round: what is judged."""


class JudgedCallsIn(Record):
    """Calls in the whole conversation."""

    language: Language
    tools: tuple[ToolSchema, ...]
    messages: tuple[ShownMessage, ...]
    calls: tuple[str, ...]
    """Ids of the calls to judge."""


AnswerPart = Literal["relevance", "faithfulness"]


class AnswerIn(Record):
    """The conversation up to an answer."""

    language: Language
    messages: tuple[ShownMessage, ...]
    message: int
    """Number of the answer."""
    judge: tuple[AnswerPart, ...]
    """What is to be judged; the rest was decided by rule."""
    computed: tuple[str, ...] = ()
    """Numbers of the answer that stand nowhere as they are, but may follow from others."""


class Grade(TeacherAnswer):
    """A judgement with a middle."""

    reason: str
    """One or two sentences that name what they speak of, before the grade."""
    grade: Literal["no", "partly", "yes"]


VALUES = {"no": 0.0, "partly": 0.5, "yes": 1.0}
"""What a grade is worth."""


class OpeningGrades(TeacherAnswer):
    """Judgements on the first message that meets a request."""

    understanding: Grade
    planning: Grade


class RoundGrades(TeacherAnswer):
    """Judgements on one round."""

    understanding: Grade
    next_step: Grade


class CallVerdict(TeacherAnswer):
    """Whether one call was needed."""

    call: str
    reason: str
    """One sentence, before the verdict."""
    holds: bool


class CallVerdicts(TeacherAnswer):
    """One verdict per call that is judged, in their order."""

    verdicts: tuple[CallVerdict, ...]


class AnswerGrades(TeacherAnswer):
    """Judgements on an answer; null where none is wanted."""

    relevance: Grade | None
    faithfulness: Grade | None


def _lacking_verdicts(task: JudgedCallsIn, answer: CallVerdicts) -> str:
    judged = tuple(verdict.call for verdict in answer.verdicts)
    if judged == task.calls:
        return ""
    return f"verdicts are wanted for the calls {', '.join(task.calls)}, in this order, each once"


def _lacking_grades(task: AnswerIn, answer: AnswerGrades) -> str:
    lacking = [part for part in task.judge if getattr(answer, part) is None]
    return f"the grade {lacking[0]!r} is wanted and is null" if lacking else ""


OPENING = Prompt("judge_opening", 1, OpeningIn, OpeningGrades)
ROUND = Prompt("judge_round", 1, RoundIn, RoundGrades)
CALLS = Prompt("judge_calls", 1, JudgedCallsIn, CallVerdicts, problem=_lacking_verdicts)
ANSWER = Prompt("judge_answer", 1, AnswerIn, AnswerGrades, problem=_lacking_grades)

ALL: tuple[Prompt[Any, Any], ...] = (OPENING, ROUND, CALLS, ANSWER)
