"""An operation that exists in this file alone: it is planned, worded, written and certified."""

from __future__ import annotations

import pytest

from astra.arenas.certificate import certify
from astra.arenas.tables.operations import OPERATIONS
from astra.arenas.tables.operations.base import GroupOperation, StepSource
from astra.arenas.tables.operations.parameters import ATTRIBUTE, BY, DECIMALS, VALUE
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.questions.phrases import StepPhrase
from astra.arenas.tables.source import TableSourceOptions
from astra.arenas.tables.steps import PlanStep, StepInput, finite_number
from astra.arenas.tables.views import Attribute, RowGroup, TableView
from astra.sandbox import open_sandbox
from astra.types import Scenario
from tests.tables.made import BOTH, arenas, of_world


class MedianEnglish(english.EnglishWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        label = english.labelled(phrase, unit=unit)
        return f"the median {label} of all {english.members(phrase)}"


class MedianChinese(chinese.ChineseWords):
    def noun(self, phrase: StepPhrase, *, unit: bool) -> str:
        size = chinese.unit_in_brackets(phrase, unit=unit)
        return f"所有{chinese.members(phrase)}的{phrase.label}的中位数{size}"


class Median(GroupOperation):
    name = "median"
    words = {"en": MedianEnglish(), "zh": MedianChinese()}
    tool_names = ("median_of_{p}", "middle_{s}_value")
    description = {
        "en": "Computes the median of a numeric attribute over a group of {p}.",
        "zh": "计算一组{p}某项数值属性的中位数。",
    }
    parameters = (BY, VALUE, ATTRIBUTE)
    options = (DECIMALS,)
    result_field = "median"
    body = """\
    {% if "decimals" in options %}
    if decimals < 0:
        return _error("invalid_value", "decimals", "decimals must not be negative")
    {% endif %}
    {{ shared.find_group() }}
    values = sorted(row[attribute] for row in rows if row.get(attribute) is not None)
    if not values:
        return _error("no_value", "attribute", "these records have no value for the attribute")
    half = len(values) // 2
    median = values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
    {% if "decimals" in options %}
    if decimals < 6:
        median = round(median, decimals) if decimals > 0 else math.floor(median + 0.5)
    {% endif %}
    return {"by": by, "value": group, "attribute": attribute, "median": round(median, 6)}
"""

    def group_weight(self, view: TableView) -> int:
        return 20 if view.numeric else 0

    def of_group(self, source: StepSource, group: RowGroup, value: StepInput) -> PlanStep | None:
        world, rng = source.world, source.rng
        attribute = rng.choice(world.views[group.table].numeric)
        values = [row[attribute.name] for row in world.members(group)]
        if len(values) < 3 or None in values or len(set(values)) == 1:
            return None
        median = finite_number(world.aggregate(group, attribute.name, "median"))
        assert median is not None
        return self.step(
            world,
            group,
            value,
            median,
            attribute=attribute,
            unit=attribute.unit,
            arguments={"attribute": attribute.name},
        )

    def fits(self, attribute: Attribute) -> bool:
        return attribute.numeric


async def test_an_operation_of_ones_own_gives_certified_arenas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPERATIONS, "median", Median())
    options = TableSourceOptions(
        hops=(1, 3),
        languages=BOTH,
        scenarios={Scenario.single_hop: 0.5, Scenario.multi_hop: 0.5},
        operations=frozenset(("lookup", "median")),
        seed=5,
    )
    made = [
        arena
        for arena in arenas(of_world(40, options))
        if any(goal.operation == "median" for goal in arena.goals)
    ]
    assert {arena.language for arena in made} == {"en", "zh"}
    assert any(len(arena.goals) > 1 for arena in made)
    async with open_sandbox(workers=1, spares=1) as sandbox:
        for arena in made[:6]:
            certificate = await certify(arena, sandbox, seed=1)
            assert certificate.certified, certificate
