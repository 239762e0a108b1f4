"""What a question is made of: phrases of steps, and the words that each language supplies.

`LanguageWords` holds a language's sentences, whatever the operation; `OperationWords` holds one
operation's phrases and questions in one language.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from astra.arenas.tables.questions.frames import Frames
from astra.arenas.tables.steps import PlanStep, QuestionValue
from astra.arenas.tables.views import Attribute


@dataclass(frozen=True, slots=True)
class StepPhrase:
    """A step with the phrases of its arguments."""

    step: PlanStep
    nouns: Mapping[str, str]
    """Noun phrases of the arguments that are values of the question or earlier answers."""
    singular: str
    """What one row of the step's table is called. Empty for arithmetic."""
    plural: str
    answer: str | None
    """What the answer is called if it names a row, e.g. "country"."""
    rng: random.Random
    """Chooses among wordings of the same meaning."""

    @property
    def attribute(self) -> Attribute:
        """The step's attribute; only for operations that have one."""
        assert self.step.attribute is not None
        return self.step.attribute

    @property
    def label(self) -> str:
        return self.step.attribute.label if self.step.attribute else ""

    @property
    def group_value(self) -> str:
        return self.nouns["value"]


class OperationWords(ABC):
    """One operation in one language."""

    @abstractmethod
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        """A noun phrase for the answer. `unit`: name the unit that a number is wanted in."""

    def questions(self, phrase: StepPhrase) -> list[str]:
        """Questions that fit the operation better than "What is …?"."""
        del phrase
        return []

    @abstractmethod
    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        """General questions around the noun phrase."""

    def ask(self, phrase: StepPhrase) -> str:
        """A question for the answer."""
        questions = self.questions(phrase)
        noun = self.noun(phrase, unit=True)
        return phrase.rng.choice([*questions, *self.frames(phrase, noun)])


class LanguageWords(ABC):
    """One language's sentences. `rng` chooses among wordings of the same meaning."""

    texts: ClassVar[Frames]

    @abstractmethod
    def value(
        self,
        value: QuestionValue,
        singular: str | None,
        rng: random.Random,
        *,
        ambiguous: bool = False,
    ) -> str:
        """A value of the question. `singular`: what it names, or None to leave that unsaid.

        `ambiguous`: rows of other kinds are asked the same, so the kind is said or in the name.
        """

    @abstractmethod
    def result(self, step: PlanStep, number: int, singular: str | None) -> str:
        """A sub-question's phrase for an earlier step's answer; `number` counts from 0."""

    @abstractmethod
    def handle(self, step: PlanStep, singular: str | None, letter: int | None) -> str:
        """The phrase for a step that the question has introduced."""

    def introduce(
        self, noun: str, handle: str, letter: int | None, first: bool, rng: random.Random
    ) -> str:
        """The sentence that introduces a step. `first`: nothing was introduced before."""
        if letter is not None:
            return rng.choice(self.texts.lettered_introductions).format(h=handle, n=noun)
        frames = self.texts.first_introductions if first else self.texts.next_introductions
        return rng.choice(frames).format(noun)

    @abstractmethod
    def labelled(self, step: PlanStep) -> str:
        """The step's attribute with its unit."""

    @abstractmethod
    def facts(self, labels: Sequence[str], subject: str) -> str:
        """Several attributes of one subject as a row of noun phrases."""

    @abstractmethod
    def enumeration(self, parts: Sequence[str]) -> str:
        """Several phrases in a row, with "and" or its like before the last."""

    def ask_row(self, nouns: Sequence[str], rng: random.Random) -> str:
        """One question for several answers, in order."""
        return rng.choice(self.texts.row).format(self.enumeration(nouns))

    @abstractmethod
    def ask_items(self, questions: Sequence[str], rng: random.Random) -> str:
        """Several questions, to be answered in order."""

    @abstractmethod
    def ask_node(self, joined: str, nouns: Sequence[str], rng: random.Random) -> str:
        """A question for the sum, difference, maximum or minimum of several answers."""

    @abstractmethod
    def join(self, sentences: Sequence[str]) -> str:
        """The sentences as one text."""

    @abstractmethod
    def frame(self, question: str, rng: random.Random) -> str:
        """The question with an opening and a closing, or with neither."""
