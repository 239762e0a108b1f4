"""Which rows and groups a tool holds, and which other calls it answers (decoys)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.steps import PlanStep, StepBuilder
from astra.arenas.tables.units import UNITS, of_quantity
from astra.arenas.tables.world import ArenaSplit, Attribute, RowGroup, World
from astra.types import Json, Language

OTHER_ROWS = 10
OTHER_GROUPS = 5
OTHER_ATTRIBUTES = 4
MOST_DECOYS = 6


@dataclass(slots=True)
class TableSlice:
    """The part of a table that one tool holds."""

    attributes: tuple[Attribute, ...] = ()
    by: tuple[Attribute, ...] = ()
    rows: list[dict[str, Json]] = field(default_factory=list)
    groups: list[RowGroup] = field(default_factory=list)
    translations: dict[str, str] = field(default_factory=dict)
    languages: tuple[Language, ...] = ()
    factors: dict[str, Json] = field(default_factory=dict)

    def data(self, entity: str, options: Sequence[str]) -> dict[str, Json]:
        """What the tool's source finds in `DATA`."""
        columns = [*self.attributes, *(a for a in self.by if a not in self.attributes)]
        data: dict[str, Json] = {}
        if self.rows:
            names = {entity: "__name"} if entity else {}
            data["rows"] = [
                {key: row[source] for key, source in names.items()}
                | {a.name: row[a.name] for a in columns}
                for row in self.rows
            ]
            data["units"] = {a.name: a.unit for a in columns if a.unit}
            if "format" in options:
                data["labels"] = {a.name: a.label for a in columns}
        if self.groups:
            data["groups"] = {
                a.name: [g.value for g in self.groups if g.attribute == a.name] for a in self.by
            }
        if "unit" in options:
            symbols = {s for a in self.attributes if a.unit in UNITS for s in of_quantity(a.unit)}
            data["factors"] = {s: [UNITS[s].quantity, UNITS[s].factor] for s in sorted(symbols)}
        if self.factors:
            data["factors"] = self.factors
        if "language" in options:
            data["translations"] = self.translations
        return data


class TableSlicer:
    """Draws slices of one world."""

    def __init__(self, world: World, sisters: dict[Language, World]) -> None:
        self.world = world
        self.sisters = sisters
        self.operations = StepBuilder(world)

    def slice(
        self,
        operation: str,
        table: str,
        steps: Sequence[PlanStep],
        split: ArenaSplit,
        rng: random.Random,
    ) -> TableSlice | None:
        """The rows for a job; None when the split has too few others to hide among."""
        if operation == "convert":
            return TableSlice(factors=of_quantity(str(steps[0].arguments["from_unit"])))
        if operation in ("difference", "days_between"):
            return TableSlice()
        if operation in ("lookup", "find", "compare"):
            return self._of_rows(operation, table, steps, split, rng)
        return self._of_groups(operation, table, steps, split, rng)

    def _attributes(
        self, operation: str, table: str, steps: Sequence[PlanStep], rng: random.Random
    ) -> tuple[Attribute, ...]:
        """Those asked for and some others of the kind that the operation takes, in column order."""
        view = self.world.views[table]
        needed = [step.attribute for step in steps if step.attribute is not None]
        if operation in ("list", "count"):
            return ()
        able = [a for a in view.attributes if a not in needed and _fits(operation, a)]
        chosen = needed + rng.sample(able, k=min(len(able), OTHER_ATTRIBUTES))
        return tuple(a for a in view.attributes if a in chosen)

    def _of_rows(
        self,
        operation: str,
        table: str,
        steps: Sequence[PlanStep],
        split: ArenaSplit,
        rng: random.Random,
    ) -> TableSlice | None:
        needed = sorted({row for step in steps for row in step.rows})
        pool = self.world.entities[table][split]
        drawn = rng.sample(pool, k=min(len(pool), OTHER_ROWS + len(needed)))
        others = [row for row in drawn if row not in needed][:OTHER_ROWS]
        if len(others) < 5:
            return None
        attributes = self._attributes(operation, table, steps, rng)
        numbers = sorted([*needed, *others])
        rows = [self.world.row(table, row) for row in numbers]
        slice_ = TableSlice(attributes=attributes, rows=rows)
        if operation == "lookup":
            self._translate(slice_, table, numbers)
        return slice_

    def _translate(self, slice_: TableSlice, table: str, numbers: Sequence[int]) -> None:
        """Texts of the slice in the run's other languages, where every text has one."""
        for language, sister in self.sisters.items():
            for mine, number in zip(slice_.rows, numbers, strict=True):
                theirs = sister.row(table, number)
                for attribute in slice_.attributes:
                    text, other = mine[attribute.name], theirs.get(attribute.name)
                    if isinstance(text, str) and isinstance(other, str) and text != other:
                        slice_.translations[text] = other
            slice_.languages = (language,)
            break

    def _of_groups(
        self,
        operation: str,
        table: str,
        steps: Sequence[PlanStep],
        split: ArenaSplit,
        rng: random.Random,
    ) -> TableSlice | None:
        groups: list[RowGroup] = []
        for step in steps:
            groups += [group for group in step.groups if group not in groups]
        held = sum(group.size for group in groups)
        for attribute in {group.attribute: None for group in groups}:
            pool = self.world.groups[table, attribute][split]
            added = 0
            for group in rng.sample(pool, k=min(len(pool), 4 * OTHER_GROUPS)):
                if added == OTHER_GROUPS or held + group.size > self.world.max_rows * 2:
                    continue
                if group in groups or (self.world.views[table].named and not self._clear(group)):
                    continue
                groups.append(group)
                held += group.size
                added += 1
            if not added:
                return None
        by = tuple(
            a
            for a in self.world.views[table].attributes
            if any(g.attribute == a.name for g in groups)
        )
        rows = {row["__row"]: row for group in groups for row in self.world.members(group)}
        return TableSlice(
            attributes=self._attributes(operation, table, steps, rng),
            by=by,
            rows=[rows[number] for number in sorted(rows)],
            groups=sorted(groups, key=lambda group: (group.attribute, group.value)),
        )

    def _clear(self, group: RowGroup) -> bool:
        return self.operations.names(group) is not None

    # --- decoys ------------------------------------------------------------------------------

    def decoys(
        self, step: PlanStep, slice_: TableSlice, rng: random.Random
    ) -> tuple[dict[str, Json], ...] | None:
        """Arguments of other calls that the tool answers; None when none has another answer."""
        gold = step.call_arguments()
        found = [args for args in self._candidates(step, slice_, gold) if args != gold]
        unique = list({str(sorted(args.items())): args for args in found}.values())
        # Keep the first: it is known to have another answer.
        rest = rng.sample(unique[1:], k=min(len(unique) - 1, MOST_DECOYS - 1)) if unique else []
        return (unique[0], *rest) if unique else None

    def _candidates(
        self, step: PlanStep, slice_: TableSlice, gold: dict[str, Json]
    ) -> list[dict[str, Json]]:
        match step.operation:
            case "lookup":
                return self._other_lookups(step, slice_, gold)
            case "find":
                name = step.attribute.name if step.attribute else ""
                return [
                    gold | {"value": row[name]}
                    for row in slice_.rows
                    if row[name] is not None and row[name] != gold["value"]
                ]
            case "compare":
                return self._other_pairs(step, slice_, gold)
            case "difference":
                a, b = gold["minuend"], gold["subtrahend"]
                return [
                    {"minuend": x, "subtrahend": y}
                    for x, y in ((a + 7, b), (a, b + 11), (b, a), (a * 2, b), (a + b, b), (a, a))
                ]
            case "days_between":
                return [
                    gold | {"start": _shift(gold["start"], days)} for days in (-400, -30, -7, 1)
                ] + [gold | {"end": _shift(gold["end"], days)} for days in (-2, 15, 365)]
            case "convert":
                value = gold["value"]
                others = [
                    u for u in slice_.factors if u not in (gold["from_unit"], gold["to_unit"])
                ]
                return [gold | {"value": v} for v in (value + 13, value * 3, value / 2)] + [
                    gold | {"to_unit": unit} for unit in others[:3]
                ]
            case _:
                return self._other_groups(step, slice_, gold)

    def _other_lookups(
        self, step: PlanStep, slice_: TableSlice, gold: dict[str, Json]
    ) -> list[dict[str, Json]]:
        assert step.attribute is not None
        name = step.attribute.name
        parameter = self.operations.parameter(step.table)
        rows = [
            row for row in slice_.rows if row[name] is not None and row["__name"] != gold[parameter]
        ]
        rows.sort(key=lambda row: row[name] == step.answer)
        if not rows or rows[0][name] == step.answer:
            return []
        return [gold | {parameter: row["__name"]} for row in rows]

    def _other_pairs(
        self, step: PlanStep, slice_: TableSlice, gold: dict[str, Json]
    ) -> list[dict[str, Json]]:
        assert step.attribute is not None
        names = [row["__name"] for row in slice_.rows if row[step.attribute.name] is not None]
        pairs = [gold | {"first": gold["second"], "second": gold["first"]}]
        pairs += [gold | {"second": name} for name in names if name != gold["first"]]
        pairs += [gold | {"first": name} for name in names if name != gold["second"]]
        return pairs

    def _other_groups(
        self, step: PlanStep, slice_: TableSlice, gold: dict[str, Json]
    ) -> list[dict[str, Json]]:
        groups = [
            group
            for group in slice_.groups
            if group.attribute == gold["by"] and group.value != gold["value"]
        ]
        if step.operation == "count":
            groups.sort(key=lambda group: group.size == step.answer)
            if not groups or groups[0].size == step.answer:
                return []
        others = [gold | {"value": group.value} for group in groups]
        flips = {"highest": "lowest", "lowest": "highest", "above": "below", "below": "above"}
        flips |= {"sum": "mean", "mean": "sum", "minimum": "maximum", "maximum": "minimum"}
        turned = [
            gold | {name: flips[value]}
            for name, value in gold.items()
            if name in ("order", "comparison", "function") and value in flips
        ]
        asked = [
            gold | {"attribute": attribute.name}
            for attribute in slice_.attributes
            if "attribute" in gold and attribute.name != gold["attribute"]
        ]
        return [*turned, *others, *asked]


def _fits(operation: str, attribute: Attribute) -> bool:
    match operation:
        case "find":
            return attribute.unique
        case "rank":
            return attribute.numeric or attribute.kind is ColumnKind.date
        case "filter" | "count_where" | "aggregate" | "compare":
            return attribute.numeric
        case _:
            return True


def _shift(day: str, days: int) -> str:
    """A day so much later; earlier by as much where the calendar ends."""
    start, by = date.fromisoformat(day), timedelta(days=days)
    fits = date.min.toordinal() <= start.toordinal() + days <= date.max.toordinal()
    return (start + by if fits else start - by).isoformat()
