"""Steps of a plan: one atomic sub-question each, with its arguments and its one right answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from astra.arenas.tables.views import Attribute, RowEntity, RowGroup
from astra.types import Json, Scalar, canonical_json

AnswerKind = Literal["entity", "text", "number", "date", "list"]

SMALLEST_COUNT = 3
"""Smaller counts are guessed too easily, and occur in many texts by chance."""


@dataclass(frozen=True, slots=True)
class QuestionValue:
    """A value that the question states."""

    text: str
    entity: RowEntity | None = None
    number: str = ""
    """What the number is called that rows are called by, e.g. "order ID". Empty for a name."""
    shared: bool = False
    """Rows of other tables have the same name, so the question says which one is meant."""


@dataclass(eq=False, slots=True)
class PlanStep:
    """One atomic call and its answer. Compared by identity, because a plan is a graph of steps."""

    operation: str
    """Key of the operation in `OPERATIONS`."""
    table: str
    """Table whose rows the tool holds. Empty for arithmetic."""
    arguments: dict[str, StepInput | Scalar]
    answer: Scalar | tuple[Scalar, ...]
    kind: AnswerKind
    attribute: Attribute | None = None
    by: Attribute | None = None
    """Attribute that forms the group."""
    unit: str | None = None
    entity: RowEntity | None = None
    """The row that the answer names, if it names one."""
    subjects: tuple[str, ...] = ()
    """Subjects that the train/test split is decided on."""
    rows: tuple[int, ...] = ()
    """Rows that the tool must hold."""
    groups: tuple[RowGroup, ...] = ()
    """Groups that the tool must hold completely."""
    words: dict[str, str] = field(default_factory=dict[str, str])
    """Order, function, comparison … as text, for the wording."""

    @property
    def parents(self) -> list[PlanStep]:
        """Steps whose answers this step needs, in argument order, each once."""
        parents: list[PlanStep] = []
        for value in self.arguments.values():
            if isinstance(value, PlanStep) and value not in parents:
                parents.append(value)
        return parents

    def walk(self) -> Iterator[PlanStep]:
        """Yield all ancestors before their descendants, each once, and this step last."""
        earlier: list[PlanStep] = []
        for parent in self.parents:
            for step in parent.walk():
                if step not in earlier:
                    earlier.append(step)
                    yield step
        yield self

    def call_key(self) -> str:
        """Identity of the call whatever the tool is called, for duplicates and the split."""
        return canonical_json([self.operation, self.table, self.call_arguments()])

    def call_arguments(self) -> dict[str, Json]:
        """The gold arguments, with the answers of earlier steps filled in."""
        return {name: argument_value(source) for name, source in self.arguments.items()}


StepInput = QuestionValue | PlanStep


def argument_value(source: StepInput | Scalar) -> Json:
    """The value that an argument takes in the gold call."""
    if isinstance(source, QuestionValue):
        return source.text
    return source.answer if isinstance(source, PlanStep) else source


def finite_number(value: Json) -> int | float | None:
    """The number, with floats rounded to 6 decimals. None if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else round(value, 6)
