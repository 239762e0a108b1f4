"""English questions: sentences whatever the operation, and phrases that operations share."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase

from astra.arenas.tables.questions.frames import read_frames
from astra.arenas.tables.questions.measures import is_year, measure_of
from astra.arenas.tables.questions.phrases import LanguageWords, OperationWords, StepPhrase
from astra.arenas.tables.steps import PlanStep, QuestionValue
from astra.arenas.tables.units import unit_name

FRAMES = read_frames("english")

PLACE_LABELS = frozenset(
    "country city state province region district town county continent".split()
)
"""Labels of attributes that a row lies in."""
# Words and letters up to `MAX_HOPS`: no digit in a question may look like a leaked answer.
ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"),
    *("tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth"),
    *("seventeenth", "eighteenth", "nineteenth", "twentieth"),
)
_PLURALS = frozenset(("Olympic Games", "series", "games"))
_TAKES_ARTICLE = re.compile(
    r"(?:University of|United|Central African|Democratic|Republic of|Czech R)\b.*|"
    r".*\b(?:Republic|Islands|Emirates|States|Kingdom|Netherlands|Philippines|Bahamas|Maldives|Comoros|Gambia|River)|"
    r".*\b(?:Museum|Gallery|Mountains)\b.*|"
    r"\d{4} .*"
)
_TITLED = re.compile(r"album|track|song|film|movie|book|product|playlist|artist|game(?!s)", re.I)
"""Tables whose rows have titles: a song called "Jade River" is no river."""
_NEEDS_QUOTES = re.compile(r"[a-z]\S* .*|.*[^\w\s/.'&-].*", re.DOTALL)


class English(LanguageWords):
    """Sentences in English."""

    texts = FRAMES

    def value(
        self,
        value: QuestionValue,
        singular: str | None,
        rng: random.Random,
        *,
        ambiguous: bool = False,
    ) -> str:
        text = value.text
        if value.entity is None:
            return f'"{text}"' if _NEEDS_QUOTES.fullmatch(text) and '"' not in text else text
        if value.number and singular is not None:
            return f"the {singular} with {value.number} {text}"
        articled = singular == "river" or (
            _TAKES_ARTICLE.fullmatch(text) and not _TITLED.search(value.entity.table)
        )
        named = f"the {text}" if articled else text
        if singular is None:
            return named
        stated = f"the {singular} {text}"
        if value.shared:
            return stated
        # "Lake Inari" says by itself that it is a lake.
        name, kind = text.casefold(), singular.casefold()
        if kind in name or any(word[:6] in name for word in kind.split() if len(word) > 5):
            return named
        if ambiguous:
            return stated
        return named if articled else rng.choice((named, named, stated))

    def result(self, step: PlanStep, number: int, singular: str | None) -> str:
        noun = singular or {"number": "number", "date": "date", "list": "list"}.get(
            step.kind, step.attribute.label if step.attribute else "value"
        )
        return f"the {noun} found in the {ORDINALS[number]} step"

    def handle(self, step: PlanStep, singular: str | None, letter: int | None) -> str:
        noun = singular or (step.attribute.label if step.attribute else "value")
        if letter is not None:
            return f"{noun} {ascii_uppercase[letter]}"
        return f"those {noun}" if noun in _PLURALS else f"that {noun}"

    def labelled(self, step: PlanStep) -> str:
        label = step.attribute.label if step.attribute is not None else ""
        if step.attribute is None or step.attribute.unit is None or step.unit is None:
            return label
        return f"{label} (in {unit_name(step.unit, 'en')})"

    def facts(self, labels: Sequence[str], subject: str) -> str:
        return f"{self.enumeration([f'the {label}' for label in labels])} of {subject}"

    def enumeration(self, parts: Sequence[str]) -> str:
        if len(parts) < 3:
            return " and ".join(parts)
        return ", ".join(parts[:-1]) + f", and {parts[-1]}"

    def ask_items(self, questions: Sequence[str], rng: random.Random) -> str:
        items = " ".join(f"({ascii_lowercase[n]}) {text}" for n, text in enumerate(questions))
        several = {2: "two", 3: "three", 4: "four"}.get(len(questions), "several")
        return rng.choice(FRAMES.items).format(several) + items

    def ask_node(self, joined: str, nouns: Sequence[str], rng: random.Random) -> str:
        words = ("larger", "smaller") if len(nouns) == 2 else ("largest", "smallest")
        word = words[0] if joined == "maximum" else words[1]
        return rng.choice(FRAMES.of_node(joined)).format(self.enumeration(nouns), word=word)

    def join(self, sentences: Sequence[str]) -> str:
        return " ".join(sentences)

    def frame(self, question: str, rng: random.Random) -> str:
        opening = rng.choice(FRAMES.openings)
        if " (a) " in question:
            return question  # a list of questions has an opening of its own
        if opening.endswith(": ") and question[1:2].islower():
            question = question[0].lower() + question[1:]
        closing = rng.choice(FRAMES.closings)
        if "look" in closing and "ook up" in question:
            closing = ""
        return opening + question + closing


class EnglishWords(OperationWords):
    """Base class of operations' words."""

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        return [frame.format(noun) for frame in FRAMES.ask]


# --- phrases that operations share -----------------------------------------------------------


def labelled(phrase: StepPhrase, *, unit: bool) -> str:
    """The attribute's label, with the unit if it is wanted."""
    return English().labelled(phrase.step) if unit else phrase.label


def superlative(phrase: StepPhrase, side: str) -> str:
    """The superlative for "highest", "lowest", "maximum" or "minimum" of the attribute."""
    return measure_of(phrase.attribute).en.of(side)


def in_place(phrase: StepPhrase) -> bool:
    """Whether the group is all rows in a place."""
    return phrase.step.by is not None and phrase.step.by.label in PLACE_LABELS


def inside(place: str) -> str:
    """ "in France", "on that continent"."""
    continent = place.startswith(("that continent", "the continent "))
    return f"{'on' if continent else 'in'} {place}"


def members(phrase: StepPhrase) -> str:
    """The rows of a group, as a plural without article."""
    step, value, plural = phrase.step, phrase.group_value, phrase.plural
    assert step.by is not None
    by, bounded = step.by.label, "comparison" in step.words
    if in_place(phrase):
        place = inside(value)
        rows = phrase.rng.choice((f"{plural} {place}",) * 2 + (f"{plural} located {place}",))
        return rows + (f" with {_bound(phrase)}" if bounded else "")
    # Around a nested phrase "with … as their …" is hard to follow.
    if isinstance(step.arguments["value"], QuestionValue) and phrase.rng.random() < 0.5:
        return f"{plural} with {value} as their {by}" + (
            f" and {_bound(phrase)}" if bounded else ""
        )
    return f"{plural} whose {by} is {value}" + (
        f" and whose {_condition(phrase)}" if bounded else ""
    )


def _bound(phrase: StepPhrase) -> str:
    """ "an area larger than 100 square kilometres"."""
    article = "an" if phrase.label[:1] in "aeioAEIO" else "a"
    return f"{article} {_condition(phrase).replace(' is ', ' ', 1)}"


def _condition(phrase: StepPhrase) -> str:
    """ "area is larger than 100 square kilometres"."""
    attribute, number = phrase.attribute, phrase.step.words["threshold"]
    whole, point, decimals = number.partition(".")
    if not is_year(attribute) and whole.isdecimal() and len(whole) > 4:
        number = f"{int(whole):,}{point}{decimals}"
    unit = f" {unit_name(attribute.unit, 'en')}" if attribute.unit else ""
    word = measure_of(attribute).en_beyond.of(phrase.step.words["comparison"])
    return f"{attribute.label} is {word} {number}{unit}"
