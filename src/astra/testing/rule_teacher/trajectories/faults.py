"""Wrong on demand: how an answer of the rule teacher is spoilt, and how often.

Which answers get a defect depends on the seed, the prompt, its input and the index alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from astra.errors import ConfigError
from astra.teacher.prompt import JudgeVerdict
from astra.types import Record

Spoiler = Callable[[Any, Any, random.Random], Record | None]
"""(input, right answer, chance) -> the wrong answer; None: this answer has no place for it."""
Defects = Mapping[str, Mapping[str, Spoiler]]
"""Prompt -> defect -> how it is planted. A prompt that is not there is never answered wrongly."""

FLIPPED = "verdict_flipped"
"""A judgement says the opposite."""


def flipped(given: Record, right: JudgeVerdict, rng: random.Random) -> JudgeVerdict:
    """The opposite verdict, with a reason that sounds like one."""
    del given, rng
    holds = not right.holds
    return right.model_copy(
        update={"holds": holds, "reason": "It holds." if holds else "It does not hold."}
    )


@dataclass(frozen=True, slots=True)
class PlantedTrajectoryDefect:
    """A defect that stands in an answer that was given."""

    defect: str
    prompt: str
    index: int


@dataclass(frozen=True, slots=True)
class TrajectoryFaultRates:
    """How often answers are wrong. Raises ConfigError for rates that can't be."""

    rates: Mapping[str, float] = field(default_factory=dict[str, float])
    """Defect -> share of the answers that can have it and shall; an answer has at most one."""
    seed: int = 0
    overall: float = 0.0
    """Share of wrong answers of every prompt that can have any, spread over its defects."""

    def __post_init__(self) -> None:
        for what, share in [("overall", self.overall), *self.rates.items()]:
            if not 0 <= share <= 1:
                raise ConfigError(f"the rate {share!r} of {what!r} is not between 0 and 1")
        if self.rates and self.overall:
            raise ConfigError("give either the rates of single defects or an overall rate")

    def due(self, able: Mapping[str, Spoiler], rng: random.Random) -> list[str]:
        """Defects to plant, the first that can be; mostly none."""
        place = rng.random()
        if self.overall:
            return rng.sample(list(able), len(able)) if place < self.overall else []
        for defect in able:
            place -= self.rates.get(defect, 0.0)
            if place < 0:
                return [defect]
        return []
