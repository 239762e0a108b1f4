"""Stages `judged` and `validated`: checks by rule first, then judges, then a quality threshold.

Tool necessity with the leaf rule, then DC, SA, SR, TC and their mean QS (ASTRA paper, validation
of decomposed QA). One request asks one point of all steps, so that the plan is sent once; each step
gets a verdict of its own, several times; the majority counts, a tie does not hold.
A missing judgement leaves the instance without scores: an error row, tried again on the next run,
never a default.

What this does not guarantee: that the judges are right. Judges of one model share its blind spots.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from astra.arenas.synthesis.asking import majority, step_votes, together, votes
from astra.arenas.synthesis.decompose import DECOMPOSITIONS
from astra.arenas.synthesis.duplicates import DuplicateQuestions
from astra.arenas.synthesis.records import DecomposedItem, DecompositionScores, JudgedItem
from astra.arenas.synthesis.rule_checks import (
    check_ends,
    check_leaks,
    check_tool_need,
    leaves,
    step_scenario,
)
from astra.errors import ConfigError, Rejected
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
    StepsIn,
    StepVerdicts,
)

JUDGED = "judged"
VALIDATED = "validated"


@dataclass(frozen=True, slots=True)
class DecompositionCandidate:
    """A decomposition, and whether an earlier one asks the same."""

    instance: DecomposedItem
    duplicate_of: str
    """Key of the earlier instance this one duplicates. Empty if it is not a duplicate."""

    @property
    def key(self) -> str:
        return self.instance.key


def decomposition_candidates(folder: RunFolder) -> Iterator[DecompositionCandidate]:
    """The recorded decompositions in their order, duplicates marked."""
    duplicates = DuplicateQuestions()
    for instance in folder.rows(DECOMPOSITIONS, DecomposedItem):
        yield DecompositionCandidate(instance, duplicates.earlier(instance))


def judged_stage(teacher: Teacher, judge_votes: int) -> Stage[DecompositionCandidate, JudgedItem]:
    """Decompositions to scores. `judge_votes`: independent verdicts per point."""
    if judge_votes < 1:
        raise ConfigError(f"judge_votes {judge_votes!r} must be at least 1")

    async def work(candidate: DecompositionCandidate) -> JudgedItem:
        instance = candidate.instance
        if candidate.duplicate_of:
            raise Rejected("duplicate", f"repeats {candidate.duplicate_of!r}")
        check_tool_need(instance.steps)
        check_ends(instance.answer, instance.steps)
        check_leaks(instance)
        return await _Judges(teacher, judge_votes).judged(instance)

    return Stage(JUDGED, work)


class _Judges:
    """Judges one instance, and keeps every verdict."""

    def __init__(self, teacher: Teacher, count: int) -> None:
        self._teacher = teacher
        self._count = count
        self._votes: dict[str, tuple[bool, ...]] = {}

    async def judged(self, instance: DecomposedItem) -> JudgedItem:
        # First, because the verdict decides which steps have tools, and the other points ask
        # about the steps as they then are.
        needs = await self._verdicts(NECESSITY, instance, instance.steps)
        for step in instance.steps:
            if needs[step.id] and not step.needs_tool:
                raise Rejected(
                    "necessity",
                    f"step {step.id!r} is declared to need no tool, but the judges want one",
                )
            # The leaf rule: only a last step may do without a tool.
            if step.needs_tool and not needs[step.id] and step not in leaves(instance.steps):
                raise Rejected(
                    "necessity",
                    f"the judges find that step {step.id!r} needs no tool, but others depend on it",
                )
        steps = tuple(s.model_copy(update={"needs_tool": needs[s.id]}) for s in instance.steps)
        check_tool_need(steps)
        instance = instance.model_copy(update={"steps": steps, "scenario": step_scenario(steps)})
        dependent = [step for step in steps if step.depends_on]
        dependency, atomicity, rationality, complete = await together(
            [
                self._verdicts(DEPENDENCY, instance, dependent),
                self._verdicts(ATOMICITY, instance, steps),
                self._verdicts(RATIONALITY, instance, steps),
                self._completeness(instance),
            ]
        )
        # A step without dependencies lists none that is unnecessary.
        independent = {step.id: True for step in steps if not step.depends_on}
        means = [
            sum(holds.values()) / len(holds)
            for holds in (independent | dependency, atomicity, rationality, complete)
        ]
        return JudgedItem(
            key=instance.key,
            instance=instance,
            scores=DecompositionScores(
                dependency=means[0],
                atomicity=means[1],
                rationality=means[2],
                completeness=means[3],
            ),
            votes=dict(sorted(self._votes.items())),
        )

    async def _verdicts(
        self,
        prompt: Prompt[StepsIn, StepVerdicts],
        instance: DecomposedItem,
        steps: Sequence[DecompositionStep],
    ) -> dict[str, bool]:
        """Step id -> whether the majority says that the point holds."""
        task = StepsIn(
            domain=instance.domain,
            language=instance.language,
            question=instance.question,
            steps=instance.steps,
            judge=tuple(step.id for step in steps),
        )
        verdicts = await step_votes(self._teacher, prompt, task, self._count)
        for step, given in verdicts.items():
            self._votes[f"{prompt.name}:{step}"] = given
        return {step: majority(given) for step, given in verdicts.items()}

    async def _completeness(self, instance: DecomposedItem) -> dict[str, bool]:
        task = InstanceIn(
            domain=instance.domain,
            language=instance.language,
            question=instance.question,
            answer=instance.answer,
            steps=instance.steps,
        )
        verdicts = await votes(self._teacher, COMPLETENESS, task, self._count)
        self._votes[COMPLETENESS.name] = verdicts
        return {"": majority(verdicts)}


# --- the threshold ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QualityThreshold:
    """The least QS that passes: a value, or that of a percentile of a wave's scores."""

    min_quality: float = 0.9
    percentile: float | None = None
    """Takes the place of `min_quality`. In [0, 100]."""

    def least(self, scores: Collection[float]) -> float:
        """The score that an instance among these needs."""
        if self.percentile is None:
            return self.min_quality
        return float(np.percentile(list(scores), self.percentile)) if scores else 0.0


def wave_thresholds(
    folder: RunFolder, keys: Collection[str], threshold: QualityThreshold
) -> dict[str, float]:
    """The score that each judged instance of a wave needs."""
    scores = {
        row.key: row.scores.quality for row in folder.rows(JUDGED, JudgedItem) if row.key in keys
    }
    return dict.fromkeys(scores, threshold.least(scores.values()))


def validated_stage(thresholds: Mapping[str, float]) -> Stage[JudgedItem, JudgedItem]:
    """Keeps instances whose quality reaches their threshold. `thresholds`: by key."""

    async def work(judged: JudgedItem) -> JudgedItem:
        scores, least = judged.scores, thresholds[judged.key]
        if scores.quality < least:
            raise Rejected(
                "quality",
                f"QS {scores.quality:.3f} is below {least:.3f} (DC {scores.dependency:.2f}, "
                f"SA {scores.atomicity:.2f}, SR {scores.rationality:.2f}, "
                f"TC {scores.completeness:.0f})",
            )
        return judged

    return Stage(VALIDATED, work)
