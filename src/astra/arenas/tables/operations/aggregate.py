"""`aggregate`: sum, mean, minimum or maximum over a group."""

from __future__ import annotations

from astra.arenas.tables.operations.base import GroupOperation, StepSource
from astra.arenas.tables.operations.parameters import (
    ATTRIBUTE,
    BY,
    DECIMALS,
    VALUE,
    OperationParameter,
)
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.measures import is_year
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.steps import PlanStep, StepInput, finite_number
from astra.arenas.tables.views import Attribute, RowGroup, TableView

MIN_ROWS = 3

_SQL = {"sum": "sum", "mean": "avg", "minimum": "min", "maximum": "max"}
_ENGLISH = {
    "sum": ("total {}", "combined {}", "sum of the {}"),
    "mean": ("average {}", "mean {}"),
}
_CHINESE = {
    "sum": ("{}之和", "{}总和", "{}合计"),
    "mean": ("平均{}", "{}的平均值"),
    "maximum": ("{}的最大值", "{}的最大数值"),
    "minimum": ("{}的最小值", "{}的最小数值"),
}
_CHINESE_YEARS = {"maximum": ("最晚的{}",), "minimum": ("最早的{}",)}


class AggregateEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        label, function = english.labelled(phrase, unit=unit), phrase.step.words["function"]
        members = english.members(phrase)
        if function in _ENGLISH:
            return f"the {phrase.rng.choice(_ENGLISH[function]).format(label)} of all {members}"
        return f"the {english.superlative(phrase, function)} {label} among all {members}"


class AggregateChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        members, function = chinese.members(phrase), phrase.step.words["function"]
        frames = _CHINESE[function]
        if is_year(phrase.attribute):
            frames = _CHINESE_YEARS.get(function, frames)
        value = phrase.rng.choice(frames).format(phrase.label)
        return f"所有{members}的{value}{chinese.unit_in_brackets(phrase, unit=unit)}"


class Aggregate(GroupOperation):
    name = "aggregate"
    words = {"en": AggregateEnglish(), "zh": AggregateChinese()}
    tool_names = ("aggregate_{p}", "summarise_{p}", "{p}_statistics")
    description = {
        "en": "Computes a sum, mean, minimum or maximum of a numeric attribute over a group of "
        "{p}.",
        "zh": "计算一组{p}某项数值属性的总和、平均值、最小值或最大值。",
    }
    parameters = (
        BY,
        VALUE,
        ATTRIBUTE,
        OperationParameter("function", "What to compute.", "要计算的统计量。", choices=tuple(_SQL)),
    )
    options = (DECIMALS,)
    result_field = "result"
    body = """\
    {% if "decimals" in options %}
    if decimals < 0:
        return _error("invalid_value", "decimals", "decimals must not be negative")
    {% endif %}
    {{ shared.find_group() }}
    values = [row[attribute] for row in rows if row.get(attribute) is not None]
    if not values:
        return _error("no_value", "attribute", "these records have no value for the attribute")
    if function == "sum":
        result = sum(values) if all(isinstance(v, int) for v in values) else math.fsum(values)
    elif function == "mean":
        result = math.fsum(values) / len(values)
    else:
        result = min(values) if function == "minimum" else max(values)
    result = result if isinstance(result, int) else round(result, 6)
    {% if "decimals" in options %}
    if decimals < 6:
        result = round(result, decimals) if decimals > 0 else math.floor(result + 0.5)
    {% endif %}
    answer = {
        "by": by,
        "value": group,
        "attribute": attribute,
        "function": function,
        "result": result,
    }
    if DATA["units"].get(attribute):
        answer["unit"] = DATA["units"][attribute]
    return answer
"""

    def group_weight(self, view: TableView) -> int:
        return 2 if view.numeric else 0

    def of_group(self, source: StepSource, group: RowGroup, value: StepInput) -> PlanStep | None:
        world, rng = source.world, source.rng
        attribute = rng.choice(world.views[group.table].numeric)
        functions = ["maximum", "minimum"]
        functions += ["mean"] * 2 if attribute.averageable else []
        functions += ["sum"] if attribute.additive else []
        function = rng.choice(functions)
        values = [row[attribute.name] for row in world.members(group)]
        if len(values) < MIN_ROWS or None in values or len(set(values)) == 1:
            return None
        number = finite_number(world.aggregate(group, attribute.name, _SQL[function]))
        if number is None:
            return None
        return self.step(
            world,
            group,
            value,
            number,
            attribute=attribute,
            unit=attribute.unit,
            arguments={"attribute": attribute.name, "function": function},
        )

    def fits(self, attribute: Attribute) -> bool:
        return attribute.numeric
