"""Plans decomposed questions: draws a scenario, a depth and operations, and lets DuckDB answer.

A plan is a graph of steps with a final answer. Everything is drawn from one seeded generator per
candidate, so a candidate depends on nothing but the tables, the options and its number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from astra.arenas.tables.questions.measures import is_year
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.steps import PlanStep, QuestionValue, StepBuilder, StepInput
from astra.arenas.tables.units import PARTNERS
from astra.arenas.tables.world import ArenaSplit, Attribute, RowEntity, RowGroup, TableView, World
from astra.types import Scalar, Scenario

JoinKind = Literal["list", "sum", "difference", "maximum", "minimum"]

PAPER_SHARES: dict[Scenario, float] = {
    Scenario.single_hop: 0.068,
    Scenario.parallel_single_hop: 0.106,
    Scenario.multi_hop: 0.348,
    Scenario.parallel_multi_hop: 0.478,
}
"""Shares of the four scenario types in the paper."""

FEWEST_HOPS: dict[Scenario, int] = {
    Scenario.single_hop: 1,
    Scenario.parallel_single_hop: 2,
    Scenario.multi_hop: 2,
    Scenario.parallel_multi_hop: 3,
}

_TRIES = 8
"""Draws for the last call of a chain …"""
_INNER_TRIES = 2
"""… and for each call before it: retries at every level would multiply."""


@dataclass(frozen=True, slots=True)
class QuestionPlan:
    """A decomposed question before it is put into words."""

    scenario: Scenario
    ends: tuple[PlanStep, ...]
    """The steps whose answers the main answer is made of."""
    joined: JoinKind | None
    """How an answer node combines the ends; None: one end, which is the answer. `list` is no
    node of its own: the answers are simply given one after the other."""
    answer: Scalar | tuple[Scalar, ...]
    split: ArenaSplit

    @property
    def has_answer_node(self) -> bool:
        return self.joined not in (None, "list")

    def steps(self) -> list[PlanStep]:
        """All steps, each after those it needs."""
        found: list[PlanStep] = []
        for end in self.ends:
            for step in end.walk():
                if step not in found:
                    found.append(step)
        return found

    @property
    def hops(self) -> int:
        return len(self.steps()) + self.has_answer_node


@dataclass(frozen=True, slots=True)
class RowPath:
    """One way to reach a row: an operation on a table, by an attribute."""

    kind: Literal["found", "ranked", "referred"]
    table: str
    attribute: Attribute


class Planner:
    """Draws plans over one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.operations = StepBuilder(world)
        self._views = [view for view in world.views.values() if view.table.rows > 0]
        self._named = [view for view in self._views if view.named]
        self._ways = lru_cache(maxsize=None)(self._find_ways)
        self._groupings = lru_cache(maxsize=None)(self._find_groupings)
        self._group_ways = lru_cache(maxsize=None)(self._find_group_ways)
        self._ranking = lru_cache(maxsize=None)(self._find_ranking)
        measured = [(v.table.name, a) for v in self._named for a in v.attributes]
        self._numeric = [(table, a) for table, a in measured if a.numeric]
        self._convertible = [(table, a) for table, a in self._numeric if a.unit in PARTNERS]
        self._dated = [(table, a) for table, a in measured if a.kind is ColumnKind.date]

    def plan(
        self, rng: random.Random, scenario: Scenario, hops: int, split: ArenaSplit
    ) -> QuestionPlan | None:
        """One plan of exactly that many hops; None when the draw led nowhere."""
        plan = self._drawn(rng, scenario, hops, split)
        return plan if plan is not None and not any(_comes_back(end) for end in plan.ends) else None

    def _drawn(
        self, rng: random.Random, scenario: Scenario, hops: int, split: ArenaSplit
    ) -> QuestionPlan | None:
        match scenario:
            case Scenario.single_hop:
                return self._of(scenario, self.terminal(rng, 1, split), split)
            case Scenario.multi_hop:
                return self._of(scenario, self.terminal(rng, hops, split), split)
            case Scenario.parallel_single_hop:
                return self._parallel(rng, scenario, [1] * hops, split, rng.random() < 0.5)
            case Scenario.parallel_multi_hop:
                return self._branched(rng, hops, split)

    def _of(
        self, scenario: Scenario, step: PlanStep | None, split: ArenaSplit
    ) -> QuestionPlan | None:
        return None if step is None else QuestionPlan(scenario, (step,), None, step.answer, split)

    # --- scenarios with branches ---------------------------------------------------------------

    def _branched(self, rng: random.Random, hops: int, split: ArenaSplit) -> QuestionPlan | None:
        shape = rng.choice(("fork", "tool", "tool", "node", "list"))
        scenario = Scenario.parallel_multi_hop
        if shape == "fork":
            return self._fork(rng, hops, split)
        if shape == "tool":
            return self._of(scenario, self._joined_by_tool(rng, hops, split), split)
        if shape == "node" and hops >= 4:
            depths = _depths(rng, hops - 1)
            return self._parallel(rng, scenario, [*depths, 1], split, node=True)
        depths = _depths(rng, hops)
        return self._parallel(rng, scenario, depths, split, node=False) if max(depths) > 1 else None

    def _fork(self, rng: random.Random, hops: int, split: ArenaSplit) -> QuestionPlan | None:
        """A chain to an entity, then several facts about it."""
        facts = rng.randint(2, max(2, min(3, hops - 1)))
        view = rng.choice(self._named)
        entity = self.entity(rng, view.table.name, hops - facts, split)
        if not isinstance(entity, PlanStep):
            return None
        attributes = rng.sample(list(view.attributes), k=min(len(view.attributes), facts))
        ends = [self.operations.lookup(attribute, entity) for attribute in attributes]
        return self._list(Scenario.parallel_multi_hop, ends, facts, split)

    def _joined_by_tool(self, rng: random.Random, hops: int, split: ArenaSplit) -> PlanStep | None:
        """Two branches whose results go into one more call."""
        left = rng.randint(1, hops - 2)
        depths = (left, hops - 1 - left)
        if rng.random() < 0.5:
            if not self._numeric:
                return None
            view, attribute = rng.choice(self._numeric)
            first, second = (self.entity(rng, view, depth, split) for depth in depths)
            if not isinstance(first, PlanStep) or not isinstance(second, PlanStep):
                return None
            return self.operations.compare(attribute, first, second)
        dates = rng.random() < 0.3
        choices = self._dated if dates else self._numeric
        if not choices:
            return None
        view, attribute = rng.choice(choices)
        first, second = (self._fact(rng, view, attribute, depth, split) for depth in depths)
        if first is None or second is None:
            return None
        join = self.operations.days_between if dates else self.operations.difference
        return join(first, second)

    def _parallel(
        self,
        rng: random.Random,
        scenario: Scenario,
        depths: list[int],
        split: ArenaSplit,
        node: bool,
    ) -> QuestionPlan | None:
        """Independent branches; the last of `depths` is the answer node when there is one."""
        if not node or len(depths) < 3:
            ends = [self.terminal(rng, depth, split) for depth in depths]
            return self._list(scenario, ends, len(depths), split)
        if not self._numeric:
            return None
        view, attribute = rng.choice(self._numeric)
        ends = [self._fact(rng, view, attribute, depth, split) for depth in depths[:-1]]
        joins: list[JoinKind] = []
        if not is_year(attribute):
            joins.extend(("maximum", "minimum"))
            if attribute.additive:
                joins.append("sum")
        if len(ends) == 2:
            joins.append("difference")
        if not joins:
            return None
        return self._node(scenario, ends, rng.choice(joins), split)

    def _list(
        self, scenario: Scenario, ends: Sequence[PlanStep | None], wanted: int, split: ArenaSplit
    ) -> QuestionPlan | None:
        steps = [end for end in ends if end is not None and end.kind != "list"]
        answers = [step.answer for step in steps]
        if len(steps) != wanted or len({str(answer) for answer in answers}) != wanted:
            return None
        flat = tuple(answer for answer in answers if not isinstance(answer, tuple))
        return QuestionPlan(scenario, tuple(steps), "list", flat, split)

    def _node(
        self,
        scenario: Scenario,
        ends: Sequence[PlanStep | None],
        joined: JoinKind,
        split: ArenaSplit,
    ) -> QuestionPlan | None:
        steps = [end for end in ends if end is not None]
        values = [step.answer for step in steps if isinstance(step.answer, int | float)]
        if len(values) != len(ends) or len(steps) != len(ends) or len(set(values)) != len(values):
            return None
        if joined == "difference" and values[0] < values[1]:
            steps.reverse()
            values.reverse()
        expression = {
            "sum": " + ".join("?" * len(values)),
            "difference": "? - ?",
            "maximum": f"greatest({', '.join('?' * len(values))})",
            "minimum": f"least({', '.join('?' * len(values))})",
        }[joined]
        ((answer,),) = self.world.ask(f"SELECT {expression}", values)
        answer = answer if isinstance(answer, int) else round(float(answer), 6)
        return QuestionPlan(scenario, tuple(steps), joined, answer, split)

    # --- chains --------------------------------------------------------------------------------

    def terminal(self, rng: random.Random, depth: int, split: ArenaSplit) -> PlanStep | None:
        """A chain of exactly `depth` calls that ends in some answer."""
        makers = [self._any_lookup] * 4 + [self._grouped] * 5
        if depth == 1:
            makers += [self._any_find, self._any_compare]
        else:
            makers += [self._converted]
        for _ in range(_TRIES):
            step = rng.choice(makers)(rng, depth, split)
            if step is not None:
                return step
        return None

    def _any_lookup(self, rng: random.Random, depth: int, split: ArenaSplit) -> PlanStep | None:
        view = self._draw(rng)
        if not view.attributes:
            return None
        return self._fact(rng, view.table.name, rng.choice(view.attributes), depth, split)

    def _fact(
        self, rng: random.Random, table: str, attribute: Attribute, depth: int, split: ArenaSplit
    ) -> PlanStep | None:
        subject = self.entity(rng, table, depth - 1, split)
        return None if subject is None else self.operations.lookup(attribute, subject)

    def _any_find(self, rng: random.Random, depth: int, split: ArenaSplit) -> PlanStep | None:
        del depth
        view = self._draw(rng)
        unique = [a for a in view.attributes if a.unique]
        return self._found(rng, view.table.name, rng.choice(unique), 1, split) if unique else None

    def _any_compare(self, rng: random.Random, depth: int, split: ArenaSplit) -> PlanStep | None:
        del depth
        if not self._numeric:
            return None
        table, attribute = rng.choice(self._numeric)
        first, second = (self._known(rng, table, split) for _ in range(2))
        if first is None or second is None:
            return None
        return self.operations.compare(attribute, first, second)

    def _converted(self, rng: random.Random, depth: int, split: ArenaSplit) -> PlanStep | None:
        if not self._convertible:
            return None
        table, attribute = rng.choice(self._convertible)
        fact = self._fact(rng, table, attribute, depth - 1, split)
        if fact is None or fact.unit not in PARTNERS:
            return None
        return self.operations.convert(fact, rng.choice(PARTNERS[fact.unit]))

    def _grouped(self, rng: random.Random, depth: int, split: ArenaSplit) -> PlanStep | None:
        """An operation on all rows of one group."""
        ways = self._group_ways(depth)
        drawn = self._group(rng, *rng.choice(ways), depth, split) if ways else None
        if drawn is None:
            return None
        group, subject = drawn
        view = self.world.views[group.table]
        numeric = [attribute for attribute in view.attributes if attribute.numeric]
        ranked = self._ranking(group.table)
        operations = ["count"]
        if numeric:
            operations += ["aggregate", "aggregate", "count above"]
        if view.named:
            operations += ["list"]
            operations += ["rank"] * 3 if ranked else []
            operations += ["filter"] * 2 if numeric else []
        match rng.choice(operations):
            case "count":
                return self.operations.count(group, subject, None, rng)
            case "count above":
                return self.operations.count(group, subject, rng.choice(numeric), rng)
            case "aggregate":
                attribute = rng.choice(numeric)
                functions = ["maximum", "minimum"]
                functions += ["mean"] * 2 if attribute.averageable else []
                functions += ["sum"] if attribute.additive else []
                return self.operations.aggregate(group, subject, attribute, rng.choice(functions))
            case "list":
                return self.operations.list(group, subject)
            case "filter":
                return self.operations.filter(group, subject, rng.choice(numeric), rng)
            case _:
                order = rng.choice(("highest", "lowest"))
                return self.operations.rank(group, subject, rng.choice(ranked), order)

    def _find_group_ways(self, depth: int) -> tuple[tuple[str, Attribute], ...]:
        return tuple(
            (view.table.name, by)
            for view in self._views
            for by in self._groupings(view.table.name, depth)
        )

    # --- subjects ------------------------------------------------------------------------------

    def entity(
        self, rng: random.Random, table: str, depth: int, split: ArenaSplit
    ) -> StepInput | None:
        """A row of the table, reached by exactly `depth` calls; 0: named in the question."""
        if depth == 0:
            return self._known(rng, table, split)
        ways = self._ways(table, depth)
        for _ in range(_INNER_TRIES if ways else 0):
            step = self._follow(rng, rng.choice(ways), depth, split)
            if step is not None and self._in_split(step, split):
                return step
        return None

    def _find_ways(self, table: str, depth: int) -> tuple[RowPath, ...]:
        """The ways that lead to a row of the table in `depth` calls, as far as the schema tells.
        Each kind of way is repeated to about the same number, so that none crowds out others."""
        view = self.world.views[table]
        found = [
            RowPath("found", table, a)
            for a in view.attributes
            if a.unique
            and (depth == 1 or (a.references and self._reached(a.references, depth - 1)))
        ]
        ranked = [RowPath("ranked", table, by) for by in self._groupings(table, depth)]
        referred = [
            RowPath("referred", other.table.name, a)
            for other in self._named
            for a in other.attributes
            if a.references == table and self._reached(other.table.name, depth - 1)
        ]
        kinds = [found, ranked if self._ranking(table) else [], referred]
        most = max(map(len, kinds))
        return tuple(way for ways in kinds if ways for way in ways * -(-most // len(ways)))

    def _reached(self, table: str, depth: int) -> bool:
        return self.world.views[table].named and (depth == 0 or bool(self._ways(table, depth)))

    def _find_groupings(self, table: str, depth: int) -> tuple[Attribute, ...]:
        """Attributes of the table to group by whose value takes `depth` - 1 calls to find."""
        view = self.world.views[table]
        return tuple(
            a
            for a in view.attributes
            if a.groups
            and (
                depth == 1
                or (a.references and self._reached(a.references, depth - 1))
                or (not a.references and depth > 1 and self._reached(table, depth - 2))
            )
        )

    def _find_ranking(self, table: str) -> tuple[Attribute, ...]:
        view = self.world.views[table]
        return tuple(a for a in view.attributes if a.numeric or a.kind is ColumnKind.date)

    def _follow(
        self, rng: random.Random, way: RowPath, depth: int, split: ArenaSplit
    ) -> PlanStep | None:
        match way.kind:
            case "found":
                return self._found(rng, way.table, way.attribute, depth, split)
            case "ranked":
                drawn = self._group(rng, way.table, way.attribute, depth, split)
                if drawn is None:
                    return None
                order = rng.choice(("highest", "lowest"))
                return self.operations.rank(*drawn, rng.choice(self._ranking(way.table)), order)
            case "referred":
                return self._fact(rng, way.table, way.attribute, depth, split)

    def _known(self, rng: random.Random, table: str, split: ArenaSplit) -> QuestionValue | None:
        entity = self.world.random_entity(rng, table, split)
        return None if entity is None else self._name(entity)

    def _name(self, entity: RowEntity) -> QuestionValue:
        return QuestionValue(entity.name, entity, self.world.shares_name(entity))

    def _found(
        self, rng: random.Random, table: str, attribute: Attribute, depth: int, split: ArenaSplit
    ) -> PlanStep | None:
        """The row with a given value of a unique attribute."""
        if depth == 1:
            entity = self.world.random_entity(rng, table, split)
            value = entity and self.world.row(table, entity.row)[attribute.name]
            if entity is None or not value:
                return None
            if self.world.row_with(table, attribute.name, value) != entity.row:
                return None
            return self.operations.find(table, attribute, entity, QuestionValue(value))
        assert attribute.references is not None
        subject = self.entity(rng, attribute.references, depth - 1, split)
        if not isinstance(subject, PlanStep) or not isinstance(subject.answer, str):
            return None
        row = self.world.row_with(table, attribute.name, subject.answer)
        entity = None if row is None else self.world.entity(table, row)
        return entity and self.operations.find(table, attribute, entity, subject)

    def _group(
        self, rng: random.Random, table: str, by: Attribute, depth: int, split: ArenaSplit
    ) -> tuple[RowGroup, StepInput] | None:
        """A group of the table whose value takes `depth` - 1 calls to find."""
        if depth == 1:
            groups = self.world.groups[table, by.name][split]
            if not groups:
                return None
            group = rng.choice(groups)
            entity = self._group_entity(group, by)
            return group, QuestionValue(group.value) if entity is None else self._name(entity)
        if by.references is None:
            subject = self._fact(rng, table, by, depth - 1, split)
            group = subject and self.world.group_of(table, by.name, str(subject.answer), split)
        else:
            source = self.entity(rng, by.references, depth - 1, split)
            subject = source if isinstance(source, PlanStep) else None
            group = subject and self.world.group_of(table, by.name, str(subject.answer), split)
        return None if group is None or subject is None else (group, subject)

    def _group_entity(self, group: RowGroup, attribute: Attribute) -> RowEntity | None:
        if attribute.references is None or group.row is None:
            return None
        return self.world.entity(attribute.references, group.row)

    def _in_split(self, step: PlanStep, split: ArenaSplit) -> bool:
        if step.entity is None:
            return True
        cluster = self.world.cluster(step.entity.table, step.entity.row)
        return self.world.split_of(cluster) == split

    def _draw(self, rng: random.Random) -> TableView:
        return rng.choice(self._named)


def _comes_back(end: PlanStep) -> bool:
    """Whether a name or a value is reached twice, as in "the country whose capital is the capital
    of X" or "the time zone of the largest city of the time zone of X"."""
    reached: list[str] = []
    for step in end.walk():
        reached += [s.text for s in step.arguments.values() if isinstance(s, QuestionValue)]
        reached += [str(step.answer)] if step.kind in ("entity", "text") else []
    return len(set(reached)) < len(reached)


def _depths(rng: random.Random, total: int) -> list[int]:
    """Two or three branch depths, at least one above 1 where possible, that add up."""
    parts = rng.choice((2, 3)) if total > 3 else 2
    depths = [1] * parts
    for _ in range(total - parts):
        depths[rng.randrange(parts)] += 1
    return depths
