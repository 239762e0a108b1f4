"""Stages `judged` and `validated`: what can be checked mechanically first, then judges, then a cut.

Tool necessity with the leaf rule, then DC, SA, SR, TC and their mean QS (ASTRA paper, validation
of decomposed QA). Each point is judged several times; the majority counts, a tie does not hold.
A judgement that can't be had leaves the instance without scores: an error row, tried again on the
next run, never a default.

What this does not guarantee: that the judges are right. Judges of one model share its blind spots.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from astra.arenas.synthesis.asking import majority, together, votes
from astra.arenas.synthesis.decompose import DECOMPOSITIONS
from astra.arenas.synthesis.records import DecomposedItem, DecompositionScores, JudgedItem
from astra.arenas.synthesis.rule_checks import (
    DuplicateQuestions,
    check_ends,
    check_leaks,
    check_need,
    leaves,
    shape,
)
from astra.errors import ConfigError, Rejected
from astra.runs.cost import StageMeter
from astra.runs.folder import RunFolder
from astra.runs.stage import Stage
from astra.teacher.prompt import Prompt, Teacher
from astra.teacher.prompts.arenas import (
    ATOMICITY,
    COMPLETENESS,
    DEPENDENCY,
    NECESSITY,
    RATIONALITY,
    DecompositionStep,
    InstanceIn,
    JudgeVerdict,
    StepIn,
)

JUDGED = "judged"
VALIDATED = "validated"

Votes = dict[str, tuple[bool, ...]]


@dataclass(frozen=True, slots=True)
class QualityThreshold:
    """The least QS that is kept: a value, or that of a percentile of a wave's scores."""

    value: float = 0.9
    percentile: bool = False

    @classmethod
    def parse(cls, text: str) -> QualityThreshold:
        """From "0.9" or "p90"; ConfigError for anything else."""
        percentile = text[:1] in "pP" and text != ""
        try:
            value = float(text[1:] if percentile else text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= (100 if percentile else 1):
            raise ConfigError(
                f"threshold {text!r}: write a score, as in 0.9, or a percentile, as in p90"
            )
        return cls(value, percentile)

    def least(self, scores: Collection[float]) -> float:
        """The score that is needed among these."""
        if not self.percentile:
            return self.value
        return float(np.percentile(list(scores), self.value)) if scores else 0.0


@dataclass(frozen=True, slots=True)
class CandidateDecomposition:
    """A decomposition and what came before it."""

    instance: DecomposedItem
    repeats: str
    """Key of the earlier instance that it repeats; ""."""


def candidates(folder: RunFolder) -> Iterator[CandidateDecomposition]:
    """The decompositions on record in their order, with the duplicates among them."""
    duplicates = DuplicateQuestions()
    for instance in folder.rows(DECOMPOSITIONS, DecomposedItem):
        yield CandidateDecomposition(instance, duplicates.earlier(instance))


def judged_stage(
    teacher: Teacher, judges: int, meter: StageMeter
) -> Stage[CandidateDecomposition, JudgedItem]:
    """Decompositions to scores."""
    if judges < 1:
        raise ConfigError(f"{judges} judges: at least one is needed")

    async def work(candidate: CandidateDecomposition) -> JudgedItem:
        instance = candidate.instance
        if candidate.repeats:
            raise Rejected("duplicate", f"repeats {candidate.repeats!r}")
        check_need(instance.steps)
        check_ends(instance.answer, instance.steps)
        check_leaks(instance)
        found: Votes = {}
        instance = await _with_needs(teacher, instance, judges, found)
        scores = await _scores(teacher, instance, judges, found)
        return JudgedItem(
            key=instance.key, instance=instance, scores=scores, votes=dict(sorted(found.items()))
        )

    return Stage(
        name=JUDGED,
        work=work,
        key=lambda candidate: candidate.instance.key,
        stored_key=lambda row: row["key"],
        stored_id=lambda row: row["key"],
        meter=meter,
    )


def validated_stage(
    leasts: Mapping[str, float], meter: StageMeter
) -> Stage[JudgedItem, JudgedItem]:
    """Keeps what reaches the score that is needed. `leasts`: key -> that score."""

    async def work(judged: JudgedItem) -> JudgedItem:
        quality, least = judged.scores.quality, leasts[judged.key]
        if quality < least:
            raise Rejected(
                "quality",
                f"QS {quality:.3f} is below {least:.3f} ({_shown(judged.scores)})",
            )
        return judged

    return Stage(
        name=VALIDATED,
        work=work,
        key=lambda judged: judged.key,
        stored_key=lambda row: row["key"],
        stored_id=lambda row: row["key"],
        meter=meter,
    )


def thresholds(
    folder: RunFolder, keys: Collection[str], threshold: QualityThreshold
) -> dict[str, float]:
    """The score that each instance of a wave needs."""
    scores = {
        row.key: row.scores.quality for row in folder.rows(JUDGED, JudgedItem) if row.key in keys
    }
    least = threshold.least(scores.values())
    return dict.fromkeys(scores, least)


def _shown(scores: DecompositionScores) -> str:
    return (
        f"DC {scores.dependency:.2f}, SA {scores.atomicity:.2f}, SR {scores.rationality:.2f}, "
        f"TC {scores.completeness:.0f}"
    )


# --- judging ----------------------------------------------------------------------------------


def _step_in(instance: DecomposedItem, step: DecompositionStep) -> StepIn:
    return StepIn(
        domain=instance.domain,
        language=instance.language,
        question=instance.question,
        steps=instance.steps,
        step=step.id,
    )


async def _per_step(
    teacher: Teacher,
    prompt: Prompt[StepIn, JudgeVerdict],
    instance: DecomposedItem,
    steps: Iterable[DecompositionStep],
    judges: int,
    found: Votes,
) -> dict[str, bool]:
    """Step id -> whether the majority says that the point holds."""
    asked = list(steps)
    verdicts = await together(
        votes(teacher, prompt, _step_in(instance, step), judges) for step in asked
    )
    for step, given in zip(asked, verdicts, strict=True):
        found[f"{prompt.name}:{step.id}"] = given
    return {step.id: majority(given) for step, given in zip(asked, verdicts, strict=True)}


async def _with_needs(
    teacher: Teacher, instance: DecomposedItem, judges: int, found: Votes
) -> DecomposedItem:
    """The instance with the judges' word on which steps need a tool; the leaf rule applied."""
    needs = await _per_step(teacher, NECESSITY, instance, instance.steps, judges, found)
    for step in instance.steps:
        if needs[step.id] and not step.needs_tool:
            raise Rejected(
                "necessity", f"step {step.id!r} is said to need no tool, but the judges want one"
            )
        if step.needs_tool and not needs[step.id] and step not in leaves(instance.steps):
            raise Rejected(
                "necessity",
                f"the judges find that step {step.id!r} needs no tool, but others depend on it",
            )
    steps = tuple(step.model_copy(update={"needs_tool": needs[step.id]}) for step in instance.steps)
    check_need(steps)
    return instance.model_copy(update={"steps": steps, "scenario": shape(steps)})


async def _scores(
    teacher: Teacher, instance: DecomposedItem, judges: int, found: Votes
) -> DecompositionScores:
    dependent = [step for step in instance.steps if step.depends_on]
    dependency, atomicity, rationality, complete = await together(
        [
            _per_step(teacher, DEPENDENCY, instance, dependent, judges, found),
            _per_step(teacher, ATOMICITY, instance, instance.steps, judges, found),
            _per_step(teacher, RATIONALITY, instance, instance.steps, judges, found),
            _complete(teacher, instance, judges, found),
        ]
    )
    # A step without dependencies lists none that is unnecessary.
    free = {step.id: True for step in instance.steps if not step.depends_on}
    return DecompositionScores(
        dependency=_mean(free | dependency),
        atomicity=_mean(atomicity),
        rationality=_mean(rationality),
        completeness=_mean(complete),
    )


async def _complete(
    teacher: Teacher, instance: DecomposedItem, judges: int, found: Votes
) -> dict[str, bool]:
    whole = InstanceIn(
        domain=instance.domain,
        language=instance.language,
        question=instance.question,
        answer=instance.answer,
        steps=instance.steps,
    )
    given = await votes(teacher, COMPLETENESS, whole, judges)
    found[COMPLETENESS.name] = given
    return {"": majority(given)}


def _mean(holds: Mapping[str, bool]) -> float:
    return sum(holds.values()) / len(holds)
