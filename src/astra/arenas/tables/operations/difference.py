"""`difference`: of two numbers found before."""

from __future__ import annotations

from astra.arenas.tables.operations.base import ArithmeticOperation
from astra.arenas.tables.operations.parameters import ABSOLUTE, OperationParameter
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.measures import is_year
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.slices import TableSlice
from astra.arenas.tables.steps import PlanStep, StepInput, finite_number
from astra.arenas.tables.units import unit_name
from astra.arenas.tables.world import World
from astra.types import Json, Scalar


class DifferenceEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        size = f" in {unit_name(phrase.step.unit, 'en')}" if unit and phrase.step.unit else ""
        a, b = phrase.nouns["minuend"], phrase.nouns["subtrahend"]
        return f"the difference{size} between {a} and {b}"

    def questions(self, phrase: StepPhrase) -> list[str]:
        a, b = phrase.nouns["minuend"], phrase.nouns["subtrahend"]
        attributes = [p.attribute for p in phrase.step.parents if p.attribute is not None]
        if any(map(is_year, attributes)):
            return [
                f"How many years lie between {b} and {a}?",
                f"How many years are there from {b} to {a}?",
                f"By how many years is {a} later than {b}?",
            ] * 3
        unit = unit_name(phrase.step.unit, "en")
        size = f", in {unit}," if unit else ""
        return [
            f"What is the difference{size} between {a} and {b}?",
            f"By how {f'many {unit}' if unit else 'much'} does {a} exceed {b}?",
            f"Subtract {b} from {a}{f', in {unit}' if unit else ''}.",
        ] * 3


class DifferenceChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        size = chinese.unit_in_brackets(phrase, unit=unit)
        return f"{phrase.nouns['minuend']}与{phrase.nouns['subtrahend']}之差{size}"

    def questions(self, phrase: StepPhrase) -> list[str]:
        a, b = phrase.nouns["minuend"], phrase.nouns["subtrahend"]
        unit = unit_name(phrase.step.unit, "zh")
        return [
            f"{a}与{b}相差多少{unit}？",
            f"{a}比{b}多多少{unit}？",
            f"{a}减去{b}等于多少{unit}？",
        ] * 3


class Difference(ArithmeticOperation):
    name = "difference"
    words = {"en": DifferenceEnglish(), "zh": DifferenceChinese()}
    nesting = 0.5
    tool_names = ("subtract_numbers", "calculate_difference", "number_difference")
    description = {
        "en": "Subtracts one number from another.",
        "zh": "计算两个数之差（被减数减去减数）。",
    }
    parameters = (
        OperationParameter("minuend", "The number to subtract from.", "被减数。", "number"),
        OperationParameter("subtrahend", "The number to subtract.", "减数。", "number"),
    )
    options = (ABSOLUTE,)
    result_field = "difference"
    body = """\
    difference = minuend - subtrahend
    if isinstance(difference, float):
        difference = round(difference, 6)
    {% if "absolute" in options %}
    if absolute and difference < 0:
        minuend, subtrahend, difference = subtrahend, minuend, -difference
    {% endif %}
    return {"minuend": minuend, "subtrahend": subtrahend, "difference": difference}
"""

    def step(self, world: World, first: PlanStep, second: PlanStep) -> PlanStep | None:
        """The greater number minus the other. None if their units differ."""
        x, y = finite_number(first.answer), finite_number(second.answer)
        if x is None or y is None or x == y or first.unit != second.unit:
            return None
        # Asked as "by how much more", so the greater one comes first.
        if x < y:
            first, second, x, y = second, first, y, x
        ((value,),) = world.query("SELECT ? - ?", (x, y))
        number = finite_number(value)
        if number is None:
            return None
        arguments: dict[str, StepInput | Scalar] = {"minuend": first, "subtrahend": second}
        return PlanStep(self.name, "", arguments, number, "number", unit=first.unit)

    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        gold = step.call_arguments()
        a, b = gold["minuend"], gold["subtrahend"]
        pairs = ((a + 7, b), (a, b + 11), (b, a), (a * 2, b), (a + b, b), (a, a))
        return [{"minuend": x, "subtrahend": y} for x, y in pairs]


DIFFERENCE = Difference()
