"""English words for plans."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from astra.arenas.tables.schema import Kind
from astra.arenas.tables.steps import Known, Step
from astra.arenas.tables.units import unit_name

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")

_FUNCTIONS = {
    "sum": ("sum of the {label} values", "total {label}", "combined {label}"),
    "mean": ("average {label}", "mean {label}"),
    "maximum": ("highest {label}", "largest {label} value"),
    "minimum": ("lowest {label}", "smallest {label} value"),
}

_OPENINGS = (
    "",
    "",
    "",
    "",
    "Please help me with this: ",
    "A quick question. ",
    "I am preparing a quiz and need a fact checked. ",
    "For a report that I am writing: ",
    "Using the tools at hand, tell me: ",
    "I would like to know the following. ",
    "My colleague asked me this: ",
    "According to the records: ",
)

_CLOSINGS = ("", "", "", "", " Thanks!", " Please look it up.", " A short answer is enough.")


class English:
    """Implements `grammar.Words`."""

    def known(self, subject: Known, singular: str | None, rng: random.Random) -> str:
        if singular is None:
            return subject.text
        return rng.choice((subject.text, subject.text, f"the {singular} {subject.text}"))

    def result(self, step: Step, number: int, singular: str | None) -> str:
        what = singular or {"number": "number", "date": "date", "list": "list"}.get(
            step.kind, step.attribute.label if step.attribute else "value"
        )
        ordinal = _ORDINALS[number] if number < len(_ORDINALS) else "previous"
        return f"the {what} from the {ordinal} step"

    def noun(
        self, step: Step, nouns: Mapping[str, str], singular: str, plural: str, rng: random.Random
    ) -> str:
        label = step.attribute.label if step.attribute else ""
        match step.operation:
            case "lookup":
                (subject,) = nouns.values()
                return f"the {label} of {subject}"
            case "find":
                value = nouns["value"]
                return rng.choice(
                    (
                        f"the {singular} whose {label} is {value}",
                        f"the {singular} with {label} {value}",
                    )
                )
            case "rank":
                return self._rank(step, nouns["value"], singular, plural, rng)
            case "compare":
                a, b = nouns["first"], nouns["second"]
                return f"the amount by which the {label} of {a} exceeds that of {b}"
            case "difference":
                a, b = nouns["minuend"], nouns["subtrahend"]
                return f"the difference between {a} and {b}"
            case "days_between":
                return f"the number of days between {nouns['start']} and {nouns['end']}"
            case "convert":
                return f"{nouns['value']}, converted to {unit_name(step.unit, 'en')},"
            case _:
                return self._group(step, nouns["value"], plural, rng)

    def _members(self, step: Step, value: str, plural: str, rng: random.Random) -> str:
        by = step.by.label if step.by else ""
        plain = f"{plural} whose {by} is {value}"
        if isinstance(step.arguments["value"], Step):
            return plain  # the other wording can't be nested without getting lost
        return rng.choice((plain, f"{plural} that have {value} as their {by}"))

    def _rank(self, step: Step, value: str, singular: str, plural: str, rng: random.Random) -> str:
        assert step.attribute is not None
        highest = step.words["order"] == "highest"
        if step.attribute.kind is Kind.date:
            word = "latest" if highest else "earliest"
        else:
            word = rng.choice(("highest", "greatest") if highest else ("lowest", "smallest"))
        members = self._members(step, value, plural, rng)
        label = step.attribute.label
        return rng.choice(
            (
                f"the {singular} with the {word} {label} among the {members}",
                f"the one with the {word} {label} of all {members}",
            )
        )

    def _group(self, step: Step, value: str, plural: str, rng: random.Random) -> str:
        members = self._members(step, value, plural, rng)
        if step.operation == "aggregate":
            assert step.attribute is not None
            template = rng.choice(_FUNCTIONS[step.words["function"]])
            return f"the {template.format(label=step.attribute.label)} over all {members}"
        if "comparison" in step.words:
            members += f" and whose {self._condition(step)}"
        if step.operation in ("count", "count_where"):
            return f"the number of {members}"
        return f"the {members}"

    def _condition(self, step: Step) -> str:
        assert step.attribute is not None
        unit = f" {unit_name(step.attribute.unit, 'en')}" if step.attribute.unit else ""
        side, threshold = step.words["comparison"], step.words["threshold"]
        return f"{step.attribute.label} is {side} {threshold}{unit}"

    def ask(self, step: Step, noun: str, singular: str | None, rng: random.Random) -> str:
        unit = ""
        if step.unit is not None and step.operation != "convert":
            unit = f" in {unit_name(step.unit, 'en')}"
        if step.kind == "list":
            frames = ("Which are {}?", "List {}.", "Name all of {}.", "What are {}?")
        elif step.operation in ("count", "count_where"):
            frames = ("What is {}?", "Give me {}.", "Work out {}.")
        elif singular is not None:
            frames = (
                "Which {singular} is {}?",
                "Give me the name of {}.",
                "What is {}?",
                "Find {}.",
                "Identify {}.",
            )
        elif step.kind == "date":
            frames = ("What is {}?", "Tell me {}.", "Look up {}.")
        elif step.kind == "number":
            frames = (
                "What is {}{unit}?",
                "Tell me {}{unit}.",
                "I need {}{unit}.",
                "Find {}{unit}.",
            )
        else:
            frames = ("What is {}?", "Tell me {}.", "Look up {}.", "I need to know {}.")
        text = rng.choice(frames).format(noun, singular=singular, unit=unit)
        return text.replace(",?", "?").replace(",.", ".").replace(", in", " in")

    def measured(self, step: Step, noun: str) -> str:
        if step.unit is None or step.operation == "convert":
            return noun
        return f"{noun} in {unit_name(step.unit, 'en')}"

    def ask_node(self, joined: str, nouns: Sequence[str], rng: random.Random) -> str:
        parts = _and([noun.rstrip(",") for noun in nouns])
        frames = {
            "list": ("What are {}?", "Tell me {}.", "I need {}.", "Look up {}."),
            "sum": ("What is the sum of {}?", "Add up {}.", "What do {} add up to?"),
            "difference": ("What is the difference between {}?", "How far apart are {}?"),
            "maximum": ("What is the larger number among {}?", "Which value is the highest of {}?"),
            "minimum": ("What is the smaller number among {}?", "Which value is the lowest of {}?"),
        }[joined]
        return rng.choice(frames).format(parts)

    def dress(self, question: str, rng: random.Random) -> str:
        return rng.choice(_OPENINGS) + question + rng.choice(_CLOSINGS)


def _and(parts: Sequence[str]) -> str:
    if len(parts) == 2:
        return f"{parts[0]} and {parts[1]}"
    return ", ".join(parts[:-1]) + f", and {parts[-1]}"
