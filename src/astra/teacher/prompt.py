"""`Prompt[In, Out]`: one typed use of a teacher, and the `Teacher` that answers it.

A model teacher renders the template and checks the reply against `Out`; a rule teacher computes
`Out` from `In`. Nothing is ever defaulted: an answer that can't be had is a `TeacherError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydantic import ConfigDict

from astra.types import Record

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)


class TeacherAnswer(Record):
    """Base of what a teacher gives back; docstrings of fields describe them in its JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class JudgeVerdict(TeacherAnswer):
    """A judgement on one point."""

    reason: str
    """One or two sentences, before the verdict."""
    holds: bool


@dataclass(frozen=True, slots=True)
class Prompt(Generic[In, Out]):
    """A typed question. Its template is `teacher/prompts/<name>.md`, or the user's of that name."""

    name: str
    version: int
    """Raised whenever the template or a record changes, so that recorded answers are not reused."""
    given: type[In]
    wanted: type[Out]
    system: str = ""
    """System message; "": none."""


class Teacher(Protocol):
    """Answers prompts. Raises `TeacherError`, after its own bounded retries, when it can't."""

    @property
    def name(self) -> str: ...

    async def ask(self, prompt: Prompt[In, Out], given: In, *, index: int = 0) -> Out:
        """The answer to one prompt. `index`: which of several independent answers is wanted."""
        ...
