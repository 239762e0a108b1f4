"""`filter`: the rows of a group above or below a threshold."""

from __future__ import annotations

from astra.arenas.tables.operations.base import StepSource
from astra.arenas.tables.operations.list import LONGEST_LIST, ListRows
from astra.arenas.tables.operations.thresholds import ThresholdOperation, draw_threshold
from astra.arenas.tables.sql import quoted
from astra.arenas.tables.steps import PlanStep, StepInput
from astra.arenas.tables.views import RowGroup, TableView


class FilterRows(ThresholdOperation, ListRows):
    name = "filter"
    tool_names = ("filter_{p}", "select_{p}", "query_{p}")
    description = {
        "en": "Lists the {p} with a given value of one attribute and another above or below "
        "a threshold.",
        "zh": "列出某项属性为给定取值、且另一项数值高于或低于阈值的{p}。",
    }

    def group_weight(self, view: TableView) -> int:
        return 2 if view.named and view.numeric else 0

    def of_group(self, source: StepSource, group: RowGroup, value: StepInput) -> PlanStep | None:
        world, rng = source.world, source.rng
        attribute = rng.choice(world.views[group.table].numeric)
        if world.member_names(group) is None:
            return None
        threshold = draw_threshold(world, group, attribute, rng)
        if threshold is None:
            return None
        rows = world.query(
            f"SELECT __name FROM {world.quoted(group.table)} "
            f"WHERE {quoted(group.attribute)} = ? AND {threshold.condition} ORDER BY __row",
            (group.value, threshold.value),
        )
        names = tuple(str(name) for (name,) in rows)
        if not 2 <= len(names) <= LONGEST_LIST:
            return None
        return self.step(
            world, group, value, names, attribute=attribute, arguments=threshold.arguments
        )
