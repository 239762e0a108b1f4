"""`days_between`: days from one date to another, both found before."""

from __future__ import annotations

from datetime import date, timedelta

from astra.arenas.tables.operations.base import ArithmeticOperation
from astra.arenas.tables.operations.parameters import OperationParameter
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.slices import TableSlice
from astra.arenas.tables.steps import SMALLEST_COUNT, PlanStep, StepInput
from astra.arenas.tables.world import World
from astra.types import Json, Scalar


class DaysBetweenEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return f"the number of days from {phrase.nouns['start']} to {phrase.nouns['end']}"

    def questions(self, phrase: StepPhrase) -> list[str]:
        a, b = phrase.nouns["start"], phrase.nouns["end"]
        return [
            f"How many days lie between {a} and {b}?",
            f"How many days passed from {a} to {b}?",
            f"How many days after {a} is {b}?",
            f"Count the days from {a} to {b}.",
        ] * 3


class DaysBetweenChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        return f"从{phrase.nouns['start']}到{phrase.nouns['end']}相隔的天数"

    def questions(self, phrase: StepPhrase) -> list[str]:
        a, b = phrase.nouns["start"], phrase.nouns["end"]
        return [
            f"从{a}到{b}相隔多少天？",
            f"{a}与{b}之间相隔多少天？",
            f"从{a}到{b}过了多少天？",
            f"{b}在{a}之后多少天？",
            f"请计算从{a}到{b}的天数。",
        ] * 3


class DaysBetween(ArithmeticOperation):
    name = "days_between"
    words = {"en": DaysBetweenEnglish(), "zh": DaysBetweenChinese()}
    nesting = 0.5
    tool_names = ("days_between", "date_difference", "count_days")
    description = {
        "en": "Counts the days from one date to another.",
        "zh": "计算从一个日期到另一个日期相隔的天数。",
    }
    parameters = (
        OperationParameter("start", "First date, as YYYY-MM-DD.", "起始日期，格式为 YYYY-MM-DD。"),
        OperationParameter("end", "Last date, as YYYY-MM-DD.", "结束日期，格式为 YYYY-MM-DD。"),
    )
    options = (
        OperationParameter(
            "inclusive",
            "Whether the last day counts, too.",
            "是否把最后一天也计算在内。",
            "boolean",
            default=False,
        ),
    )
    result_field = "days"
    imports = ("datetime",)
    body = """\
    days = []
    for parameter, text in (("start", start), ("end", end)):
        try:
            days.append(datetime.date.fromisoformat(text.strip()))
        except ValueError:
            return _error("invalid_value", parameter, parameter + " must be a date, YYYY-MM-DD")
    number = (days[1] - days[0]).days
    {% if "inclusive" in options %}
    if inclusive:
        number += 1
    {% endif %}
    return {"start": days[0].isoformat(), "end": days[1].isoformat(), "days": number}
"""

    def step(self, world: World, first: PlanStep, second: PlanStep) -> PlanStep | None:
        """Days from the earlier to the later date."""
        if first.kind != "date" or second.kind != "date" or first.answer == second.answer:
            return None
        start, end = sorted((first, second), key=lambda step: str(step.answer))
        ((days,),) = world.query(
            "SELECT date_diff('day', CAST(? AS DATE), CAST(? AS DATE))",
            (str(start.answer), str(end.answer)),
        )
        if days < SMALLEST_COUNT:
            return None
        arguments: dict[str, StepInput | Scalar] = {"start": start, "end": end}
        return PlanStep(self.name, "", arguments, days, "number")

    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        gold = step.call_arguments()
        return [
            *(gold | {"start": _shifted(gold["start"], days)} for days in (-400, -30, -7, 1)),
            *(gold | {"end": _shifted(gold["end"], days)} for days in (-2, 15, 365)),
        ]


def _shifted(day: str, days: int) -> str:
    """The day moved by so many; moved the other way where the calendar ends."""
    start, by = date.fromisoformat(day), timedelta(days=days)
    fits = date.min.toordinal() <= start.toordinal() + days <= date.max.toordinal()
    return (start + by if fits else start - by).isoformat()


DAYS_BETWEEN = DaysBetween()
