"""Wrong on demand: which answers of the rule teacher get a defect, drawn by seed.

What is drawn depends on the seed, the prompt, its input and the index alone, so that the same
question gets the same wrong answer again, and one asked with a finding a new draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from astra.errors import ConfigError
from astra.teacher.chance import drawn
from astra.teacher.prompt import Prompt
from astra.types import Record


class ArenaDefect(StrEnum):
    """What can be wrong with an answer."""

    unnecessary_dependency = "unnecessary_dependency"
    """A step lists an earlier step that it can do without."""
    non_atomic_step = "non_atomic_step"
    """A step asks for two things, the second by the first."""
    missing_step = "missing_step"
    """A step that the question needs is left out."""
    inner_step_without_tool = "inner_step_without_tool"
    """A step that others depend on is said to need no tool."""
    wrong_answer = "wrong_answer"
    """The answer of a step is another than the records say."""
    leak = "leak"
    """An answer stands in the main question, or in a tool document."""
    verdict_flipped = "verdict_flipped"
    """A judgement says the opposite."""
    wrong_call = "wrong_call"
    """The arguments ask for something else."""
    hard_coded_tool = "hard_coded_tool"
    """The tool returns its answer whatever it is asked."""
    broken_code = "broken_code"
    """The code is no Python, or every call of it raises."""


_DECOMPOSED = (
    ArenaDefect.unnecessary_dependency,
    ArenaDefect.non_atomic_step,
    ArenaDefect.missing_step,
    ArenaDefect.inner_step_without_tool,
    ArenaDefect.wrong_answer,
    ArenaDefect.leak,
)
DEFECTS: Mapping[str, tuple[ArenaDefect, ...]] = {
    "propose": _DECOMPOSED,
    "decompose": _DECOMPOSED,
    "judge_necessity": (ArenaDefect.verdict_flipped,),
    "judge_dependency": (ArenaDefect.verdict_flipped,),
    "judge_atomicity": (ArenaDefect.verdict_flipped,),
    "judge_rationality": (ArenaDefect.verdict_flipped,),
    "judge_completeness": (ArenaDefect.verdict_flipped,),
    "write_document": (ArenaDefect.leak,),
    "write_call": (ArenaDefect.wrong_call,),
    "write_tool": (ArenaDefect.hard_coded_tool, ArenaDefect.broken_code),
    "extend_tool": (ArenaDefect.hard_coded_tool, ArenaDefect.broken_code),
}
"""Prompt -> the defects that its answers can have. The prompts that are not here have none."""


@dataclass(frozen=True, slots=True)
class PlantedDefect:
    """A defect that stands in an answer that was given."""

    defect: ArenaDefect
    prompt: str
    index: int
    question: str
    """The main question, where the prompt or the answer names it; else the sub-question."""
    step: str
    """Id of the step that was judged; "" for other prompts."""
    detail: str
    """What was changed, in words."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How often answers are wrong. Either `rates` or `overall`; neither: never.

    Raises ConfigError for rates that can't be.
    """

    rates: Mapping[ArenaDefect, float] = field(default_factory=dict[ArenaDefect, float])
    """Share of the answers that can have the defect and shall; an answer has at most one."""
    seed: int = 0
    overall: float = 0.0
    """Share of wrong answers of every prompt that can have any, spread over its defects."""

    def __post_init__(self) -> None:
        for what, share in [("overall", self.overall), *self.rates.items()]:
            if not 0 <= share <= 1:
                raise ConfigError(f"the rate {share!r} of {what!s} is not between 0 and 1")
        if self.rates and self.overall:
            raise ConfigError("give either the rates of single defects or an overall rate")
        for prompt, defects in DEFECTS.items():
            total = sum(self.rates.get(defect, 0.0) for defect in defects)
            if total > 1 + 1e-9:
                raise ConfigError(
                    f"the rates of defects in {prompt!r} add up to {total:g}, more than 1"
                )

    def due(self, prompt: Prompt[Any, Any], given: Record, index: int) -> tuple[ArenaDefect, ...]:
        """Defects to plant, the first that can be; mostly none."""
        able = DEFECTS.get(prompt.name, ())
        rng = drawn(self.seed, prompt, given, index)
        place = rng.random()
        if self.overall:
            return tuple(rng.sample(able, len(able))) if place < self.overall else ()
        for defect in able:
            place -= self.rates.get(defect, 0.0)
            if place < 0:
                return (defect,)
        return ()
