"""`RuleTeacher`: the Teacher port over a catalogue of table arenas, wrong on demand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from astra.errors import TeacherError
from astra.teacher.prompt import In, Out, Prompt
from astra.teacher.prompts.arenas import (
    CallIn,
    DecomposeIn,
    DocumentIn,
    ExtendIn,
    GroupIn,
    InstanceIn,
    ParaphraseIn,
    ProposeIn,
    ScaleIn,
    StepsIn,
    ToolIn,
    WordingIn,
)
from astra.testing.rule_teacher.arenas import answers, writing
from astra.testing.rule_teacher.arenas.catalogue import Catalogue, CatalogueOptions
from astra.testing.rule_teacher.arenas.defects import DEFECTS, ArenaDefect
from astra.testing.rule_teacher.arenas.planting import plant
from astra.testing.rule_teacher.chance import drawn, input_key
from astra.testing.rule_teacher.faults import FaultRates, PlantedDefect
from astra.types import Language, Record


class RuleTeacher:
    """Answers every prompt of arena synthesis from tables, without a model.

    For trying out and testing: it makes no better data than `astra arenas make`. Its answers
    depend on the tables, the options, the input and the index alone. Raises TeacherError for
    what is not from its tables.
    """

    def __init__(self, catalogue: Catalogue, faults: FaultRates | None = None) -> None:
        self.catalogue = catalogue
        self.faults = faults or FaultRates()
        self.faults.check(DEFECTS)
        self.planted: dict[str, PlantedDefect] = {}
        """What was planted where, by `input_key`. Grows with the wrong answers."""

    @classmethod
    def of_tables(
        cls,
        paths: Sequence[Path],
        *,
        seed: int = 0,
        size: int = 200,
        languages: Sequence[Language] = ("en", "zh"),
        faults: FaultRates | None = None,
    ) -> RuleTeacher:
        """Draw what it knows: `size` candidate questions per language."""
        options = CatalogueOptions(size=size, languages=tuple(languages), seed=seed)
        return cls(Catalogue.of_tables(paths, options), faults)

    @property
    def name(self) -> str:
        return "rules"

    async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
        """The answer to a prompt, with a defect if one is due."""
        right = self.right(prompt, task, index=index)
        rng = drawn(self.faults.seed, prompt, task, index)
        for defect in self.faults.due(DEFECTS.get(prompt.name, ()), rng):
            # Anew for each defect, so that a planted one does not depend on those tried before.
            rng = drawn(self.faults.seed, prompt, task, index)
            wrong = plant(ArenaDefect(defect), task, right, self.catalogue, rng)
            if wrong is not None:
                # The main question that the answer is about.
                named = ((task, "main_question"), (wrong.answer, "question"), (task, "question"))
                questions = (getattr(record, field, "") for record, field in named)
                self.planted[input_key(prompt, task, index)] = PlantedDefect(
                    defect=defect,
                    prompt=prompt.name,
                    index=index,
                    question=str(next(filter(None, questions), "")),
                    step=wrong.step,
                    detail=wrong.detail,
                )
                return cast(Out, wrong.answer)
        return right

    def right(self, prompt: Prompt[In, Out], given: In, *, index: int = 0) -> Out:
        """The answer without defects."""
        return cast(Out, self._right(prompt.name, given, index))

    def _right(self, name: str, given: Record, index: int) -> Record:
        known = self.catalogue
        match given, name:
            case ProposeIn(), _:
                return answers.propose(known, given, index)
            case DecomposeIn(), _:
                return answers.decompose(known, given)
            case StepsIn(), _:
                return answers.judge_steps(known, given, name.removeprefix("judge_"))
            case InstanceIn(), _:
                return answers.judge_completeness(known, given)
            case DocumentIn(), _:
                return writing.write_document(known, given)
            case ScaleIn(), _:
                return writing.scale_document(known, given)
            case CallIn(), _:
                return writing.write_call(known, given)
            case ToolIn(), _:
                return writing.write_tool(known, given)
            case GroupIn(), _:
                return writing.group_steps(known, given)
            case ExtendIn(), _:
                return writing.extend_tool(known, given)
            case WordingIn(), _:
                return answers.judge_wording(given)
            case ParaphraseIn(), _:
                return answers.paraphrase(given, index)
            case _:
                raise TeacherError(f"the rule teacher has no rule for the prompt {name!r}")
