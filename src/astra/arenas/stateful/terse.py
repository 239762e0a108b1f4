"""The dial of terse documents, for tools over a database: as short as those of many real services.

What names already say is left out, and nothing else: what follows from a change, how many rows a
search returns at once, labels that a column is not called by, units and forms of dates all stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from astra.arenas.stateful.roles import WritableColumn, WritableTable
from astra.arenas.stateful.tool_source import value_kind
from astra.arenas.stateful.tools import DatabaseTool, DatabaseToolWriter
from astra.types import Json

_HEADLINES = {
    "find": ("Find {plural}, at most {most} at once", "查找{plural}，每次最多{most}条"),
    "get": ("Get a {singular}", "{singular}详情"),
    "set": ("Set the {label} of a {singular}", "修改{singular}的{label}"),
    "create": ("Create a {singular}", "新建{singular}"),
    "delete": ("Delete a {singular}", "删除{singular}"),
}
"""Operation -> what its tools do. Other tools keep their own first sentence."""


class TerseDatabaseToolWriter(DatabaseToolWriter):
    """Writes the same tools with documents that say as little as possible."""

    def _tool(
        self,
        table: WritableTable,
        operation: str,
        name: str,
        description: Sequence[str],
        properties: Mapping[str, Json],
        required: list[str],
        source: str,
        column: str = "",
        changes: set[tuple[str, str]] | None = None,
        says: tuple[str, Json] | None = None,
    ) -> DatabaseTool:
        first, *details = (_without_stop(part) for part in description)
        if operation in _HEADLINES:
            first = self.say(
                *_HEADLINES[operation],
                singular=self.singular(table),
                plural=self.plural(table),
                label=self.label(table.column(column)) if column else "",
                most=str(self.page_rows),
            )
        # How a search compares texts matters only to who writes a name otherwise than it was said.
        kept = [first, *(details[1:] if operation == "find" else details)]
        parameters: dict[str, Json] = {
            parameter: {**schema, "description": _without_stop(str(schema["description"]))}
            for parameter, schema in properties.items()
        }
        return super()._tool(
            table,
            operation,
            name,
            (self.say("; ", "；").join(kept),),
            parameters,
            required,
            source,
            column,
            changes,
            says,
        )

    def _parameter(self, table: WritableTable, column: WritableColumn) -> dict[str, Json]:
        schema = super()._parameter(table, column)
        label = self.label(column)
        if column.role in ("reference", "key"):
            other = self.tables.get(table.references.get(column.name, ""), table)
            label = self.say(
                "{singular} {key}",
                "{singular}{key}",
                singular=self.singular(other),
                key=self.label(other.column(other.key)),
            )
        return {**schema, "description": self._named(column, label)}

    def _value(self, column: WritableColumn, table: WritableTable | None = None) -> dict[str, Json]:
        schema = super()._value(column, table)
        if table is not None and column.role == "reference":
            return schema
        return {**schema, "description": self._named(column, self.label(column))}

    def _named(self, column: WritableColumn, label: str) -> str:
        """The name of a column, or its label where the name does not say it."""
        words = column.name.replace("_", " ")
        said = set(re.findall(r"[^\W_]+", label.casefold()))
        text = words if said <= set(words.casefold().split()) else label
        text = text[:1].upper() + text[1:]
        if value_kind(column) == "date":
            text += self.say(", YYYY-MM-DD", "，YYYY-MM-DD")
        unit = self.unit(column)
        return f"{text} ({unit})" if unit and value_kind(column) == "number" else text


def _without_stop(text: str) -> str:
    return text.strip().removesuffix(".").removesuffix("。")
