"""`Prompt[In, Out]`: a typed question to a teacher, and `Teacher`, which answers it.

A model teacher renders the template and checks the reply against `Out`; a rule teacher computes
`Out` from `In`. Nothing is ever defaulted: a missing answer is a `TeacherError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydantic import ConfigDict

from astra.types import Record

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)


class TeacherAnswer(Record):
    """Base class of replies. Field docstrings describe the fields in the reply's JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class JudgeVerdict(TeacherAnswer):
    """A judgement on one point."""

    reason: str
    """One or two sentences, before the verdict."""
    holds: bool


@dataclass(frozen=True, slots=True)
class Prompt(Generic[In, Out]):
    """A typed question. Its template is `<name>.md`, beside its records or in the user's folder."""

    name: str
    version: int
    """Raised whenever the template or a record changes, so that recorded answers are not reused."""
    input_type: type[In]
    output_type: type[Out]
    system: str = ""
    """System message. Empty: the shared template `_system`."""
    problem: Callable[[In, Out], str] | None = None
    """What is wrong with an answer to this input, beyond what the schema says; "": nothing. A reply
    with a problem is asked for again, and never recorded."""


class Teacher(Protocol):
    """Answers prompts. Raises `TeacherError`, after its own bounded retries, when it can't."""

    @property
    def name(self) -> str: ...

    async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
        """Answer one prompt. `index` numbers independent answers to the same prompt."""
        ...
