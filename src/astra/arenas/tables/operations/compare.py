"""`compare`: by how much one row exceeds another."""

from __future__ import annotations

from astra.arenas.tables.operations.base import RowOperation, StepSource
from astra.arenas.tables.operations.parameters import ABSOLUTE, ATTRIBUTE, OperationParameter
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.measures import is_year, measure_of
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.slices import TableSlice
from astra.arenas.tables.steps import PlanStep, StepInput, finite_number
from astra.arenas.tables.units import unit_name
from astra.arenas.tables.views import Attribute
from astra.arenas.tables.world import World
from astra.types import Json

_LESS = {"高": "低", "大": "小", "长": "短", "多": "少", "晚": "早"}


class CompareEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        a, b = phrase.nouns["first"], phrase.nouns["second"]
        label = english.labelled(phrase, unit=unit)
        if is_year(phrase.attribute):
            return f"the number of years from the {label} of {b} to that of {a}"
        return f"the amount by which the {label} of {a} exceeds that of {b}"

    def questions(self, phrase: StepPhrase) -> list[str]:
        a, b, label = phrase.nouns["first"], phrase.nouns["second"], phrase.label
        more, unit = measure_of(phrase.attribute).en_more, unit_name(phrase.step.unit, "en")
        if is_year(phrase.attribute):
            return [
                f"How many years later is the {label} of {a} than that of {b}?",
                f"By how many years is the {label} of {a} later than that of {b}?",
                f"How many years lie between the {label} of {a} and that of {b}?",
            ] * 4
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


class CompareChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        a, b = (chinese.of_subject(phrase.nouns[n], phrase.label) for n in ("first", "second"))
        return f"{a}比{b}多出的数值{chinese.unit_in_brackets(phrase, unit=unit)}"

    def questions(self, phrase: StepPhrase) -> list[str]:
        a, b = (chinese.of_subject(phrase.nouns[n], phrase.label) for n in ("first", "second"))
        more = measure_of(phrase.attribute).zh_more
        unit = "年" if is_year(phrase.attribute) else unit_name(phrase.step.unit, "zh")
        return [
            f"{a}比{b}{more}多少{unit}？",
            f"{a}比{b}{more}出多少{unit}？" if more != "晚" else f"{a}比{b}晚了多少年？",
            f"{a}与{b}相差多少{unit}？",
            f"{b}比{a}{_LESS[more]}多少{unit}？",
        ] * 4


class Compare(RowOperation):
    name = "compare"
    words = {"en": CompareEnglish(), "zh": CompareChinese()}
    names_kind = True
    tool_names = ("compare_{p}", "{s}_difference", "contrast_{p}")
    description = {
        "en": "Subtracts a numeric attribute of the second {s} from that of the first.",
        "zh": "用第一个{s}的某项数值减去第二个{s}的同一数值。",
    }
    parameters = (
        OperationParameter("first", "Name of the first {s}.", "第一个{s}的名称。"),
        OperationParameter("second", "Name of the second {s}.", "第二个{s}的名称。"),
        ATTRIBUTE,
    )
    options = (ABSOLUTE,)
    result_field = "difference"
    body = """\
    {{ shared.find_row(entity, "one", "first") }}
    {{ shared.find_row(entity, "two", "second") }}
    if one.get(attribute) is None or two.get(attribute) is None:
        return _error("no_value", "attribute", "a record has no value for the attribute")
    difference = round(one[attribute] - two[attribute], 6)
    {% if "absolute" in options %}
    if absolute and difference < 0:
        one, two, difference = two, one, -difference
    {% endif %}
    answer = {
        "first": one[{{ entity | py }}],
        "second": two[{{ entity | py }}],
        "attribute": attribute,
        "difference": difference,
    }
    if DATA["units"].get(attribute):
        answer["unit"] = DATA["units"][attribute]
    return answer
"""

    def weight(self, depth: int) -> int:
        return 1 if depth == 1 else 0

    def draw(self, source: StepSource, depth: int) -> PlanStep | None:
        if not source.numeric:
            return None
        table, attribute = source.rng.choice(source.numeric)
        first, second = (source.known_entity(table) for _ in range(2))
        if first is None or second is None:
            return None
        return self.step(source.world, attribute, first, second)

    def step(
        self, world: World, attribute: Attribute, first: StepInput, second: StepInput
    ) -> PlanStep | None:
        """By how much the greater of two rows exceeds the other."""
        a, b = first.entity, second.entity
        if a is None or b is None or a == b or a.table != b.table:
            return None
        x, y = (finite_number(world.row(e.table, e.row)[attribute.name]) for e in (a, b))
        if x is None or y is None or x == y:
            return None
        # Asked as "by how much more", so the greater one comes first.
        if x < y:
            first, second, a, b, x, y = second, first, b, a, y, x
        ((value,),) = world.query("SELECT ? - ?", (x, y))
        number = finite_number(value)
        if number is None:
            return None
        return PlanStep(
            self.name,
            a.table,
            {"first": first, "second": second, "attribute": attribute.name},
            number,
            "number",
            attribute=attribute,
            unit=attribute.unit,
            subjects=tuple(world.cluster(e.table, e.row) for e in (a, b)),
            rows=(a.row, b.row),
        )

    def fits(self, attribute: Attribute) -> bool:
        return attribute.numeric

    def decoys(self, step: PlanStep, slice_: TableSlice) -> list[dict[str, Json]]:
        gold = step.call_arguments()
        attribute, first, second = gold["attribute"], gold["first"], gold["second"]
        rows = [row for row in slice_.rows if row[attribute] is not None]
        compared = {row["__name"]: row[attribute] for row in rows}
        others = [name for name in compared if name not in (first, second)]
        # The swapped call is right with `absolute`, so it can't come first: others build on that.
        others.sort(key=lambda name: compared[name] == compared[second])
        if not others or compared[others[0]] == compared[second]:
            return []
        return [
            *(gold | {"second": name} for name in others),
            gold | {"first": second, "second": first},
            *(gold | {"first": name} for name in others),
        ]


COMPARE = Compare()
