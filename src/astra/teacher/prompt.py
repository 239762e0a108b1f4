"""`Prompt[In, Out]`: one typed use of a teacher, and the `Teacher` that answers it.

A model teacher renders the template and checks the reply against `Out`; a rule teacher computes
`Out` from `In`. Nothing is ever defaulted: an answer that can't be had is a `TeacherError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from astra.types import Record

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)


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
