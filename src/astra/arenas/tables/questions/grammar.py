"""Puts a plan into words: the main question, and one sub-question per step.

A phrase is built along the plan, so it holds what the first calls need and speaks of everything
later by description ("the longest river of that country"). A phrase that would nest too deep is
cut: what it starts from gets a sentence of its own ("Take the country of … . Which river of that
country …"). A sub-question names the step it builds on instead ("the country found in the first
step"). The words of each language stand in `grammar_en` and `grammar_zh`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from astra.arenas.tables.planner import QuestionPlan
from astra.arenas.tables.questions.chinese import Chinese
from astra.arenas.tables.questions.english import English
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.steps import PlanStep, QuestionValue, StepInput
from astra.types import Language

_WEIGHTS = {"lookup": 1.0, "find": 1.5, "convert": 0.0, "difference": 0.5, "days_between": 0.5}
_WEIGHT = 1.75
_LIMITS = (2.5, 3.0, 3.0)
"""How much a phrase may nest before it is cut: two or three plain links, or a group and one."""
_LONGEST_ROW = 4.0
"""Weight of all phrases that may stand in one row with commas."""


class RowNames(NamedTuple):
    """What one row and several rows of a step's table are called."""

    singular: str
    plural: str


class LanguageWords(Protocol):
    """One language's words. `rng` chooses among wordings of the same meaning."""

    def known(self, subject: QuestionValue, singular: str | None, rng: random.Random) -> str:
        """A value of the question; `singular` None: not to be said what it is."""
        ...

    def result(self, step: PlanStep, number: int, singular: str | None) -> str:
        """How a sub-question speaks of an earlier step's answer; `number` counts from 0."""
        ...

    def noun(
        self,
        step: PlanStep,
        nouns: Mapping[str, str],
        names: RowNames,
        rng: random.Random,
        unit: bool,
    ) -> str:
        """A noun phrase for the step's answer; `nouns`: phrases of its arguments; `unit`: say
        the one that a number is wanted in."""
        ...

    def ask(
        self,
        step: PlanStep,
        nouns: Mapping[str, str],
        names: RowNames,
        of: str | None,
        rng: random.Random,
    ) -> str:
        """A question for the step's answer; `of`: what the answer is called, e.g. "country"."""
        ...

    def handle(self, step: PlanStep, of: str | None, letter: int | None) -> str:
        """How the question speaks again of a step that it has introduced."""
        ...

    def introduce(
        self, noun: str, handle: str, letter: int | None, first: bool, rng: random.Random
    ) -> str:
        """The sentence that introduces it; `first`: nothing was introduced before."""
        ...

    def facts(self, labels: Sequence[str], subject: str) -> str:
        """Several attributes of one subject as a row of noun phrases."""
        ...

    def ask_row(self, nouns: Sequence[str], rng: random.Random) -> str:
        """One question for several answers, in order."""
        ...

    def ask_items(self, questions: Sequence[str], rng: random.Random) -> str:
        """Several questions, to be answered in order."""
        ...

    def ask_node(self, joined: str, nouns: Sequence[str], rng: random.Random) -> str: ...

    def labelled(self, step: PlanStep) -> str:
        """The attribute asked for, with its unit."""
        ...

    def join(self, sentences: Sequence[str]) -> str: ...

    def dress(self, question: str, rng: random.Random) -> str:
        """Around the question: who asks, or nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Phrasing:
    """A plan in words."""

    question: str
    steps: tuple[str, ...]
    """Sub-questions, in the order of `QuestionPlan.steps()`."""
    node: str | None
    """The answer node's sub-question, if there is one."""


@dataclass(slots=True)
class PhrasingContext:
    """What has been introduced so far."""

    limit: float
    handles: dict[int, str] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    lettered: bool = False
    """Several things of one kind are introduced: tell them apart by letters."""


class Grammar:
    """Phrases plans in one language."""

    def __init__(self, schema: Schema, language: Language) -> None:
        self._schema = schema
        self._language: Language = language
        self._words: LanguageWords = {"en": English, "zh": Chinese}[language]()

    def phrase(self, plan: QuestionPlan, rng: random.Random) -> Phrasing:
        """Main question and sub-questions."""
        steps = plan.steps()
        numbers = {id(step): number for number, step in enumerate(steps)}
        node = None
        if plan.has_answer_node and plan.joined is not None:
            results = [self._result(end, numbers) for end in plan.ends]
            node = self._words.ask_node(plan.joined, results, rng)
        return Phrasing(
            self._words.dress(self._question(plan, rng), rng),
            tuple(self._sub_question(step, numbers, rng) for step in steps),
            node,
        )

    # --- the main question ---------------------------------------------------------------------

    def _question(self, plan: QuestionPlan, rng: random.Random) -> str:
        context = PhrasingContext(rng.choice(_LIMITS))
        cuts = self._cuts(plan.ends, context.limit)
        context.lettered = max(Counter(map(self._kind, cuts)).values(), default=0) > 1
        if plan.joined is None:
            return self._item(plan.ends[0], context, cuts, rng)
        if plan.joined != "list":
            for cut in cuts:
                self._introduce(cut, context, rng)
            nouns = [self._noun(end, context, rng, unit=True) for end in plan.ends]
            asked = self._words.ask_node(plan.joined, nouns, rng)
            return self._words.join([*context.sentences, asked])
        return self._listed(plan.ends, context, cuts, rng)

    def _listed(
        self,
        ends: Sequence[PlanStep],
        context: PhrasingContext,
        cuts: list[PlanStep],
        rng: random.Random,
    ) -> str:
        """Several answers: facts of one subject, a row of nouns, or items."""
        words = self._words
        subject = _one_subject(ends)
        if subject is not None:
            cuts = cuts if subject in cuts else [*cuts, subject]
            for cut in cuts:
                self._introduce(cut, context, rng)
            labels = [words.labelled(end) for end in ends]
            asked = words.ask_row([words.facts(labels, self._noun(subject, context, rng))], rng)
            return words.join([*context.sentences, asked])
        shared = _shared(ends)
        for cut in cuts:
            if cut in shared:
                self._introduce(cut, context, rng)
        rest = [cut for cut in cuts if cut not in shared]
        plain = all(end.operation in ("lookup", "find", "rank") for end in ends)
        if plain and not rest and len(ends) <= 3 and sum(map(_weight, ends)) <= _LONGEST_ROW:
            nouns = [self._noun(end, context, rng, unit=True) for end in ends]
            return words.join([*context.sentences, words.ask_row(nouns, rng)])
        items = []
        for end in ends:
            own = PhrasingContext(context.limit, dict(context.handles), [], context.lettered)
            mine = [cut for cut in rest if cut in list(end.walk())]
            own.lettered = max(Counter(map(self._kind, mine)).values(), default=0) > 1
            items.append(self._item(end, own, mine, rng))
        return words.join([*context.sentences, words.ask_items(items, rng)])

    def _item(
        self, end: PlanStep, context: PhrasingContext, cuts: Sequence[PlanStep], rng: random.Random
    ) -> str:
        for cut in cuts:
            self._introduce(cut, context, rng)
        nouns = self._nouns(end, context, rng)
        asked = self._words.ask(end, nouns, self._names(end.table), self._of(end), rng)
        return self._words.join([*context.sentences, asked])

    def _introduce(self, step: PlanStep, context: PhrasingContext, rng: random.Random) -> None:
        letter = None
        if context.lettered:
            letter = len(context.handles)
        handle = self._words.handle(step, self._of(step), letter)
        noun = self._noun(step, context, rng)
        context.sentences.append(
            self._words.introduce(noun, handle, letter, not context.sentences, rng)
        )
        context.handles[id(step)] = handle

    def _cuts(self, ends: Sequence[PlanStep], limit: float) -> list[PlanStep]:
        """What needs a sentence of its own, in order: shared steps and where phrases nest."""
        cuts: list[PlanStep] = []
        weights: dict[int, float] = {}
        shared = _shared(ends)
        for end in ends:
            for step in end.walk():
                if id(step) in weights:
                    continue
                parents = sorted(step.parents, key=lambda p: -weights[id(p)])
                own = _WEIGHTS.get(step.operation, _WEIGHT)
                for parent in parents:
                    if own + weights[id(parent)] > limit and parent.kind in ("entity", "text"):
                        cuts.append(parent)
                        weights[id(parent)] = 0.0
                weights[id(step)] = own + max((weights[id(p)] for p in parents), default=0.0)
                if step in shared and step.kind in ("entity", "text"):
                    cuts.append(step)
                    weights[id(step)] = 0.0
        unique = {id(cut): cut for cut in cuts}
        order = [step for end in ends for step in end.walk()]
        return [step for step in {id(s): s for s in order}.values() if id(step) in unique]

    # --- sub-questions -------------------------------------------------------------------------

    def _sub_question(self, step: PlanStep, numbers: Mapping[int, int], rng: random.Random) -> str:
        nouns = {
            name: self._result(source, numbers)
            if isinstance(source, PlanStep)
            else self._known(step, source, rng)
            for name, source in step.arguments.items()
            if isinstance(source, PlanStep | QuestionValue)
        }
        return self._words.ask(step, nouns, self._names(step.table), self._of(step), rng)

    def _result(self, step: PlanStep, numbers: Mapping[int, int]) -> str:
        return self._words.result(step, numbers[id(step)], self._of(step))

    # --- phrases -------------------------------------------------------------------------------

    def _nouns(
        self, step: PlanStep, context: PhrasingContext, rng: random.Random
    ) -> dict[str, str]:
        return {
            name: self._known(step, source, rng)
            if isinstance(source, QuestionValue)
            else self._noun(source, context, rng)
            for name, source in step.arguments.items()
            if isinstance(source, PlanStep | QuestionValue)
        }

    def _noun(
        self, step: PlanStep, context: PhrasingContext, rng: random.Random, *, unit: bool = False
    ) -> str:
        if id(step) in context.handles:
            return context.handles[id(step)]
        nouns = self._nouns(step, context, rng)
        return self._words.noun(step, nouns, self._names(step.table), rng, unit)

    def _known(self, step: PlanStep, known: QuestionValue, rng: random.Random) -> str:
        """Says what a name is of, unless the words around it already do."""
        singular = None
        if known.entity is not None and step.operation in ("lookup", "compare"):
            singular = self._names(known.entity.table).singular
        return self._words.known(known, singular, rng)

    def _names(self, table: str) -> RowNames:
        if not table:
            return RowNames("", "")
        found = self._schema.table(table)
        return RowNames(
            found.singular.get(self._language) or found.name,
            found.plural.get(self._language) or found.name,
        )

    def _of(self, step: PlanStep) -> str | None:
        return self._names(step.entity.table).singular if step.entity is not None else None

    def _kind(self, step: PlanStep) -> str:
        return self._words.handle(step, self._of(step), None)


def _weight(step: PlanStep) -> float:
    """How deep the phrase of a step nests when nothing is cut."""
    inner = max(map(_weight, step.parents), default=0.0)
    return inner + _WEIGHTS.get(step.operation, _WEIGHT)


def _shared(ends: Sequence[PlanStep]) -> list[PlanStep]:
    """The last steps that several ends build on."""
    walks = [[step for step in end.walk() if step is not end] for end in ends]
    found: list[PlanStep] = []
    for number, walk in enumerate(walks):
        for step in walk:
            if step not in found and any(step in other for other in walks[number + 1 :]):
                found.append(step)
    inner = {id(parent) for step in found for parent in step.parents}
    return [step for step in found if id(step) not in inner]


def _one_subject(ends: Sequence[PlanStep]) -> PlanStep | None:
    """The step that all ends look up a fact of."""
    subjects: list[StepInput] = [
        source
        for end in ends
        if end.operation == "lookup"
        for source in end.arguments.values()
        if isinstance(source, PlanStep)
    ]
    first = subjects[0] if len(subjects) == len(ends) > 1 else None
    return first if isinstance(first, PlanStep) and all(s is first for s in subjects) else None
