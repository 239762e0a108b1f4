"""The prompts that judge a trajectory, one per score (ASTRA paper, trajectory reward; spec 1.5).

No input holds the system message: what a trajectory is worth must not depend on how it was asked
for. Whether a call succeeded is read off the record and never asked.
"""

from __future__ import annotations

from typing import Any, Literal

from astra.teacher.prompt import JudgeVerdict, Prompt, TeacherAnswer
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


class FirstMessageIn(Record):
    """A request and what the assistant first said and called."""

    language: Language
    tools: tuple[ToolSchema, ...]
    request: str
    message: ShownMessage


class RoundIn(Record):
    """The conversation up to and with one round: a message with calls, and their results."""

    language: Language
    tools: tuple[ToolSchema, ...]
    messages: tuple[ShownMessage, ...]
    round: int
    """From 1; calls that were made at once are one round."""
    message: int
    """Number of the assistant's message of that round: what is judged."""


class JudgedCallIn(Record):
    """One call in the whole conversation."""

    language: Language
    tools: tuple[ToolSchema, ...]
    messages: tuple[ShownMessage, ...]
    call: ShownCall


class AnswerIn(Record):
    """What was asked, and the final answer."""

    language: Language
    asked: tuple[str, ...]
    """The user's messages."""
    answer: str


class FaithfulIn(Record):
    """The whole conversation, and its final answer."""

    language: Language
    messages: tuple[ShownMessage, ...]
    answer: str
    computed: tuple[str, ...] = ()
    """Numbers of the answer that stand nowhere as they are, but may follow from others."""


class Grade(TeacherAnswer):
    """A judgement with a middle."""

    reason: str
    """One or two sentences that name what they speak of, before the grade."""
    grade: Literal["no", "partly", "yes"]


VALUES = {"no": 0.0, "partly": 0.5, "yes": 1.0}
"""What a grade is worth."""

UNDERSTANDING = Prompt("judge_understanding", 1, FirstMessageIn, Grade)
PLANNING = Prompt("judge_planning", 1, FirstMessageIn, Grade)
RESPONSE = Prompt("judge_response", 1, RoundIn, Grade)
NEXT_STEP = Prompt("judge_next_step", 1, RoundIn, Grade)
CALL_NEEDED = Prompt("judge_call", 1, JudgedCallIn, JudgeVerdict)
RELEVANCE = Prompt("judge_relevance", 1, AnswerIn, Grade)
FAITHFULNESS = Prompt("judge_faithfulness", 1, FaithfulIn, Grade)

ALL: tuple[Prompt[Any, Any], ...] = (
    *(UNDERSTANDING, PLANNING, RESPONSE, NEXT_STEP, CALL_NEEDED, RELEVANCE, FAITHFULNESS),
)
