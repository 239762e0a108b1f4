"""Puts a plan into words: the main question, and one sub-question per step.

A phrase is built along the plan, so it holds what the first calls need and speaks of everything
later by description ("the longest river of that country"). A sub-question names the step it
builds on instead ("the country found in the first step").
The words of each language stand in `grammar_en` and `grammar_zh`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from astra.arenas.tables.grammar_en import English
from astra.arenas.tables.grammar_zh import Chinese
from astra.arenas.tables.planner import Plan
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.steps import Known, Source, Step
from astra.types import Language


class Words(Protocol):
    """One language's words. `rng` chooses among wordings of the same meaning."""

    def known(self, subject: Known, singular: str | None, rng: random.Random) -> str: ...

    def result(self, step: Step, number: int, singular: str | None) -> str:
        """How a sub-question speaks of an earlier step's answer; `number` counts from 0."""
        ...

    def noun(
        self, step: Step, nouns: Mapping[str, str], singular: str, plural: str, rng: random.Random
    ) -> str:
        """A noun phrase for the step's answer; `nouns`: phrases of its arguments."""
        ...

    def ask(self, step: Step, noun: str, singular: str | None, rng: random.Random) -> str: ...

    def measured(self, step: Step, noun: str) -> str:
        """The noun with the unit its number is wanted in, where it stands in a row of several."""
        ...

    def ask_node(self, joined: str, nouns: Sequence[str], rng: random.Random) -> str: ...

    def dress(self, question: str, rng: random.Random) -> str:
        """Around the question: who asks, or nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Phrasing:
    """A plan in words."""

    question: str
    steps: tuple[str, ...]
    """Sub-questions, in the order of `Plan.steps()`."""
    node: str | None
    """The answer node's sub-question, if there is one."""


class Grammar:
    """Phrases plans in one language."""

    def __init__(self, schema: Schema, language: Language) -> None:
        self._schema = schema
        self._language: Language = language
        self._words: Words = {"en": English, "zh": Chinese}[language]()

    def phrase(self, plan: Plan, rng: random.Random) -> Phrasing:
        """Main question and sub-questions."""
        words, steps = self._words, plan.steps()
        nouns = [self._noun(end, rng) for end in plan.ends]
        if plan.joined is None:
            question = words.ask(plan.ends[0], nouns[0], self._singular_of(plan.ends[0]), rng)
        else:
            nouns = [words.measured(end, noun) for end, noun in zip(plan.ends, nouns, strict=True)]
            question = words.ask_node(plan.joined, nouns, rng)
        numbers = {id(step): number for number, step in enumerate(steps)}
        node = None
        if plan.has_answer_node and plan.joined is not None:
            results = [self._result(end, numbers) for end in plan.ends]
            node = words.ask_node(plan.joined, results, rng)
        return Phrasing(
            words.dress(question, rng),
            tuple(self._sub_question(step, numbers, rng) for step in steps),
            node,
        )

    def _sub_question(self, step: Step, numbers: Mapping[int, int], rng: random.Random) -> str:
        nouns = {
            name: self._result(source, numbers)
            if isinstance(source, Step)
            else self._known(source, rng)
            for name, source in step.arguments.items()
            if isinstance(source, Step | Known)
        }
        noun = self._words.noun(step, nouns, *self._labels(step.table), rng)
        return self._words.ask(step, noun, self._singular_of(step), rng)

    def _result(self, step: Step, numbers: Mapping[int, int]) -> str:
        return self._words.result(step, numbers[id(step)], self._singular_of(step))

    def _noun(self, source: Source, rng: random.Random) -> str:
        if isinstance(source, Known):
            return self._known(source, rng)
        nouns = {
            name: self._noun(argument, rng)
            for name, argument in source.arguments.items()
            if isinstance(argument, Step | Known)
        }
        return self._words.noun(source, nouns, *self._labels(source.table), rng)

    def _known(self, known: Known, rng: random.Random) -> str:
        singular = None
        if known.entity is not None:
            singular = self._labels(known.entity.table)[0]
        return self._words.known(known, singular, rng)

    def _labels(self, table: str) -> tuple[str, str]:
        if not table:
            return "", ""
        found = self._schema.table(table)
        return (
            found.singular.get(self._language) or found.name,
            found.plural.get(self._language) or found.name,
        )

    def _singular_of(self, step: Step) -> str | None:
        return self._labels(step.entity.table)[0] if step.entity is not None else None
