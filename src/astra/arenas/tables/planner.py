"""Plans decomposed questions: draws a scenario, a depth and operations, and lets DuckDB answer.

A plan is a graph of steps with a final answer. Everything is drawn from one seeded generator per
candidate, so a candidate depends on nothing but the tables, the options and its number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from astra.arenas.tables.operations import OPERATIONS
from astra.arenas.tables.operations.base import GroupOperation, TableAttribute, TableOperation
from astra.arenas.tables.operations.compare import COMPARE
from astra.arenas.tables.operations.days_between import DAYS_BETWEEN
from astra.arenas.tables.operations.difference import DIFFERENCE
from astra.arenas.tables.operations.find import FIND
from astra.arenas.tables.operations.lookup import LOOKUP
from astra.arenas.tables.operations.rank import RANK
from astra.arenas.tables.questions.measures import is_year
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.steps import PlanStep, QuestionValue, StepInput
from astra.arenas.tables.units import UNITS
from astra.arenas.tables.views import ArenaSplit, Attribute, RowEntity, RowGroup, TableView
from astra.arenas.tables.world import World
from astra.types import Scalar, Scenario

JoinKind = Literal["list", "sum", "difference", "maximum", "minimum"]

GROUP_WEIGHT = 5
"""How often a chain ends in an operation on a group, relative to `TableOperation.weight`."""
_CHAIN_TRIES = 8
_INNER_TRIES = 2
_MAX_RETRIED_DEPTH = 9


@dataclass(frozen=True, slots=True)
class QuestionPlan:
    """A decomposed question before it is put into words."""

    scenario: Scenario
    ends: tuple[PlanStep, ...]
    """The steps whose answers the main answer is made of."""
    joined: JoinKind | None
    """How an answer node combines the ends. None: there is one end, and it is the answer.
    `list` is not a node: the answers are given one after the other."""
    answer: Scalar | tuple[Scalar, ...]
    split: ArenaSplit

    @property
    def has_answer_node(self) -> bool:
        return self.joined not in (None, "list")

    def steps(self) -> list[PlanStep]:
        """All steps, each after those it needs."""
        return list(dict.fromkeys(step for end in self.ends for step in end.walk()))

    @property
    def hops(self) -> int:
        return len(self.steps()) + self.has_answer_node


@dataclass(frozen=True, slots=True)
class RowPath:
    """A last call that leads to a row: an operation on a table, by an attribute."""

    operation: Literal["find", "rank", "lookup"]
    table: str
    attribute: Attribute


class Planner:
    """Draws plans over one world. A `StepSource` for the operations."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._views = [view for view in world.views.values() if view.table.rows > 0]
        self._named = [view for view in self._views if view.named]
        # Per-instance caches: on the methods they would keep every planner alive.
        self._paths = cache(self._find_paths)
        self._group_attributes = cache(self._find_group_attributes)
        attributes = [(v.table.name, a) for v in self._named for a in v.attributes]
        numeric = [(table, a) for table, a in attributes if a.numeric]
        self.numeric: Sequence[TableAttribute] = numeric
        self.convertible: Sequence[TableAttribute] = [x for x in numeric if x[1].unit in UNITS]
        self.dated: Sequence[TableAttribute] = [
            (table, a) for table, a in attributes if a.kind is ColumnKind.date
        ]

    def plan(
        self, rng: random.Random, scenario: Scenario, hops: int, split: ArenaSplit
    ) -> QuestionPlan | None:
        """One plan of exactly that many hops. None if the draw led nowhere."""
        match scenario:
            case Scenario.single_hop:
                plan = _plan_of(scenario, self.chain(rng, 1, split), split)
            case Scenario.multi_hop:
                plan = _plan_of(scenario, self.chain(rng, hops, split), split)
            case Scenario.parallel_single_hop:
                plan = self._parallel(rng, scenario, [1] * hops, split, node=rng.random() < 0.5)
            case Scenario.parallel_multi_hop:
                plan = self._branched(rng, hops, split)
        return plan if plan is not None and not any(_repeats(end) for end in plan.ends) else None

    # --- scenarios with branches ---------------------------------------------------------------

    def _branched(self, rng: random.Random, hops: int, split: ArenaSplit) -> QuestionPlan | None:
        shape = rng.choice(("fork", "tool", "tool", "node", "list"))
        scenario = Scenario.parallel_multi_hop
        if shape == "fork":
            return self._fork(rng, hops, split)
        if shape == "tool":
            return _plan_of(scenario, self._joined_by_tool(rng, hops, split), split)
        if shape == "node" and hops >= 4:
            depths = _depths(rng, hops - 1)
            return self._parallel(rng, scenario, [*depths, 1], split, node=True)
        depths = _depths(rng, hops)
        return self._parallel(rng, scenario, depths, split, node=False) if max(depths) > 1 else None

    def _fork(self, rng: random.Random, hops: int, split: ArenaSplit) -> QuestionPlan | None:
        """A chain to a row, then several facts about it."""
        facts = rng.randint(2, max(2, min(3, hops - 1)))
        view = rng.choice(self._named)
        entity = self.entity(rng, view.table.name, hops - facts, split)
        if not isinstance(entity, PlanStep):
            return None
        attributes = rng.sample(view.attributes, k=min(len(view.attributes), facts))
        ends = [LOOKUP.step(self.world, attribute, entity) for attribute in attributes]
        return _listed(Scenario.parallel_multi_hop, ends, facts, split)

    def _joined_by_tool(self, rng: random.Random, hops: int, split: ArenaSplit) -> PlanStep | None:
        """Two branches whose results go into one more call."""
        left = rng.randint(1, hops - 2)
        depths = (left, hops - 1 - left)
        if rng.random() < 0.5:
            if not self.numeric:
                return None
            table, attribute = rng.choice(self.numeric)
            first, second = (self.entity(rng, table, depth, split) for depth in depths)
            if not isinstance(first, PlanStep) or not isinstance(second, PlanStep):
                return None
            return COMPARE.step(self.world, attribute, first, second)
        dates = rng.random() < 0.3
        choices = self.dated if dates else self.numeric
        if not choices:
            return None
        table, attribute = rng.choice(choices)
        first, second = (self.fact(rng, table, attribute, depth, split) for depth in depths)
        if first is None or second is None:
            return None
        return (DAYS_BETWEEN if dates else DIFFERENCE).step(self.world, first, second)

    def _parallel(
        self,
        rng: random.Random,
        scenario: Scenario,
        depths: list[int],
        split: ArenaSplit,
        *,
        node: bool,
    ) -> QuestionPlan | None:
        """Independent branches. With `node`, the last of `depths` is the answer node."""
        if not node or len(depths) < 3:
            ends = [self.chain(rng, depth, split) for depth in depths]
            return _listed(scenario, ends, len(depths), split)
        if not self.numeric:
            return None
        table, attribute = rng.choice(self.numeric)
        ends = [self.fact(rng, table, attribute, depth, split) for depth in depths[:-1]]
        joins: list[JoinKind] = []
        if not is_year(attribute):
            joins.extend(("maximum", "minimum"))
            if attribute.additive:
                joins.append("sum")
        if len(ends) == 2:
            joins.append("difference")
        return self._node(scenario, ends, rng.choice(joins), split) if joins else None

    def _node(
        self,
        scenario: Scenario,
        ends: Sequence[PlanStep | None],
        joined: JoinKind,
        split: ArenaSplit,
    ) -> QuestionPlan | None:
        """Branches whose numbers an answer node combines."""
        steps = [end for end in ends if end is not None]
        values = [step.answer for step in steps if isinstance(step.answer, int | float)]
        if len(values) != len(ends) or len(set(values)) != len(values):
            return None
        if joined == "difference" and values[0] < values[1]:
            steps.reverse()
            values.reverse()
        marks = ["?"] * len(values)
        expression = {
            "sum": " + ".join(marks),
            "difference": " - ".join(marks),
            "maximum": f"greatest({', '.join(marks)})",
            "minimum": f"least({', '.join(marks)})",
        }[joined]
        ((answer,),) = self.world.query(f"SELECT {expression}", values)
        answer = answer if isinstance(answer, int) else round(float(answer), 6)
        return QuestionPlan(scenario, tuple(steps), joined, answer, split)

    # --- chains --------------------------------------------------------------------------------

    def chain(self, rng: random.Random, depth: int, split: ArenaSplit) -> PlanStep | None:
        """A chain of exactly `depth` calls. None if the draws led nowhere."""
        ends: list[TableOperation | None] = []
        for operation in OPERATIONS.values():
            if not isinstance(operation, GroupOperation):
                ends += [operation] * operation.weight(depth)
            elif None not in ends:
                # All operations on groups are drawn together: the group comes first.
                ends += [None] * GROUP_WEIGHT
        for _ in range(_CHAIN_TRIES):
            operation = rng.choice(ends)
            if operation is None:
                step = self._grouped(rng, depth, split)
            else:
                step = operation.draw(self, rng, depth, split)
            if step is not None:
                return step
        return None

    def _grouped(self, rng: random.Random, depth: int, split: ArenaSplit) -> PlanStep | None:
        """An operation on all rows of a group whose value takes `depth` - 1 calls."""
        ways = [
            (view.table.name, by)
            for view in self._views
            for by in self._group_attributes(view.table.name, depth)
        ]
        drawn = self._group(rng, *rng.choice(ways), depth, split) if ways else None
        if drawn is None:
            return None
        group, value = drawn
        view = self.world.views[group.table]
        operations = [
            operation
            for operation in OPERATIONS.values()
            if isinstance(operation, GroupOperation)
            for _ in range(operation.group_weight(view))
        ]
        return rng.choice(operations).of_group(self.world, group, value, rng)

    def fact(
        self, rng: random.Random, table: str, attribute: Attribute, depth: int, split: ArenaSplit
    ) -> PlanStep | None:
        """An attribute of a row of the table, at the end of `depth` calls."""
        subject = self.entity(rng, table, depth - 1, split)
        return None if subject is None else LOOKUP.step(self.world, attribute, subject)

    # --- rows ----------------------------------------------------------------------------------

    def view(self, rng: random.Random) -> TableView:
        """A table with named rows."""
        return rng.choice(self._named)

    def entity(
        self, rng: random.Random, table: str, depth: int, split: ArenaSplit
    ) -> StepInput | None:
        """A row of the table, reached by exactly `depth` calls; 0: named in the question."""
        if depth == 0:
            return self.known_entity(rng, table, split)
        paths = self._paths(table, depth)
        # Tries at every level multiply, so only the last levels of a deep chain get several.
        tries = _INNER_TRIES if depth <= _MAX_RETRIED_DEPTH else 1
        for _ in range(tries if paths else 0):
            step = self._follow(rng, rng.choice(paths), depth, split)
            if step is not None and (
                step.entity is None
                or self.world.split_of(self.world.cluster(step.entity.table, step.entity.row))
                == split
            ):
                return step
        return None

    def known_entity(
        self, rng: random.Random, table: str, split: ArenaSplit
    ) -> QuestionValue | None:
        """A row that the question names."""
        entity = self.world.random_entity(rng, table, split)
        return None if entity is None else self._named_value(entity)

    def _named_value(self, entity: RowEntity) -> QuestionValue:
        return QuestionValue(entity.name, entity, self.world.shares_name(entity))

    def _find_paths(self, table: str, depth: int) -> tuple[RowPath, ...]:
        """The paths that may lead to a row of the table in `depth` calls, by the schema alone."""
        view = self.world.views[table]
        found = [
            RowPath("find", table, a)
            for a in view.attributes
            if a.unique
            and (depth == 1 or (a.references and self._reachable(a.references, depth - 1)))
        ]
        ranked = [RowPath("rank", table, by) for by in self._group_attributes(table, depth)]
        referred = [
            RowPath("lookup", other.table.name, a)
            for other in self._named
            for a in other.attributes
            if a.references == table and self._reachable(other.table.name, depth - 1)
        ]
        kinds = [found, ranked if view.rankable else [], referred]
        # Repeat each kind to about the same number, so that none crowds out the others.
        most = max(map(len, kinds))
        return tuple(path for paths in kinds if paths for path in paths * -(-most // len(paths)))

    def _reachable(self, table: str, depth: int) -> bool:
        return self.world.views[table].named and (depth == 0 or bool(self._paths(table, depth)))

    def _follow(
        self, rng: random.Random, path: RowPath, depth: int, split: ArenaSplit
    ) -> PlanStep | None:
        match path.operation:
            case "find":
                return self.row_by_value(rng, path.table, path.attribute, depth, split)
            case "rank":
                drawn = self._group(rng, path.table, path.attribute, depth, split)
                return None if drawn is None else RANK.of_group(self.world, *drawn, rng)
            case "lookup":
                return self.fact(rng, path.table, path.attribute, depth, split)

    def row_by_value(
        self, rng: random.Random, table: str, attribute: Attribute, depth: int, split: ArenaSplit
    ) -> PlanStep | None:
        """The row with a given value of a unique attribute, at the end of `depth` calls."""
        if depth == 1:
            entity = self.world.random_entity(rng, table, split)
            text = entity and self.world.row(table, entity.row)[attribute.name]
            if entity is None or not text:
                return None
            if self.world.row_with(table, attribute.name, text) != entity.row:
                return None
            return FIND.step(self.world, attribute, entity, QuestionValue(text))
        assert attribute.references is not None
        value = self.entity(rng, attribute.references, depth - 1, split)
        if not isinstance(value, PlanStep) or not isinstance(value.answer, str):
            return None
        row = self.world.row_with(table, attribute.name, value.answer)
        entity = None if row is None else self.world.entity(table, row)
        return entity and FIND.step(self.world, attribute, entity, value)

    # --- groups --------------------------------------------------------------------------------

    def _find_group_attributes(self, table: str, depth: int) -> tuple[Attribute, ...]:
        """Attributes of the table to group by whose value takes `depth` - 1 calls."""
        return tuple(
            a
            for a in self.world.views[table].attributes
            if a.groups
            and (
                depth == 1
                or (a.references and self._reachable(a.references, depth - 1))
                or (not a.references and self._reachable(table, depth - 2))
            )
        )

    def _group(
        self, rng: random.Random, table: str, by: Attribute, depth: int, split: ArenaSplit
    ) -> tuple[RowGroup, StepInput] | None:
        """A group of the table whose value takes `depth` - 1 calls, and that value."""
        if depth == 1:
            groups = self.world.groups[table, by.name][split]
            if not groups:
                return None
            group = rng.choice(groups)
            entity = None
            if by.references is not None and group.row is not None:
                entity = self.world.entity(by.references, group.row)
            return group, QuestionValue(group.value) if entity is None else self._named_value(
                entity
            )
        if by.references is None:
            value = self.fact(rng, table, by, depth - 1, split)
        else:
            value = self.entity(rng, by.references, depth - 1, split)
        if not isinstance(value, PlanStep):
            return None
        group = self.world.group_of(table, by.name, str(value.answer), split)
        return None if group is None else (group, value)


def _plan_of(scenario: Scenario, step: PlanStep | None, split: ArenaSplit) -> QuestionPlan | None:
    return None if step is None else QuestionPlan(scenario, (step,), None, step.answer, split)


def _listed(
    scenario: Scenario, ends: Sequence[PlanStep | None], count: int, split: ArenaSplit
) -> QuestionPlan | None:
    """A plan that gives `count` different answers one after the other."""
    steps = [end for end in ends if end is not None and end.kind != "list"]
    answers = [step.answer for step in steps]
    if len(steps) != count or len({str(answer) for answer in answers}) != count:
        return None
    flat = tuple(answer for answer in answers if not isinstance(answer, tuple))
    return QuestionPlan(scenario, tuple(steps), "list", flat, split)


def _repeats(end: PlanStep) -> bool:
    """Whether a name or a value is reached twice, as in "the country whose capital is the capital
    of X" or "the time zone of the largest city of the time zone of X"."""
    reached: list[str] = []
    for step in end.walk():
        reached += [s.text for s in step.arguments.values() if isinstance(s, QuestionValue)]
        reached += [str(step.answer)] if step.kind in ("entity", "text") else []
    return len(set(reached)) < len(reached)


def _depths(rng: random.Random, total: int) -> list[int]:
    """Two or three branch depths that add up, at least one of them above 1 where possible."""
    parts = rng.choice((2, 3)) if total > 3 else 2
    depths = [1] * parts
    for _ in range(total - parts):
        depths[rng.randrange(parts)] += 1
    return depths
