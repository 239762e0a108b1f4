"""The record of a problem, and how it is asked."""

from __future__ import annotations

from typing import Literal

from astra.types import Message, Record, content_hash

INSTRUCTIONS = (
    "Solve the problem step by step. When you know the answer, end with one sentence: "
    "The answer is followed by the answer alone."
)


class MathProblem(Record):
    """A question in words and the answer that is right."""

    id: str
    """Content hash of question and answer."""
    question: str
    answer: str
    """In words or LaTeX, nothing around it."""
    steps: tuple[str, ...] = ()
    """The worked steps, where they are known."""
    source: str = ""
    """Where it comes from, as the file says: a subject, a competition, a template."""
    level: int | None = None
    """Difficulty, the higher the harder; None: not told. Of made problems: number of steps."""
    split: Literal["train", "test"] = "train"


def problem_id(question: str, answer: str) -> str:
    """The id of a problem."""
    return content_hash([question, answer])


def problem_messages(problem: MathProblem) -> tuple[Message, ...]:
    """What a response to a problem starts from."""
    return (
        Message(role="system", content=INSTRUCTIONS),
        Message(role="user", content=problem.question),
    )


def worked(problem: MathProblem) -> str:
    """The known steps as a response; ends with the answer as the instructions ask for it."""
    return " ".join([*problem.steps, f"The answer is {problem.answer}."])
