"""The record of a problem, and its prompt."""

from __future__ import annotations

from typing import Literal

from astra.types import Message, Record, content_hash

INSTRUCTIONS = (
    "Solve the problem step by step. When you know the answer, end with one sentence: "
    "The answer is followed by the answer alone."
)


class MathProblem(Record):
    """A question in words and its right answer."""

    id: str
    """Content hash of question and answer."""
    question: str
    answer: str
    """Words or LaTeX, without anything around it."""
    steps: tuple[str, ...] = ()
    """The worked steps. Empty if they are not known."""
    source: str = ""
    """Origin, as the file states it: a subject, a competition, a template. Empty if unknown."""
    level: int | None = None
    """Difficulty, higher is harder: the number of steps of a generated problem. None if unknown."""
    split: Literal["train", "test"] = "train"


def problem_id(question: str, answer: str) -> str:
    """The id of a problem."""
    return content_hash([question, answer])


def problem_messages(problem: MathProblem) -> tuple[Message, ...]:
    """The prompt of a problem."""
    return (
        Message(role="system", content=INSTRUCTIONS),
        Message(role="user", content=problem.question),
    )


def worked_response(problem: MathProblem) -> str:
    """The known steps as a response that ends as the instructions ask."""
    return " ".join([*problem.steps, f"The answer is {problem.answer}."])
