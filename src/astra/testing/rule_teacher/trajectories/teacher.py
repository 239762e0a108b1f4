"""`TrajectoryRules`: the Teacher port of trajectory synthesis by rules, wrong on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from astra.errors import TeacherError
from astra.teacher.prompt import In, Out, Prompt
from astra.testing.rule_teacher.chance import drawn, input_key
from astra.testing.rule_teacher.faults import (
    FaultRates,
    PlantedDefect,
    Planters,
)
from astra.testing.rule_teacher.trajectories.catalogue import DEFECTS, RULES, Rule


class TrajectoryRules:
    """Answers the prompts of trajectory synthesis from what stands in their input.

    The answers depend on the seed, the prompt, its input and the index alone. Raises TeacherError
    for prompts without a rule, and for inputs that the rule can't answer.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: FaultRates | None = None,
        rules: Mapping[str, Rule] = RULES,
        defects: Planters = DEFECTS,
    ) -> None:
        self._seed = seed
        self._faults = faults or FaultRates()
        self._faults.check(defects)
        self._rules = rules
        self._defects = defects
        self.planted: dict[str, PlantedDefect] = {}
        """What was planted where, by `input_key`. Grows with the wrong answers."""

    @property
    def name(self) -> str:
        return "rules"

    async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
        """The answer to a prompt, with a defect if one is due."""
        right = self.right(prompt, task, index=index)
        able = self._defects.get(prompt.name, {})
        rng = drawn(self._faults.seed, prompt, task, index)
        for defect in self._faults.due(able, rng):
            wrong = able[defect](task, right, rng)
            if wrong is not None:
                key = input_key(prompt, task, index)
                self.planted[key] = PlantedDefect(defect=defect, prompt=prompt.name, index=index)
                return cast(Out, wrong)
        return right

    def right(self, prompt: Prompt[In, Out], given: In, *, index: int = 0) -> Out:
        """The answer without defects."""
        rule = self._rules.get(prompt.name)
        if rule is None:
            raise TeacherError(
                f"the rule teacher of trajectories has no rule for the prompt {prompt.name!r}"
            )
        return cast(Out, rule(given, drawn(self._seed, prompt, given, index)))
