"""Which calls can lead to a row, a group or a number, by the schema alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from astra.arenas.tables.caching import cached_method
from astra.arenas.tables.operations.base import TableAttribute
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.units import UNITS
from astra.arenas.tables.views import Attribute
from astra.arenas.tables.world import World


@dataclass(frozen=True, slots=True)
class RowPath:
    """A last call that leads to a row: an operation on a table, by an attribute."""

    operation: Literal["find", "rank", "lookup"]
    table: str
    attribute: Attribute


class PathFinder:
    """The tables, attributes and paths of one world that plans can be built on."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.views = [view for view in world.views.values() if view.table.rows > 0]
        self.named = [view for view in self.views if view.named]
        attributes = [(v.table.name, a) for v in self.named for a in v.attributes]
        numeric = [(table, a) for table, a in attributes if a.numeric]
        self.numeric: Sequence[TableAttribute] = numeric
        self.convertible: Sequence[TableAttribute] = [x for x in numeric if x[1].unit in UNITS]
        self.dated: Sequence[TableAttribute] = [
            (table, a) for table, a in attributes if a.kind is ColumnKind.date
        ]

    @cached_method()
    def row_paths(self, table: str, depth: int) -> tuple[RowPath, ...]:
        """Paths that may lead to a row of the table in `depth` calls."""
        view = self.world.views[table]
        by_value = [
            RowPath("find", table, a)
            for a in view.attributes
            if a.unique
            and (depth == 1 or (a.references and self._reachable(a.references, depth - 1)))
        ]
        ranked = [RowPath("rank", table, by) for by in self.group_attributes(table, depth)]
        referenced = [
            RowPath("lookup", other.table.name, a)
            for other in self.named
            for a in other.attributes
            if a.references == table and self._reachable(other.table.name, depth - 1)
        ]
        kinds = [by_value, ranked if view.rankable else [], referenced]
        # Repeat each kind to about the same number, so that none crowds out the others.
        most = max(map(len, kinds))
        return tuple(path for paths in kinds if paths for path in paths * -(-most // len(paths)))

    def _reachable(self, table: str, depth: int) -> bool:
        return self.world.views[table].named and (depth == 0 or bool(self.row_paths(table, depth)))

    @cached_method()
    def group_attributes(self, table: str, depth: int) -> tuple[Attribute, ...]:
        """Attributes to group the table by whose value takes `depth` - 1 calls."""
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
