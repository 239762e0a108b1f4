"""Operations that keep the rows of a group above or below a threshold, and how it is drawn."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from astra.arenas.tables.operations.base import GroupOperation
from astra.arenas.tables.operations.parameters import (
    ATTRIBUTE,
    BY,
    COMPARISON,
    THRESHOLD,
    VALUE,
)
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import quoted
from astra.arenas.tables.steps import PlanStep, finite_number
from astra.arenas.tables.views import Attribute, RowGroup
from astra.arenas.tables.world import World
from astra.types import Scalar

MIN_DISTINCT_VALUES = 4


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound for an attribute, and the side of it that is kept."""

    attribute: str
    comparison: Literal["above", "below"]
    value: int | float

    @property
    def condition(self) -> str:
        """The condition in SQL, with one parameter."""
        return f"{quoted(self.attribute)} {'>' if self.comparison == 'above' else '<'} ?"

    @property
    def arguments(self) -> dict[str, Scalar]:
        """The arguments of a call with this threshold."""
        return {
            "attribute": self.attribute,
            "comparison": self.comparison,
            "threshold": self.value,
        }


class ThresholdOperation(GroupOperation):
    """Base class of operations on the rows of a group above or below a threshold."""

    parameters = (BY, VALUE, ATTRIBUTE, COMPARISON, THRESHOLD)
    filtered = True

    def fits(self, attribute: Attribute) -> bool:
        return attribute.numeric

    def target_key(self, step: PlanStep) -> Mapping[str, Scalar]:
        # Above 28.5 means above 28 among whole numbers: the tool says which it took.
        threshold = step.arguments["threshold"]
        if step.attribute is None or step.attribute.kind is not ColumnKind.integer:
            return {}
        assert isinstance(threshold, int | float)
        above = step.arguments["comparison"] == "above"
        return {"threshold": math.floor(threshold) if above else math.ceil(threshold)}


def draw_threshold(
    world: World, group: RowGroup, attribute: Attribute, rng: random.Random
) -> Threshold | None:
    """A round number strictly between two values of the group, and a side of it.

    None if a row has no value, there are too few distinct ones, or no short number fits.
    """
    values = [row[attribute.name] for row in world.members(group)]
    if any(finite_number(value) is None for value in values):
        return None
    distinct = sorted(set(values))
    if len(distinct) < MIN_DISTINCT_VALUES:
        return None
    index = rng.randrange(1, len(distinct) - 2)
    value = round_between(distinct[index], distinct[index + 1])
    if value is None:
        return None
    return Threshold(attribute.name, rng.choice(("above", "below")), value)


def round_between(low: float, high: float) -> int | float | None:
    """The number with the fewest digits strictly between two numbers. None if none is short."""
    middle = (low + high) / 2
    for digits in range(1, 8):
        rounded = float(f"{middle:.{digits - 1}e}")
        if low < rounded < high:
            return int(rounded) if rounded == int(rounded) else rounded
    return None
