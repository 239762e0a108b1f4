"""What arenas are drawn over: tables with their tools, and databases that are cut from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

from astra.arenas.difficulty import NO_DIALS, ActionDials
from astra.arenas.stateful.cut import Cut, TableRows
from astra.arenas.stateful.expected import ExpectedChanges
from astra.arenas.stateful.mentions import LOOKUP_DEPTH, Mentions
from astra.arenas.stateful.operations.base import TaskParts
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.stateful.other_units import smaller_unit
from astra.arenas.stateful.policy.apply import PoliciesOfDatabase
from astra.arenas.stateful.roles import WritableTable
from astra.arenas.stateful.terse import TerseDatabaseToolWriter
from astra.arenas.stateful.tools import MAX_FOUND, DatabaseTool, DatabaseToolWriter
from astra.arenas.tables.schema import Schema
from astra.types import Json, Language


class MakesMentions(Protocol):
    """Makes the words for the rows of one database."""

    def __call__(
        self, cut: Cut, writer: Any, tools: Sequence[DatabaseTool], depth: int
    ) -> Mentions: ...


@dataclass(frozen=True, slots=True)
class StateWorld:
    """What arenas of one language are drawn over."""

    rows: TableRows
    writer: DatabaseToolWriter
    tools: Sequence[DatabaseTool]
    """One entry for each thing that a tool does: several may be the same tool."""
    mentions: MakesMentions = Mentions
    dialled: Callable[[ActionDials], StateWorld] | None = None
    """The same with tools as dials have them. None: the tools are as a document has them."""


def world_of_tables(rows: TableRows, schema: Schema, language: Language) -> StateWorld:
    """What arenas are drawn over a user's tables."""

    @cache
    def made(terse: bool, page_rows: int, long_results: int, other_units: bool) -> StateWorld:
        kind = TerseDatabaseToolWriter if terse else DatabaseToolWriter
        tables = [_in_other_units(t) if other_units else t for t in rows.tables.values()]
        writer = kind(schema, tables, language, page_rows, long_results)
        return StateWorld(rows, writer, writer.all(), dialled=dialled)

    def dialled(dials: ActionDials) -> StateWorld:
        rows_at_once = dials.page_rows or MAX_FOUND
        return made(dials.terse_documents, rows_at_once, dials.long_results, dials.other_units)

    return dialled(NO_DIALS)


def _in_other_units(table: WritableTable) -> WritableTable:
    """The table with numbers shown in the smaller unit, where that holds them exactly."""
    columns = [
        replace(column, other_unit=smaller_unit(column.column.unit, column.scale))
        if column.role == "number"
        else column
        for column in table.columns
    ]
    return replace(table, columns=tuple(columns))


@dataclass(frozen=True, slots=True)
class DatabaseView:
    """What is drawn over a cut, by some dials."""

    parts: TaskParts
    tools: list[DatabaseTool]
    policies: PoliciesOfDatabase | None


@dataclass(frozen=True, slots=True)
class WorldDatabase:
    """A cut, which several arenas are drawn over."""

    language: Language
    world: StateWorld
    cut: Cut
    expected: ExpectedChanges
    _views: dict[Json, DatabaseView] = field(default_factory=dict[Json, DatabaseView])

    def view(self, options: StateSourceOptions) -> DatabaseView:
        """What is drawn over it for some options."""
        dials, ruled = options.dials, options.service_policy
        tools = (dials.terse_documents, dials.page_rows, dials.long_results, dials.other_units)
        kept = (*tools, dials.lookup_depth, ruled)
        if kept not in self._views:
            world = self.world
            if world.dialled is not None:
                world = world.dialled(dials)
            depth = LOOKUP_DEPTH if dials.lookup_depth is None else dials.lookup_depth
            mentions = world.mentions(self.cut, world.writer, world.tools, depth)
            self._views[kept] = DatabaseView(
                TaskParts(mentions),
                list({tool.tool.name: tool for tool in world.tools}.values()),
                PoliciesOfDatabase(mentions) if ruled else None,
            )
        return self._views[kept]
