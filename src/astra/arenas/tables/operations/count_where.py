"""`count_where`: how many rows of a group are above or below a threshold."""

from __future__ import annotations

from astra.arenas.tables.operations.base import StepSource
from astra.arenas.tables.operations.count import Count
from astra.arenas.tables.operations.thresholds import ThresholdOperation, draw_threshold
from astra.arenas.tables.sql import quoted
from astra.arenas.tables.steps import SMALLEST_COUNT, PlanStep, StepInput
from astra.arenas.tables.views import RowGroup, TableView


class CountWhere(ThresholdOperation, Count):
    name = "count_where"
    tool_names = ("count_{p}_where", "tally_{p}")
    description = {
        "en": "Counts the {p} with a given value of one attribute and another above or below "
        "a threshold.",
        "zh": "统计某项属性为给定取值、且另一项数值高于或低于阈值的{p}数量。",
    }

    def group_weight(self, view: TableView) -> int:
        return 1 if view.numeric else 0

    def of_group(self, source: StepSource, group: RowGroup, value: StepInput) -> PlanStep | None:
        world, rng = source.world, source.rng
        attribute = rng.choice(world.views[group.table].numeric)
        threshold = draw_threshold(world, group, attribute, rng)
        if threshold is None:
            return None
        ((number,),) = world.query(
            f"SELECT count(*) FROM {world.quoted(group.table)} "
            f"WHERE {quoted(group.attribute)} = ? AND {threshold.condition}",
            (group.value, threshold.value),
        )
        if number < SMALLEST_COUNT:
            return None
        return self.step(
            world, group, value, number, attribute=attribute, arguments=threshold.arguments
        )
