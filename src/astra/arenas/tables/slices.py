"""The part of a table that one tool holds."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.steps import PlanStep
from astra.arenas.tables.units import UNITS, units_like
from astra.arenas.tables.views import ArenaSplit, Attribute, RowGroup
from astra.arenas.tables.world import World
from astra.types import Json, Language

MIN_OTHER_ROWS = 5
"""Rows besides those asked for; with fewer, the question has too few wrong answers."""
MAX_OTHER_ROWS = 10
MAX_OTHER_GROUPS = 5
MAX_OTHER_ATTRIBUTES = 4


@dataclass(slots=True)
class TableSlice:
    """Rows, groups and attributes of one table, or conversion factors."""

    attributes: tuple[Attribute, ...] = ()
    by: tuple[Attribute, ...] = ()
    """Attributes that the groups are formed by."""
    rows: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    groups: list[RowGroup] = field(default_factory=list[RowGroup])
    translations: dict[str, str] = field(default_factory=dict[str, str])
    languages: tuple[Language, ...] = ()
    """Languages that `translations` leads to."""
    factors: dict[str, Json] = field(default_factory=dict[str, Json])

    def data(
        self,
        entity: str,
        options: Sequence[str],
        *,
        whole: bool = False,
        numbered: bool = False,
        beside: Sequence[str] = (),
    ) -> dict[str, Json]:
        """The `DATA` of the tool's source. `entity`: field that holds a row's name.

        `whole`: say which attributes are whole numbers. `numbered`: rows are called by a number.
        `beside`: attributes that are returned with every other.
        """
        columns = [*self.attributes, *(a for a in self.by if a not in self.attributes)]
        data: dict[str, Json] = {}
        if self.rows:
            data["rows"] = [
                ({entity: as_number(row["__name"], numbered)} if entity else {})
                | {a.name: as_number(row[a.name], a.numbered) for a in columns}
                for row in self.rows
            ]
            data["units"] = {a.name: a.unit for a in columns if a.unit}
            if whole:
                data["whole"] = [a.name for a in columns if a.kind is ColumnKind.integer]
            if beside:
                data |= {"order": [a.name for a in columns], "beside": [*beside]}
            if "format" in options:
                data["labels"] = {a.name: a.label for a in columns}
        if self.groups:
            data["groups"] = {
                a.name: [
                    as_number(g.value, a.numbered) for g in self.groups if g.attribute == a.name
                ]
                for a in self.by
            }
        if "unit" in options:
            units = [UNITS[symbol] for symbol in self.convertible_units()]
            data["factors"] = {unit.symbol: [unit.quantity, unit.factor] for unit in units}
        if self.factors:
            data["factors"] = self.factors
        if "language" in options:
            data["translations"] = self.translations
        return data

    def convertible_units(self) -> list[str]:
        """Units that the attributes' values can be given in, sorted."""
        units = (units_like(a.unit) for a in self.attributes if a.unit in UNITS)
        return sorted({symbol for symbols in units for symbol in symbols})


def as_number(value: Json, numbered: bool) -> Json:
    """The value as tools and calls have it: identifying numbers are kept as texts here."""
    return int(value) if numbered and isinstance(value, str) else value


class TableSlicer:
    """Draws the slices of one arena's tools, all of one split.

    `translated`: the same world in another language, if any.
    """

    def __init__(
        self,
        world: World,
        translated: World | None,
        split: ArenaSplit,
        rng: random.Random,
        other_attributes: int = MAX_OTHER_ATTRIBUTES,
    ) -> None:
        """`other_attributes`: most attributes of a slice beside those that are asked for."""
        self.world = world
        self._other_attributes = other_attributes
        self._split: ArenaSplit = split
        self._rng = rng
        self._translated = translated

    def of_rows(
        self, steps: Sequence[PlanStep], fits: Callable[[Attribute], bool]
    ) -> TableSlice | None:
        """The steps' rows among others. None if the split has too few others."""
        table = steps[0].table
        needed = sorted({row for step in steps for row in step.rows})
        pool = self.world.entities[table][self._split]
        # Some draws may be needed rows, so as many more are drawn.
        drawn = self._rng.sample(pool, k=min(len(pool), MAX_OTHER_ROWS + len(needed)))
        others = [row for row in drawn if row not in needed][:MAX_OTHER_ROWS]
        if len(others) < MIN_OTHER_ROWS:
            return None
        return TableSlice(
            attributes=self._attributes(steps, fits),
            rows=[self.world.row(table, row) for row in sorted([*needed, *others])],
        )

    def of_groups(
        self, steps: Sequence[PlanStep], fits: Callable[[Attribute], bool]
    ) -> TableSlice | None:
        """The steps' groups among others. None if the split has no others."""
        table = steps[0].table
        view = self.world.views[table]
        groups: list[RowGroup] = []
        for step in steps:
            groups += [group for group in step.groups if group not in groups]
        held = sum(group.size for group in groups)
        for attribute in {group.attribute: None for group in groups}:
            pool = self.world.groups[table, attribute][self._split]
            added = 0
            for group in self._rng.sample(pool, k=min(len(pool), 4 * MAX_OTHER_GROUPS)):
                if added == MAX_OTHER_GROUPS or held + group.size > self.world.max_rows * 2:
                    continue
                if group in groups or (view.named and self.world.member_names(group) is None):
                    continue
                groups.append(group)
                held += group.size
                added += 1
            if not added:
                return None
        rows = {row["__row"]: row for group in groups for row in self.world.members(group)}
        return TableSlice(
            attributes=self._attributes(steps, fits),
            by=tuple(a for a in view.attributes if any(g.attribute == a.name for g in groups)),
            rows=[rows[number] for number in sorted(rows)],
            groups=sorted(groups, key=lambda group: (group.attribute, group.value)),
        )

    def _attributes(
        self, steps: Sequence[PlanStep], fits: Callable[[Attribute], bool]
    ) -> tuple[Attribute, ...]:
        """The steps' attributes and some others that fit, in column order."""
        attributes = self.world.views[steps[0].table].attributes
        needed = [step.attribute for step in steps if step.attribute is not None]
        others = [a for a in attributes if a not in needed and fits(a)]
        chosen = needed + self._rng.sample(others, k=min(len(others), self._other_attributes))
        return tuple(a for a in attributes if a in chosen)

    def translate(self, slice_: TableSlice, table: str) -> None:
        """Add the texts of the slice in the other language, where they differ."""
        if self._translated is None:
            return
        for row in slice_.rows:
            other_row = self._translated.row(table, row["__row"])
            for attribute in slice_.attributes:
                text, other = row[attribute.name], other_row.get(attribute.name)
                if isinstance(text, str) and isinstance(other, str) and text != other:
                    slice_.translations[text] = other
        slice_.languages = (self._translated.language,)
