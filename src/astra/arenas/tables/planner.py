"""Plans decomposed questions: draws a scenario, a depth and operations, and lets DuckDB answer.

A plan is a graph of steps with a final answer. Everything is drawn from one seeded generator per
candidate, so a candidate depends on nothing but the tables, the options and its number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from astra.arenas.tables.operations import OPERATIONS
from astra.arenas.tables.operations.base import GroupOperation, TableOperation
from astra.arenas.tables.operations.compare import COMPARE
from astra.arenas.tables.operations.days_between import DAYS_BETWEEN
from astra.arenas.tables.operations.difference import DIFFERENCE
from astra.arenas.tables.operations.find import FIND
from astra.arenas.tables.operations.lookup import LOOKUP
from astra.arenas.tables.operations.rank import RANK
from astra.arenas.tables.operations.search import SEARCH, short_names
from astra.arenas.tables.paths import PathFinder
from astra.arenas.tables.questions.measures import is_year
from astra.arenas.tables.steps import PlanStep, QuestionValue, StepInput
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


class Planner:
    """Draws plans over one world."""

    def __init__(self, world: World) -> None:
        self._paths = PathFinder(world)

    def plan(
        self,
        rng: random.Random,
        scenario: Scenario,
        hops: int,
        split: ArenaSplit,
        short_names: float = 0.0,
    ) -> QuestionPlan | None:
        """One plan of exactly that many hops. None if the draw led nowhere.

        `short_names`: share of the rows one call away that are called by a part of their name.
        """
        return PlanDraw(self._paths, rng, scenario, split, short_names).plan(hops)


class PlanDraw:
    """The draw of one plan. A `StepSource` for the operations."""

    def __init__(
        self,
        paths: PathFinder,
        rng: random.Random,
        scenario: Scenario,
        split: ArenaSplit,
        short_names: float,
    ) -> None:
        self.world = paths.world
        self.rng = rng
        self.numeric = paths.numeric
        self.convertible = paths.convertible
        self._paths = paths
        self._scenario = scenario
        self._split: ArenaSplit = split
        self._short_names = short_names

    def plan(self, hops: int) -> QuestionPlan | None:
        """The plan. None if the draw led nowhere."""
        match self._scenario:
            case Scenario.single_hop | Scenario.multi_hop:
                plan = self._single(self.chain(hops))
            case Scenario.parallel_single_hop:
                plan = self._parallel([1] * hops, node=self.rng.random() < 0.5)
            case Scenario.parallel_multi_hop:
                plan = self._branched(hops)
        if plan is None:
            return None
        for end in plan.ends:
            # A name or a value that is reached twice makes a question circular: "the country whose
            # capital is the capital of X", "the time zone of the largest city of the time zone of
            # X".
            reached: list[str] = []
            for step in end.walk():
                reached += [s.text for s in step.arguments.values() if isinstance(s, QuestionValue)]
                reached += [str(step.answer)] if step.kind in ("entity", "text") else []
            if len(set(reached)) < len(reached):
                return None
        return plan

    def _single(self, end: PlanStep | None) -> QuestionPlan | None:
        if end is None:
            return None
        return QuestionPlan(self._scenario, (end,), None, end.answer, self._split)

    # --- scenarios with branches ---------------------------------------------------------------

    def _branched(self, hops: int) -> QuestionPlan | None:
        shape = self.rng.choice(("fork", "tool", "tool", "node", "list"))
        if shape == "fork":
            # A chain to a row, then several facts about it.
            facts = self.rng.randint(2, max(2, min(3, hops - 1)))
            view = self.view()
            entity = self.entity(view.table.name, hops - facts)
            if not isinstance(entity, PlanStep):
                return None
            attributes = self.rng.sample(view.attributes, k=min(len(view.attributes), facts))
            ends = [LOOKUP.step(self.world, attribute, entity) for attribute in attributes]
            return self._listed(ends, facts)
        if shape == "tool":
            return self._single(self._joined_by_tool(hops))
        if shape == "node" and hops >= 4:
            return self._parallel([*self._depths(hops - 1), 1], node=True)
        depths = self._depths(hops)
        return self._parallel(depths, node=False) if max(depths) > 1 else None

    def _depths(self, total: int) -> list[int]:
        """Two or three branch depths that add up, at least one of them above 1 where possible."""
        branches = self.rng.choice((2, 3)) if total > 3 else 2
        depths = [1] * branches
        for _ in range(total - branches):
            depths[self.rng.randrange(branches)] += 1
        return depths

    def _joined_by_tool(self, hops: int) -> PlanStep | None:
        """Two branches whose results go into one more call."""
        left = self.rng.randint(1, hops - 2)
        depths = (left, hops - 1 - left)
        if self.rng.random() < 0.5:
            if not self.numeric:
                return None
            table, attribute = self.rng.choice(self.numeric)
            first, second = (self.entity(table, depth) for depth in depths)
            if not isinstance(first, PlanStep) or not isinstance(second, PlanStep):
                return None
            return COMPARE.step(self.world, attribute, first, second)
        dates = self.rng.random() < 0.3
        choices = self._paths.dated if dates else self.numeric
        if not choices:
            return None
        table, attribute = self.rng.choice(choices)
        first, second = (self.fact(table, attribute, depth) for depth in depths)
        if first is None or second is None:
            return None
        return (DAYS_BETWEEN if dates else DIFFERENCE).step(self.world, first, second)

    def _parallel(self, depths: list[int], *, node: bool) -> QuestionPlan | None:
        """Independent branches. With `node`, the last of `depths` is the answer node."""
        if not node or len(depths) < 3:
            return self._listed([self.chain(depth) for depth in depths], len(depths))
        if not self.numeric:
            return None
        table, attribute = self.rng.choice(self.numeric)
        ends = [self.fact(table, attribute, depth) for depth in depths[:-1]]
        joins: list[JoinKind] = []
        # The sum of two years means nothing, and "the larger year" is not how people ask.
        if not is_year(attribute):
            joins.extend(("maximum", "minimum"))
            if attribute.additive:
                joins.append("sum")
        if len(ends) == 2:
            joins.append("difference")
        if not joins:
            return None
        joined = self.rng.choice(joins)
        steps = [end for end in ends if end is not None]
        values = [step.answer for step in steps if isinstance(step.answer, int | float)]
        # Of equal values none is the largest, and their difference would be nothing to ask for.
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
        ((answer,),) = self.world.query(f"SELECT {expression}", tuple(values))
        answer = answer if isinstance(answer, int) else round(float(answer), 6)
        return QuestionPlan(self._scenario, tuple(steps), joined, answer, self._split)

    def _listed(self, ends: Sequence[PlanStep | None], count: int) -> QuestionPlan | None:
        """A plan that gives `count` different answers one after the other."""
        steps = [end for end in ends if end is not None and end.kind != "list"]
        answers = [step.answer for step in steps]
        if len(steps) != count or len({str(answer) for answer in answers}) != count:
            return None
        flat = tuple(answer for answer in answers if not isinstance(answer, tuple))
        return QuestionPlan(self._scenario, tuple(steps), "list", flat, self._split)

    # --- chains --------------------------------------------------------------------------------

    def chain(self, depth: int) -> PlanStep | None:
        """A chain of exactly `depth` calls. None if the draws led nowhere."""
        ends: list[TableOperation | None] = []
        for operation in OPERATIONS.values():
            if not isinstance(operation, GroupOperation):
                ends += [operation] * operation.weight(depth)
            elif None not in ends:
                # All operations on groups are drawn together: the group comes first.
                ends += [None] * GROUP_WEIGHT
        for _ in range(_CHAIN_TRIES):
            operation = self.rng.choice(ends)
            step = self._over_group(depth) if operation is None else operation.draw(self, depth)
            if step is not None:
                return step
        return None

    def _over_group(self, depth: int) -> PlanStep | None:
        """An operation on all rows of a group whose value takes `depth` - 1 calls."""
        ways = [
            (view.table.name, by)
            for view in self._paths.views
            for by in self._paths.group_attributes(view.table.name, depth)
        ]
        group_input = self._group(*self.rng.choice(ways), depth) if ways else None
        if group_input is None:
            return None
        group, value = group_input
        view = self.world.views[group.table]
        operations = [
            operation
            for operation in OPERATIONS.values()
            if isinstance(operation, GroupOperation)
            for _ in range(operation.group_weight(view))
        ]
        return self.rng.choice(operations).of_group(self, group, value)

    def fact(self, table: str, attribute: Attribute, depth: int) -> PlanStep | None:
        """An attribute of a row of the table, at the end of `depth` calls."""
        subject = self.entity(table, depth - 1)
        return None if subject is None else LOOKUP.step(self.world, attribute, subject)

    # --- rows ----------------------------------------------------------------------------------

    def view(self) -> TableView:
        """A table with named rows."""
        return self.rng.choice(self._paths.named)

    def entity(self, table: str, depth: int) -> StepInput | None:
        """A row of the table, reached by exactly `depth` calls; 0: named in the question."""
        if depth == 0:
            return self.known_entity(table)
        if depth == 1 and self._short_names and self.rng.random() < self._short_names:
            step = self._searched_row(table)
            if step is not None:
                return step
        paths = self._paths.row_paths(table, depth)
        # Tries at every level multiply, so only the last levels of a deep chain get several.
        tries = _INNER_TRIES if depth <= _MAX_RETRIED_DEPTH else 1
        for _ in range(tries if paths else 0):
            path = self.rng.choice(paths)
            match path.operation:
                case "find":
                    step = self.row_by_value(path.table, path.attribute, depth)
                case "rank":
                    group_input = self._group(path.table, path.attribute, depth)
                    step = group_input and RANK.of_group(self, *group_input)
                case "lookup":
                    step = self.fact(path.table, path.attribute, depth)
            # A row on the way is of the plan's split, too: test entities are never trained on.
            if step is not None and (
                step.entity is None
                or self.world.split_of(self.world.cluster(step.entity.table, step.entity.row))
                == self._split
            ):
                return step
        return None

    def _searched_row(self, table: str) -> PlanStep | None:
        """A row that the question calls by a part of its name. None if this one has none."""
        entity = self.world.random_entity(self.rng, table, self._split)
        if entity is None or self.world.schema.table(table).numbered:
            return None
        parts = short_names(self.world, entity)
        return SEARCH.step(self.world, entity, self.rng.choice(parts)) if parts else None

    def known_entity(self, table: str) -> QuestionValue | None:
        """A row that the question names."""
        entity = self.world.random_entity(self.rng, table, self._split)
        return entity and self._named_value(entity)

    def _named_value(self, entity: RowEntity) -> QuestionValue:
        table = self.world.schema.table(entity.table)
        number = ""
        if table.numbered and table.naming is not None:
            number = table.column(table.naming).labels.get(self.world.language) or table.naming
        shared = self.world.shares_name(entity)
        return QuestionValue(entity.name, entity, number=number, shared=shared)

    def row_by_value(self, table: str, attribute: Attribute, depth: int) -> PlanStep | None:
        """The row with a given value of a unique attribute, at the end of `depth` calls."""
        if depth == 1:
            entity = self.world.random_entity(self.rng, table, self._split)
            text = entity and self.world.row(table, entity.row)[attribute.name]
            if entity is None or not text:
                return None
            if self.world.row_with(table, attribute.name, text) != entity.row:
                return None
            return FIND.step(self.world, attribute, entity, QuestionValue(text))
        assert attribute.references is not None
        value = self.entity(attribute.references, depth - 1)
        if not isinstance(value, PlanStep) or not isinstance(value.answer, str):
            return None
        row = self.world.row_with(table, attribute.name, value.answer)
        entity = None if row is None else self.world.entity(table, row)
        return entity and FIND.step(self.world, attribute, entity, value)

    def _group(self, table: str, by: Attribute, depth: int) -> tuple[RowGroup, StepInput] | None:
        """A group of the table whose value takes `depth` - 1 calls, and that value."""
        if depth == 1:
            groups = self.world.groups[table, by.name][self._split]
            if not groups:
                return None
            group = self.rng.choice(groups)
            entity = None
            if by.references is not None and group.row is not None:
                entity = self.world.entity(by.references, group.row)
            return group, self._named_value(entity) if entity else QuestionValue(group.value)
        if by.references is None:
            value = self.fact(table, by, depth - 1)
        else:
            value = self.entity(by.references, depth - 1)
        if not isinstance(value, PlanStep):
            return None
        group = self.world.group_of(table, by.name, str(value.answer), self._split)
        return None if group is None else (group, value)
