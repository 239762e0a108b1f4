"""What a value is compared with: in a call's result, or in what an agent says."""

from __future__ import annotations

from enum import StrEnum

from astra.records import Answer, Record, Scalar


def members_of(answer: Answer) -> tuple[Scalar, ...]:
    """The values of an answer that is a list, or the one value."""
    return answer if isinstance(answer, tuple) else (answer,)


class Matcher(StrEnum):
    """How an answer is compared with what a call returned."""

    exact = "exact"
    """Equal as JSON scalars after text normalisation of strings."""
    number = "number"
    """Equal as numbers within the target's tolerances; numeric strings count as numbers."""
    date = "date"
    """The same calendar day (ISO 8601; times are cut off)."""
    set = "set"
    """The same set of normalised scalars, order and repetition ignored."""
    text = "text"
    """The normalised answer stands in the normalised text, at word boundaries. The weakest."""


class Target(Record):
    """What a call must return to solve a goal."""

    matcher: Matcher
    value: Answer
    field: str | None = None
    """Key under which the answer must stand in a structured result; None: anywhere in the text."""
    key: dict[str, Scalar] = {}
    """Fields that must stand beside the answer or above it, e.g. {"country": "Germany"}, so that
    the same value found for another entity does not count. Empty: not checked."""
    absolute: float = 0.0
    relative: float = 1e-9
