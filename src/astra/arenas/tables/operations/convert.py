"""`convert`: a number found before, in another unit of the same quantity."""

from __future__ import annotations

from collections.abc import Sequence

from astra.arenas.tables.operations.base import ArithmeticOperation, StepSource
from astra.arenas.tables.operations.parameters import DECIMALS, OperationParameter
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.slices import TableSlice, TableSlicer
from astra.arenas.tables.steps import PlanStep, StepInput, finite_number
from astra.arenas.tables.units import UNITS, unit_name, units_like
from astra.arenas.tables.world import World
from astra.types import Json, Scalar

SMALLEST_RESULT = 0.01
"""Smaller results lose their digits when they are rounded."""


class ConvertEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return f"{phrase.nouns['value']} (converted to {unit_name(phrase.step.unit, 'en')})"

    def questions(self, phrase: StepPhrase) -> list[str]:
        value, unit = phrase.nouns["value"], unit_name(phrase.step.unit, "en")
        # "The number found in the first step" does not say its unit; a described value does.
        own = ""
        if value.endswith(" step"):
            own = f" from {unit_name(str(phrase.step.arguments['from_unit']), 'en')}"
        return [
            f"Convert {value}{own} to {unit}.",
            f"Please convert {value}{own} to {unit}.",
            f"What is {value}, converted{own} to {unit}?",
            f"Turn {value}{own} into {unit}." if own else f"Express {value} in {unit}.",
            f"I need {value}, converted{own} to {unit}.",
            f"Convert {value} into {unit}." if own else f"How much is {value} in {unit}?",
            f"Give me {value}, expressed in {unit}.",
            f"Tell me {value}, expressed in {unit}.",
        ]

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        return []


class ConvertChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return f"{phrase.nouns['value']}（换算成{unit_name(phrase.step.unit, 'zh')}）"

    def questions(self, phrase: StepPhrase) -> list[str]:
        value, unit = phrase.nouns["value"], unit_name(phrase.step.unit, "zh")
        if "步得到的" in value:
            value += f"（单位：{unit_name(str(phrase.step.arguments['from_unit']), 'zh')}）"
        return [
            f"{value}换算成{unit}是多少？",
            f"{value}相当于多少{unit}？",
            f"{value}等于多少{unit}？",
            f"请把{value}换算成{unit}。",
            f"将{value}换算成{unit}。",
            f"{value}合多少{unit}？",
            f"以{unit}为单位，{value}是多少？",
            f"请用{unit}表示{value}。",
        ]

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        return []


class Convert(ArithmeticOperation):
    name = "convert"
    words = {"en": ConvertEnglish(), "zh": ConvertChinese()}
    nesting = 0.0
    tool_names = ("convert_{q}", "{q}_converter")
    description = {
        "en": "Converts a number from one unit of {q} to another.",
        "zh": "在不同的计量单位之间换算一个数值。",
    }
    parameters = (
        OperationParameter("value", "The number to convert.", "要换算的数值。", "number"),
        OperationParameter(
            "from_unit",
            "Unit of the given number.",
            "给定数值的单位。",
            choices=lambda slice_: tuple(slice_.factors),
        ),
        OperationParameter(
            "to_unit",
            "Unit of the result.",
            "结果的单位。",
            choices=lambda slice_: tuple(slice_.factors),
        ),
    )
    options = (DECIMALS,)
    result_field = "result"
    body = """\
    {% if "decimals" in options %}
    if decimals < 0:
        return _error("invalid_value", "decimals", "decimals must not be negative")
    {% endif %}
    factors = DATA["factors"]
    result = round(value * factors[from_unit] / factors[to_unit], 6)
    {% if "decimals" in options %}
    if decimals < 6:
        result = round(result, decimals) if decimals > 0 else math.floor(result + 0.5)
    {% endif %}
    return {"value": value, "from_unit": from_unit, "to_unit": to_unit, "result": result}
"""

    def weight(self, depth: int) -> int:
        return 1 if depth > 1 else 0

    def draw(self, source: StepSource, depth: int) -> PlanStep | None:
        if not source.convertible:
            return None
        fact = source.fact(*source.rng.choice(source.convertible), depth - 1)
        if fact is None or fact.unit is None:
            return None
        return self.step(source.world, fact, source.rng.choice(UNITS[fact.unit].partners))

    def step(self, world: World, value: PlanStep, unit: str) -> PlanStep | None:
        """An earlier answer in another unit. None if the result is too small to round."""
        number = finite_number(value.answer)
        if number is None or value.unit not in UNITS or unit == value.unit:
            return None
        factors = units_like(value.unit)
        ((result,),) = world.query(
            "SELECT CAST(? AS DOUBLE) * ? / ?", (number, factors[value.unit], factors[unit])
        )
        answer = finite_number(result)
        if not answer or abs(answer) < SMALLEST_RESULT:
            return None
        arguments: dict[str, StepInput | Scalar] = {
            "value": value,
            "from_unit": value.unit,
            "to_unit": unit,
        }
        return PlanStep(self.name, "", arguments, answer, "number", unit=unit)

    def scope(self, step: PlanStep) -> str:
        return UNITS[str(step.arguments["from_unit"])].quantity

    def slice(self, slicer: TableSlicer, steps: Sequence[PlanStep]) -> TableSlice | None:
        return TableSlice(factors={**units_like(str(steps[0].arguments["from_unit"]))})

    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        gold = step.call_arguments()
        value, used = gold["value"], (gold["from_unit"], gold["to_unit"])
        others = [unit for unit in slice_.factors if unit not in used][:3]
        return [
            *(gold | {"value": number} for number in (value + 13, value * 3, value / 2)),
            *(gold | {"to_unit": unit} for unit in others),
        ]
