"""English words for plans."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from astra.arenas.tables.questions.measures import is_year, measure_of
from astra.arenas.tables.steps import PlanStep, QuestionValue
from astra.arenas.tables.units import unit_name
from astra.arenas.tables.world import Attribute

if TYPE_CHECKING:
    from astra.arenas.tables.questions.grammar import RowNames

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_LETTERS = "ABCDEFGHI"

_PLACES = frozenset("country city state province region district town county continent".split())
"""Labels of attributes that a row lies in."""
_TAKES_THE = re.compile(
    r"(?:University of|United|Central African|Democratic|Republic of|Czech R)\b.*|"
    r".*\b(?:Republic|Islands|Emirates|States|Kingdom|Netherlands|Philippines|Bahamas|Maldives|Comoros|Gambia|River)|"
    r".*\b(?:Museum|Gallery|Mountains)\b.*|"
    r"\d{4} .*"
)
_QUOTED = re.compile(r"[a-z]\S* .*|.*[^\w\s/.'&-].*", re.DOTALL)

_PLURAL = frozenset(("Olympic Games", "series", "games"))

_FUNCTIONS = {
    "sum": ("total {}", "combined {}", "sum of the {}"),
    "mean": ("average {}", "mean {}"),
}

_ASK = (
    "What is {}?",
    "What is {}?",
    "Tell me {}.",
    "Look up {}.",
    "Find {}.",
    "I need {}.",
    "I would like to know {}.",
    "Please give me {}.",
    "Could you find {}?",
    "Can you look up {}?",
    "State {}.",
)

_LIST = (
    "Which are the {}?",
    "What are the names of all {}?",
    "List all {}.",
    "Name all {}.",
    "Give me the names of the {}.",
    "Please list the {}.",
    "I need a list of all {}.",
    "Can you name all {}?",
    "Find all {}.",
    "Enumerate the {}.",
)

_COUNT = (
    "How many {} are there?",
    "How many {} are there?",
    "How many {} are on record?",
    "What is the number of {}?",
    "Count the {}.",
    "Tell me how many {} there are.",
    "I need the number of {}.",
    "Find the number of {}.",
    "Can you count the {}?",
    "Work out how many {} there are.",
)

# For what would tear a frame apart.
_COUNT_LONG = (
    *(frame for frame in _COUNT if not frame.endswith((" there are.", " record?", " there?"))),
    "How many are the {}?",
    "Determine the number of {}.",
)

_OPENINGS = (
    *("",) * 9,
    "Please help me with this: ",
    "A quick question: ",
    "I am preparing a quiz and need this checked: ",
    "For a report that I am writing: ",
    "I have a question. ",
    "A colleague asked me this: ",
    "According to the records: ",
    "Could you help? ",
    "For my notes: ",
)

_CLOSINGS = (*("",) * 8, " Thanks!", " Please look it up.", " A short answer is enough.")


class English:
    """Implements `grammar.Words`."""

    def known(self, subject: QuestionValue, singular: str | None, rng: random.Random) -> str:
        text = subject.text
        if subject.entity is None:
            return f'"{text}"' if _QUOTED.fullmatch(text) and '"' not in text else text
        articled = singular == "river" or _TAKES_THE.fullmatch(text)
        named = f"the {text}" if articled else text
        if subject.shared and singular is not None:
            return f"the {singular} {text}"
        if singular is None or articled or _says(text, singular):
            return named
        return rng.choice((named, named, f"the {singular} {text}"))

    def result(self, step: PlanStep, number: int, singular: str | None) -> str:
        what = singular or {"number": "number", "date": "date", "list": "list"}.get(
            step.kind, step.attribute.label if step.attribute else "value"
        )
        ordinal = _ORDINALS[number] if number < len(_ORDINALS) else "last"
        return f"the {what} found in the {ordinal} step"

    # --- noun phrases --------------------------------------------------------------------------

    def noun(
        self,
        step: PlanStep,
        nouns: Mapping[str, str],
        names: RowNames,
        rng: random.Random,
        unit: bool,
    ) -> str:
        label = self.labelled(step) if unit else _label(step)
        match step.operation:
            case "lookup":
                (subject,) = nouns.values()
                return f"the {label} of {subject}"
            case "find":
                wordings = ["the {s} whose {l} is {v}"]
                if " " not in nouns["value"]:
                    wordings.append("the {s} with the {l} {v}")
                return rng.choice(wordings).format(s=names.singular, l=label, v=nouns["value"])
            case "rank":
                return self._rank(step, nouns["value"], names, rng)
            case "compare":
                a, b = nouns["first"], nouns["second"]
                if step.attribute is not None and is_year(step.attribute):
                    return f"the number of years from the {label} of {b} to that of {a}"
                return f"the amount by which the {label} of {a} exceeds that of {b}"
            case "difference":
                size = f" in {unit_name(step.unit, 'en')}" if unit and step.unit else ""
                return f"the difference{size} between {nouns['minuend']} and {nouns['subtrahend']}"
            case "days_between":
                return f"the number of days from {nouns['start']} to {nouns['end']}"
            case "convert":
                return f"{nouns['value']} (converted to {unit_name(step.unit, 'en')})"
            case "aggregate":
                members = self._members(step, nouns["value"], names.plural, rng)
                return f"the {self._function(step, label, rng)} {_over(step)} {members}"
            case "count" | "count_where":
                return f"the number of {self._members(step, nouns['value'], names.plural, rng)}"
            case _:
                return f"the {self._members(step, nouns['value'], names.plural, rng)}"

    def labelled(self, step: PlanStep) -> str:
        if step.attribute is None or step.attribute.unit is None or step.unit is None:
            return _label(step)
        return f"{_label(step)} (in {unit_name(step.unit, 'en')})"

    def _members(self, step: PlanStep, value: str, plural: str, rng: random.Random) -> str:
        """The rows of a group, as a plural without article."""
        assert step.by is not None
        by = step.by.label
        if by in _PLACES:
            place = _in(value)
            members = rng.choice((f"{plural} {place}",) * 2 + (f"{plural} located {place}",))
            return members + (f" with {self._bound(step)}" if "comparison" in step.words else "")
        if isinstance(step.arguments["value"], QuestionValue) and rng.random() < 0.5:
            # Nested, this wording gets lost.
            members = f"{plural} with {value} as their {by}"
            return members + (f" and {self._bound(step)}" if "comparison" in step.words else "")
        members = f"{plural} whose {by} is {value}"
        return members + (
            f" and whose {self._condition(step)}" if "comparison" in step.words else ""
        )

    def _bound(self, step: PlanStep) -> str:
        """ "an area larger than 100 square kilometres"."""
        label = _label(step)
        article = "an" if label[:1] in "aeioAEIO" else "a"
        return f"{article} {self._condition(step).replace(' is ', ' ', 1)}"

    def _condition(self, step: PlanStep) -> str:
        assert step.attribute is not None
        unit = f" {unit_name(step.attribute.unit, 'en')}" if step.attribute.unit else ""
        word = measure_of(step.attribute).en_beyond.of(step.words["comparison"])
        number = step.words["threshold"]
        if not is_year(step.attribute):
            number = _grouped(number)
        return f"{step.attribute.label} is {word} {number}{unit}"

    def _superlative(self, attribute: Attribute, side: str) -> str:
        return measure_of(attribute).en.of(side)

    def _rank(self, step: PlanStep, value: str, names: RowNames, rng: random.Random) -> str:
        assert step.attribute is not None
        members = self._members(step, value, names.plural, rng)
        label, side = step.attribute.label, step.words["order"]
        word = self._superlative(step.attribute, side)
        measure = measure_of(step.attribute)
        wordings = [
            f"the {names.singular} with the {word} {label} among the {members}",
            f"the {names.singular} with the {word} {label} of all {members}",
        ]
        if names.singular != names.plural:
            wordings.append(f"the {names.singular} that has the {word} {label} among the {members}")
        if measure.en_of_row is not None and label in measure.plain:
            direct = measure.en_of_row.of(side).format(names.singular)
            wordings += [
                f"the {direct} {_in(value) if _in_place(step) else f'among the {members}'}"
            ]
        if _in_place(step) and isinstance(step.arguments["value"], QuestionValue):
            wordings += [f"the {names.singular} {_in(value)} with the {word} {label}"] * 2
        return rng.choice(wordings)

    def _function(self, step: PlanStep, label: str, rng: random.Random) -> str:
        assert step.attribute is not None
        function = step.words["function"]
        if function in _FUNCTIONS:
            return rng.choice(_FUNCTIONS[function]).format(label)
        return f"{self._superlative(step.attribute, function)} {label}"

    # --- questions -----------------------------------------------------------------------------

    def ask(
        self,
        step: PlanStep,
        nouns: Mapping[str, str],
        names: RowNames,
        of: str | None,
        rng: random.Random,
    ) -> str:
        frames = self._special(step, nouns, names, of, rng)
        noun = self.noun(step, nouns, names, rng, True)
        match step.operation:
            case "list" | "filter":
                frames += [frame.format(noun.removeprefix("the ")) for frame in _LIST]
            case "count" | "count_where":
                members = noun.removeprefix("the number of ")
                short = len(members.split()) <= 6
                frames += [frame.format(members) for frame in (_COUNT if short else _COUNT_LONG)]
            case "convert":
                pass
            case "find" | "rank":
                frames += [frame.format(noun) for frame in _ASK[2:]]
            case _:
                frames += [frame.format(noun) for frame in _ASK]
        return rng.choice(frames)

    def _special(
        self,
        step: PlanStep,
        nouns: Mapping[str, str],
        names: RowNames,
        of: str | None,
        rng: random.Random,
    ) -> list[str]:
        """Questions that fit the operation better than "What is …?"."""
        label = _label(step)
        unit = f" {unit_name(step.unit, 'en')}" if step.unit else ""
        match step.operation:
            case "lookup":
                (subject,) = nouns.values()
                if label in _PLACES:
                    inside = "On" if label == "continent" else "In"
                    return [
                        f"{inside} which {label} is {subject}?",
                        f"Which {label} is {subject} {inside.lower()}?",
                        f"{inside} which {label} is {subject} located?",
                    ] * 3
                if of is not None:
                    return [f"Which {of} is the {label} of {subject}?"] * 2 if label != of else []
                if step.kind == "date":
                    return [f"Which day is the {label} of {subject}?"]
                measured = step.kind == "number" and step.attribute and not is_year(step.attribute)
                if (measured and not unit) or (step.kind == "text" and " " in label):
                    return [f"What {label} does {subject} have?"] * 2
                return []
            case "find":
                value, singular = nouns["value"], names.singular
                return [
                    f"Which {singular} has the {label} {value}?",
                    f"Which {singular} has {value} as its {label}?",
                    f"{_capital(value)} is the {label} of which {singular}?"
                    if value[:1].isupper()
                    else f"Of which {singular} is {value} the {label}?",
                    f"Identify the {singular} whose {label} is {value}.",
                ] * 2
            case "rank":
                return self._ask_rank(step, nouns["value"], names, rng)
            case "compare":
                return self._ask_compare(step, nouns)
            case "difference":
                a, b = nouns["minuend"], nouns["subtrahend"]
                if _from_years(step):
                    return [
                        f"How many years lie between {b} and {a}?",
                        f"How many years are there from {b} to {a}?",
                        f"By how many years is {a} later than {b}?",
                    ] * 3
                size = f", in{unit}," if unit else ""
                return [
                    f"What is the difference{size} between {a} and {b}?",
                    f"By how {f'many{unit}' if unit else 'much'} does {a} exceed {b}?",
                    f"Subtract {b} from {a}{f', in{unit}' if unit else ''}.",
                ] * 3
            case "days_between":
                a, b = nouns["start"], nouns["end"]
                return [
                    f"How many days lie between {a} and {b}?",
                    f"How many days passed from {a} to {b}?",
                    f"How many days after {a} is {b}?",
                    f"Count the days from {a} to {b}.",
                ] * 3
            case "convert":
                return self._ask_convert(step, nouns["value"], unit)
            case _:
                return []

    def _ask_rank(
        self, step: PlanStep, value: str, names: RowNames, rng: random.Random
    ) -> list[str]:
        assert step.attribute is not None
        members = self._members(step, value, names.plural, rng)
        label, side = step.attribute.label, step.words["order"]
        word, singular = self._superlative(step.attribute, side), names.singular
        measure = measure_of(step.attribute)
        frames = [
            f"Among the {members}, which has the {word} {label}?",
            f"Of all {members}, which one has the {word} {label}?",
            f"Which of the {members} has the {word} {label}?",
            f"Identify the {singular} with the {word} {label} among the {members}.",
            f"Look at all {members}: which has the {word} {label}?",
        ]
        if _in_place(step):
            frames += [f"Which {singular} {_in(value)} has the {word} {label}?"] * 3
        if measure.en_of_row is not None and label in measure.plain:
            direct = measure.en_of_row.of(side)
            if "{} by" not in direct:
                frames += [f"Which of the {members} is the {direct.format('').strip()}?"] * 2
            if _in_place(step):
                frames += [f"Which is the {direct.format(f'{singular} {_in(value)}')}?"] * 2
        return frames * 2

    def _ask_compare(self, step: PlanStep, nouns: Mapping[str, str]) -> list[str]:
        assert step.attribute is not None
        a, b, label = nouns["first"], nouns["second"], step.attribute.label
        more = measure_of(step.attribute).en_more
        if is_year(step.attribute):
            return [
                f"How many years later is the {label} of {a} than that of {b}?",
                f"By how many years is the {label} of {a} later than that of {b}?",
                f"How many years lie between the {label} of {b} and that of {a}?",
            ] * 4
        unit = unit_name(step.unit, "en")
        if not unit:
            return [
                f"How much {more} is the {label} of {a} than that of {b}?",
                f"By how much does the {label} of {a} exceed that of {b}?",
                f"What is the difference between the {label} of {a} and that of {b}?",
            ] * 4
        return [
            f"By how many {unit} does the {label} of {a} exceed that of {b}?",
            f"How many {unit} {more} is the {label} of {a} than that of {b}?",
            f"In {unit}, how much {more} is the {label} of {a} than that of {b}?",
            f"What is the difference, in {unit}, between the {label} of {a} and that of {b}?",
        ] * 3

    def _ask_convert(self, step: PlanStep, value: str, unit: str) -> list[str]:
        own = ""
        if value.endswith(" step"):
            own = f" from {unit_name(str(step.arguments['from_unit']), 'en')}"
        return [
            f"Convert {value}{own} to{unit}.",
            f"Please convert {value}{own} to{unit}.",
            f"What is {value}, converted{own} to{unit}?",
            f"Express {value} in{unit}." if not own else f"Turn {value}{own} into{unit}.",
            f"I need {value}, converted{own} to{unit}.",
            f"How much is {value}{own} in{unit}?" if not own else f"Convert {value} into{unit}.",
            f"Give me {value}, expressed in{unit}.",
            f"Tell me {value}, expressed in{unit}.",
        ]

    # --- several sentences ---------------------------------------------------------------------

    def handle(self, step: PlanStep, of: str | None, letter: int | None) -> str:
        what = of or (step.attribute.label if step.attribute else "value")
        if letter is not None:
            return f"{what} {_LETTERS[letter]}"
        return f"those {what}" if what in _PLURAL else f"that {what}"

    def introduce(
        self, noun: str, handle: str, letter: int | None, first: bool, rng: random.Random
    ) -> str:
        if letter is not None:
            wordings = ("Let {h} be {n}.", "Let {h} be {n}.", "Let {h} stand for {n}.")
            return rng.choice(wordings).format(h=handle, n=noun)
        starts = ("Take {}.", "Start with {}.", "Consider {}.", "First, find {}.", "Think of {}.")
        goes_on = ("Then take {}.", "Next, find {}.", "From there, go to {}.", "Now consider {}.")
        return rng.choice(starts if first else goes_on).format(noun)

    def facts(self, labels: Sequence[str], subject: str) -> str:
        return f"{_and([f'the {label}' for label in labels])} of {subject}"

    def ask_row(self, nouns: Sequence[str], rng: random.Random) -> str:
        return rng.choice(
            (
                "What are {}, in this order?",
                "What are {}? Answer in this order.",
                "Tell me, in this order, {}.",
                "I need {}, in this order.",
                "Look up {}, and answer in this order.",
                "Please give me {}, in this order.",
                "Find {}, and state them in this order.",
                "I would like to know {}, in this order.",
                "Can you look up {}, and keep this order?",
            )
        ).format(_and(nouns))

    def ask_items(self, questions: Sequence[str], rng: random.Random) -> str:
        items = " ".join(f"({'abcdefghi'[n]}) {text}" for n, text in enumerate(questions))
        several = {2: "two", 3: "three", 4: "four"}.get(len(questions), "several")
        opening = rng.choice(
            (
                "Answer these questions in order: ",
                f"I have {several} questions; please answer them in order. ",
                "Please answer one after the other: ",
                "Give the answers in this order. ",
                f"There are {several} things I want to know, in this order. ",
                "In this order, please: ",
                f"Please work through these {several} points in order: ",
                "Answer all of the following, in order. ",
            )
        )
        return opening + items

    def ask_node(self, joined: str, nouns: Sequence[str], rng: random.Random) -> str:
        parts = _and(nouns)
        two = len(nouns) == 2
        large, small = ("larger", "smaller") if two else ("largest", "smallest")
        frames = {
            "sum": (
                "What is the sum of {}?",
                "What do {} add up to?",
                "Add up {}.",
                "What is the total of {}?",
                "How much are {} together?",
                "Work out the sum of {}.",
                "Please add {} and give me the total.",
                "I need the sum of {}.",
            ),
            "difference": (
                "What is the difference between {}?",
                "How far apart are {}?",
                "By how much do {} differ?",
                "Work out the difference between {}.",
                "I need the difference between {}.",
                "Compare {}: how large is the difference?",
                "Please find the difference between {}.",
                "How large is the gap between {}?",
            ),
        }.get(joined)
        if frames is None:
            word = large if joined == "maximum" else small
            frames = (
                f"Which number is the {word}: {{}}? State the number.",
                f"What is the {word} of these numbers: {{}}?",
                f"Compare {{}}. What is the {word} of these numbers?",
                f"Give me the {word} of these numbers: {{}}.",
                f"Consider {{}}: what is the {word} value?",
                f"Take {{}} and tell me the {word} of the numbers.",
                f"I need the {word} number out of {{}}.",
                f"Look up {{}}, and tell me the {word} number.",
            )
        return rng.choice(frames).format(parts)

    def join(self, sentences: Sequence[str]) -> str:
        return " ".join(sentences)

    def dress(self, question: str, rng: random.Random) -> str:
        opening = rng.choice(_OPENINGS)
        if " (a) " in question:
            return question  # that has an opening of its own
        if opening.endswith(": ") and question[1:2].islower():
            question = question[0].lower() + question[1:]
        closing = rng.choice(_CLOSINGS)
        if "look" in closing and "ook up" in question:
            closing = ""
        return opening + question + closing


def _label(step: PlanStep) -> str:
    return step.attribute.label if step.attribute is not None else ""


def _in_place(step: PlanStep) -> bool:
    return step.by is not None and step.by.label in _PLACES


def _in(value: str) -> str:
    return f"{'on' if value.startswith(('that continent', 'the continent ')) else 'in'} {value}"


def _from_years(step: PlanStep) -> bool:
    return any(
        isinstance(source, PlanStep) and source.attribute is not None and is_year(source.attribute)
        for source in step.arguments.values()
    )


def _over(step: PlanStep) -> str:
    return "of all" if step.words["function"] in ("sum", "mean") else "among all"


def _says(text: str, singular: str) -> bool:
    """Whether a name says itself what it is of: "Lake Inari"."""
    return singular.casefold() in text.casefold() or any(
        word[:6] in text.casefold() for word in singular.casefold().split() if len(word) > 5
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _grouped(number: str) -> str:
    """Thousands separators, for numbers of more than four digits."""
    whole, dot, rest = number.partition(".")
    return f"{int(whole):,}{dot}{rest}" if whole.isdecimal() and len(whole) > 4 else number


def _and(parts: Sequence[str]) -> str:
    if len(parts) < 3:
        return " and ".join(parts)
    return ", ".join(parts[:-1]) + f", and {parts[-1]}"
