"""How requests over a service name rows, and the calls that find them: by the filters that the
lists have, part by part."""

from __future__ import annotations

from collections.abc import Sequence

from astra.arenas.openapi.service import Endpoint, Resource
from astra.arenas.openapi.tools import ServiceToolWriter
from astra.arenas.stateful.cut import Cut, Row, rows_of
from astra.arenas.stateful.mentions import LOOKUP_DEPTH, Mentions, TaskCall
from astra.arenas.stateful.roles import WritableTable
from astra.arenas.stateful.tools import DatabaseTool
from astra.arenas.tables.sql import fold
from astra.databases import Cell
from astra.types import Json

_MAX_PARTS = 4
"""Parts of a list that are read to find a row."""


class ServiceMentions(Mentions):
    """Words for the rows of one database of a service."""

    def __init__(
        self,
        cut: Cut,
        writer: ServiceToolWriter,
        tools: Sequence[DatabaseTool],
        depth: int = LOOKUP_DEPTH,
    ) -> None:
        super().__init__(cut, writer, tools, depth)
        self._resources = writer.service.resources

    def called_by_key(self, table: WritableTable, key: Cell) -> bool:
        resource = self._resources[table.name]
        return table.naming is None or not any(
            self._given(table, resource, each, {table.naming: ""}) is not None
            for each in resource.of_kind("list")
        )

    def shows_all(self, table: WritableTable) -> bool:
        resource = self._resources[table.name]
        shown = {f.name for f in resource.fields.values() if f.shown}
        return all(shown == {*each.shown} for each in resource.of_kind("list"))

    def find(
        self, table: WritableTable, filters: dict[str, Json], keys: Sequence[Cell], text: str
    ) -> tuple[TaskCall, ...] | None:
        resource = self._resources[table.name]
        ways = [
            (each, given)
            for each in resource.of_kind("list")
            if (given := self._given(table, resource, each, filters)) is not None
        ]
        if not ways:
            return None
        endpoint, given = max(ways, key=lambda way: len(way[1]))
        rows = self._rows(resource, endpoint, given)
        if endpoint.search in given and len(rows) != len(keys):
            return None  # other names hold the same words
        wanted = [number for number, row in enumerate(rows) if row[table.key] in keys]
        return self._parts(table, endpoint, given, rows, wanted, text)

    def _given(
        self,
        table: WritableTable,
        resource: Resource,
        endpoint: Endpoint,
        filters: dict[str, Json],
    ) -> dict[str, Json] | None:
        """What a list is asked for, by column or argument. None: the rows can't be told there."""
        given: dict[str, Json] = {}
        above = set(endpoint.keys.values())
        for column, value in filters.items():
            if column in above or column in endpoint.filters:
                given[column] = value
            elif endpoint.search and column == table.naming:
                given[endpoint.search] = value
            elif column not in endpoint.shown:
                return None
        needed = endpoint.required - {
            *(a for a, c in endpoint.keys.items() if c in given),
            *(f.parameter for c, f in endpoint.filters.items() if c in given),
            *given,
        }
        return None if needed else given

    def _rows(self, resource: Resource, endpoint: Endpoint, given: dict[str, Json]) -> list[Row]:
        """The rows that a list returns, in its order."""
        words = fold(str(given.get(endpoint.search, ""))).split() if endpoint.search else []
        texts = [f.name for f in resource.fields.values() if f.kind == "text" and f.shown]
        return [
            row
            for row in rows_of(self.cut.database, resource.table)
            if all(
                name == endpoint.search or fold(str(row[name])) == fold(str(value))
                for name, value in given.items()
            )
            and all(word in fold(" ".join(str(row[t] or "") for t in texts)) for word in words)
        ]

    def _parts(
        self,
        table: WritableTable,
        endpoint: Endpoint,
        given: dict[str, Json],
        rows: list[Row],
        wanted: list[int],
        text: str,
    ) -> tuple[TaskCall, ...] | None:
        """A call for each part of a list, to the last that holds a wanted row."""
        tool = self.tools["find", table.name, endpoint.tool]
        question = self.words.find.format(row=text)
        paging = endpoint.paging
        size, sized = len(rows) or 1, dict[str, Json]()
        if paging is not None:
            size = paging.default
            if wanted[-1] >= size and paging.size and paging.most > size:
                size = min(paging.most, len(rows))
                sized = {paging.size: size}
        parts = wanted[-1] // size + 1
        if parts > _MAX_PARTS:
            return None
        calls: list[TaskCall] = []
        for part in range(parts):
            arguments = {**given, **sized}
            first = part * size
            if paging is not None and part:
                match paging.style:
                    case "page":
                        arguments[paging.position] = paging.first + part
                    case "offset":
                        arguments[paging.position] = first
                    case "cursor":
                        arguments[paging.position] = str(rows[first][table.key])
            # A row that is meant, where this part has one.
            inside = [number for number in wanted if first <= number < first + size]
            key = rows[inside[0] if inside else first][table.key]
            calls.append(TaskCall(tool, arguments, question, table.key, key, {table.key: key}))
        return tuple(calls)
