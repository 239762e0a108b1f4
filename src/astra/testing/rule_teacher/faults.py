"""Wrong answers on demand, for testing what checks answers: which one gets a defect, and which.

What is planted depends on the seed, the prompt, its input and the index alone: the same question
gets the same wrong answer again, and one that is asked again with an error message a new draw.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from astra.errors import ConfigError
from astra.teacher.prompt import JudgeVerdict
from astra.types import Record

Planter = Callable[[Any, Any, random.Random], Record | None]
"""(input, right answer, random) -> the wrong answer. None: this answer has no place for it."""
Planters = Mapping[str, Mapping[str, Planter]]
"""Prompt -> defect -> how it is planted. Other prompts are always answered right."""

FLIPPED = "verdict_flipped"
"""A judgement says the opposite."""


def flipped(task: Record, right: JudgeVerdict, rng: random.Random) -> JudgeVerdict:
    """The opposite verdict, with a reason that sounds like one."""
    del task, rng
    holds = not right.holds
    return right.model_copy(
        update={"holds": holds, "reason": "It holds." if holds else "It does not hold."}
    )


@dataclass(frozen=True, slots=True)
class PlantedDefect:
    """A defect in an answer that was given."""

    defect: str
    prompt: str
    index: int
    question: str = ""
    """The main question, where the prompt or the answer names it; else the sub-question."""
    step: str = ""
    """Id of the judged step. Empty for other prompts."""
    detail: str = ""
    """What was changed."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How often answers are wrong: by defect, or overall. Raises ConfigError for impossible rates.

    An answer has at most one defect.
    """

    rates: Mapping[str, float] = field(default_factory=dict[str, float])
    """Defect -> share of the answers that can have it."""
    seed: int = 0
    overall: float = 0.0
    """Share of wrong answers of every prompt that can have any, spread over its defects."""

    def __post_init__(self) -> None:
        for name, share in [("overall", self.overall), *self.rates.items()]:
            if not 0 <= share <= 1:
                raise ConfigError(f"the rate {share!r} of {str(name)!r} is not between 0 and 1")
        if self.rates and self.overall:
            raise ConfigError("give either the rates of single defects or an overall rate")

    def check(self, defects: Mapping[str, Iterable[str]]) -> None:
        """ConfigError if the rates of a prompt's defects add up to more than 1."""
        for prompt, names in defects.items():
            total = sum(self.rates.get(name, 0.0) for name in names)
            if total > 1 + 1e-9:
                raise ConfigError(
                    f"the rates of defects in {prompt!r} add up to {total:g}, more than 1"
                )

    def due(self, defects: Collection[str], rng: random.Random) -> list[str]:
        """Planters to try to plant in an answer, in this order. Mostly empty."""
        share = rng.random()
        if self.overall:
            return rng.sample(list(defects), len(defects)) if share < self.overall else []
        for defect in defects:
            share -= self.rates.get(defect, 0.0)
            if share < 0:
                return [defect]
        return []
