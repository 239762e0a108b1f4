"""Phrases a plan: the main question, and one sub-question per step.

A phrase is built along the plan, so it holds what the first calls need and speaks of everything
later by description ("the longest river of that country"). A phrase that would nest too deep is
cut: what it starts from gets a sentence of its own ("Take the country of … . Which river of that
country …"). A sub-question names the step it builds on instead ("the country found in the first
step"). The words are those of `english`, `chinese` and the operations.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from astra.arenas.tables.operations import OPERATIONS
from astra.arenas.tables.planner import QuestionPlan
from astra.arenas.tables.questions.chinese import Chinese
from astra.arenas.tables.questions.english import English
from astra.arenas.tables.questions.phrases import LanguageWords, StepPhrase
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.steps import PlanStep, QuestionValue
from astra.types import Language

_LIMITS = (2.5, 3.0, 3.0)
"""How deep a phrase may nest before it is cut: two or three plain links, or a group and one."""
_MAX_ROW_NESTING = 4.0
"""Nesting of all phrases together that may stand in one row with commas."""


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
    """The steps that the question has introduced so far."""

    handles: dict[PlanStep, str] = field(default_factory=dict[PlanStep, str])
    sentences: list[str] = field(default_factory=list[str])
    lettered: bool = False
    """Several things of one kind are introduced, so letters distinguish them."""


class Grammar:
    """Phrases plans in one language."""

    def __init__(self, schema: Schema, language: Language) -> None:
        self._schema = schema
        self._language: Language = language
        self._words: LanguageWords = {"en": English, "zh": Chinese}[language]()
        labels = [
            {column.labels.get(language) or column.name for column in table.columns}
            for table in schema.tables
        ]
        self._tables_of_label = Counter(label for of_table in labels for label in of_table)

    def phrase(self, plan: QuestionPlan, rng: random.Random) -> Phrasing:
        """Main question and sub-questions."""
        numbers = {step: number for number, step in enumerate(plan.steps())}

        def result(step: PlanStep) -> str:
            return self._words.result(step, numbers[step], self._answer_noun(step))

        node = None
        if plan.has_answer_node and plan.joined is not None:
            node = self._words.ask_node(plan.joined, [result(end) for end in plan.ends], rng)
        cuts = _cuts(plan.ends, rng.choice(_LIMITS))
        context = PhrasingContext(lettered=self._alike(cuts))
        if plan.joined is None:
            question = self._item(plan.ends[0], context, cuts, rng)
        elif plan.joined == "list":
            question = self._list(plan.ends, context, cuts, rng)
        else:
            self._introduce(cuts, context, rng)
            nouns = [self._noun(end, context, rng, unit=True) for end in plan.ends]
            asked = self._words.ask_node(plan.joined, nouns, rng)
            question = self._words.join([*context.sentences, asked])
        question = self._words.frame(question, rng)
        steps = [self._ask(step, result, rng) for step in numbers]
        return Phrasing(_one_stop(question), tuple(map(_one_stop, steps)), node)

    # --- the main question ---------------------------------------------------------------------

    def _list(
        self,
        ends: Sequence[PlanStep],
        context: PhrasingContext,
        cuts: list[PlanStep],
        rng: random.Random,
    ) -> str:
        """Several answers: facts of one subject, a row of noun phrases, or items."""
        words = self._words
        subjects = {
            end.parents[0] if end.operation == "lookup" and end.parents else end for end in ends
        }
        subject = subjects.pop()
        if not subjects and len(ends) > 1 and subject not in ends:
            self._introduce(cuts if subject in cuts else [*cuts, subject], context, rng)
            labels = [words.labelled(end) for end in ends]
            facts = words.facts(labels, self._noun(subject, context, rng))
            return words.join([*context.sentences, words.ask_row([facts], rng)])
        shared = _shared_steps(ends)
        self._introduce([cut for cut in cuts if cut in shared], context, rng)
        rest = [cut for cut in cuts if cut not in shared]
        plain = all(OPERATIONS[end.operation].in_row for end in ends)
        if plain and not rest and len(ends) <= 3 and sum(map(_nesting, ends)) <= _MAX_ROW_NESTING:
            nouns = [self._noun(end, context, rng, unit=True) for end in ends]
            return words.join([*context.sentences, words.ask_row(nouns, rng)])
        items: list[str] = []
        for end in ends:
            own_cuts = [cut for cut in rest if cut in list(end.walk())]
            own = PhrasingContext(dict(context.handles), lettered=self._alike(own_cuts))
            items.append(self._item(end, own, own_cuts, rng))
        return words.join([*context.sentences, words.ask_items(items, rng)])

    def _item(
        self, end: PlanStep, context: PhrasingContext, cuts: Sequence[PlanStep], rng: random.Random
    ) -> str:
        self._introduce(cuts, context, rng)
        question = self._ask(end, lambda parent: self._noun(parent, context, rng), rng)
        return self._words.join([*context.sentences, question])

    def _introduce(
        self, cuts: Sequence[PlanStep], context: PhrasingContext, rng: random.Random
    ) -> None:
        """Give each step a sentence, by whose handle the question then speaks of it."""
        for step in cuts:
            letter = len(context.handles) if context.lettered else None
            handle = self._words.handle(step, self._answer_noun(step), letter)
            noun = self._noun(step, context, rng)
            first = not context.sentences
            context.sentences.append(self._words.introduce(noun, handle, letter, first, rng))
            context.handles[step] = handle

    def _alike(self, cuts: Sequence[PlanStep]) -> bool:
        """Whether two steps would get the same handle."""
        handles = Counter(self._words.handle(cut, self._answer_noun(cut), None) for cut in cuts)
        return max(handles.values(), default=0) > 1

    # --- phrases -------------------------------------------------------------------------------

    def _ask(self, step: PlanStep, noun_of: Callable[[PlanStep], str], rng: random.Random) -> str:
        """A question for the step's answer. `noun_of` gives phrases for earlier answers."""
        words = OPERATIONS[step.operation].words[self._language]
        return words.ask(self._step_phrase(step, noun_of, rng))

    def _noun(
        self, step: PlanStep, context: PhrasingContext, rng: random.Random, *, unit: bool = False
    ) -> str:
        if step in context.handles:
            return context.handles[step]
        phrase = self._step_phrase(step, lambda parent: self._noun(parent, context, rng), rng)
        return OPERATIONS[step.operation].words[self._language].noun(phrase, unit=unit)

    def _step_phrase(
        self, step: PlanStep, noun_of: Callable[[PlanStep], str], rng: random.Random
    ) -> StepPhrase:
        nouns: dict[str, str] = {}
        for name, source in step.arguments.items():
            if isinstance(source, PlanStep):
                nouns[name] = noun_of(source)
            elif isinstance(source, QuestionValue):
                # Say what a name is of, unless the words around it already do.
                kind = None
                names_kind = OPERATIONS[step.operation].names_kind or bool(source.number)
                if source.entity is not None and names_kind:
                    kind = self._singular(source.entity.table)
                # "The country of Teide": cities, lakes and mountains have one, and nobody can
                # choose among their tools without knowing what Teide is.
                ambiguous = step.attribute is not None and (
                    self._tables_of_label[step.attribute.label] > 1
                )
                nouns[name] = self._words.value(source, kind, rng, ambiguous=ambiguous)
        singular = plural = ""
        if step.table:
            table = self._schema.table(step.table)
            singular = self._singular(step.table)
            plural = table.plural.get(self._language) or table.name
        return StepPhrase(step, nouns, singular, plural, self._answer_noun(step), rng)

    def _singular(self, table: str) -> str:
        return self._schema.table(table).singular.get(self._language) or table

    def _answer_noun(self, step: PlanStep) -> str | None:
        return self._singular(step.entity.table) if step.entity is not None else None


def _one_stop(text: str) -> str:
    """The text with one full stop where a sentence ends in an abbreviation such as "Ltd."."""
    return re.sub(r"(?<![.])[.][.](?=\s|$)", ".", text)


def _cuts(ends: Sequence[PlanStep], limit: float) -> list[PlanStep]:
    """The steps that need a sentence of their own, in order: shared ones, and where phrases nest
    deeper than `limit`."""
    cuts: set[PlanStep] = set()
    depths: dict[PlanStep, float] = {}
    shared = _shared_steps(ends)
    for step in (step for end in ends for step in end.walk()):
        if step in depths:
            continue
        own = OPERATIONS[step.operation].nesting
        for parent in step.parents:
            if own + depths[parent] > limit and parent.kind in ("entity", "text"):
                cuts.add(parent)
                depths[parent] = 0.0
        depths[step] = own + max((depths[parent] for parent in step.parents), default=0.0)
        if step in shared and step.kind in ("entity", "text"):
            cuts.add(step)
            depths[step] = 0.0
    return [step for step in depths if step in cuts]


def _nesting(step: PlanStep) -> float:
    """How deep the phrase of a step nests if nothing is cut."""
    return OPERATIONS[step.operation].nesting + max(map(_nesting, step.parents), default=0.0)


def _shared_steps(ends: Sequence[PlanStep]) -> list[PlanStep]:
    """The last steps that several ends build on."""
    walks = [[step for step in end.walk() if step is not end] for end in ends]
    counts = Counter(step for walk in walks for step in walk)
    shared = [step for step, count in counts.items() if count > 1]
    inner = {parent for step in shared for parent in step.parents}
    return [step for step in shared if step not in inner]
