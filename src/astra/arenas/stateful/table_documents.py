"""What documents of tools over a database say of values and rows, and what stands beside rows."""

from __future__ import annotations

from collections.abc import Iterable

from astra.arenas.stateful.roles import WritableColumn, WritableTable
from astra.arenas.stateful.table_words import TableWords
from astra.arenas.stateful.tool_source import shown_columns, value_kind
from astra.arenas.tables.schema import ColumnKind, Schema
from astra.types import Json, Language


class TableDocuments(TableWords):
    """Documents in one language for all tables of a schema."""

    def __init__(
        self,
        schema: Schema,
        tables: Iterable[WritableTable],
        language: Language,
        long_results: int = 0,
    ) -> None:
        """`long_results`: rows of other tables that a read returns beside what it is asked for."""
        super().__init__(schema, tables, language)
        self.long_results = long_results

    def unit(self, column: WritableColumn) -> str:
        """The unit that tools give and take a column in, with what it is."""
        own, other = column.column.unit or "", column.other_unit
        if other is None:
            return own
        return self.say(
            "in {name}, {each} to the {own}",
            "单位为{name}，{each}{name}合1{own}",
            name=other.names[self.language],
            each=str(other.each),
            own=own,
        )

    def units(self, table: WritableTable) -> tuple[str, ...]:
        """What a document says of the units of a row's numbers, where they are not the usual."""
        said = [
            f"{self.label(column)} ({self.unit(column)})"
            for column in table.columns
            if column.other_unit is not None
        ]
        if not said:
            return ()
        return (self.say(" Units: {what}.", "单位：{what}。", what="; ".join(said)),)

    def included(self) -> tuple[str, ...]:
        """What a document says of the rows beside those that are asked for."""
        if not self.long_results:
            return ()
        text = self.say(
            " What other records go with them stands in included.",
            "相关的其他记录列在included中。",
        )
        return (text,)

    def around(self, table: WritableTable) -> dict[str, object]:
        """What a template needs to include the rows that go with those of a table."""
        if not self.long_results:
            return {"included": 0}
        tables = {
            name: (self.nouns(other), other.key, shown_columns(other))
            for name, other in self.tables.items()
        }
        links = [
            (name, column, parent, self.tables[parent].key)
            for name, other in self.tables.items()
            for column, parent in other.references.items()
        ]
        return {"included": self.long_results, "around": tables, "links": links}

    def _parameter(self, table: WritableTable, column: WritableColumn) -> dict[str, Json]:
        """The document of a parameter that chooses rows."""
        if column.role == "choice":
            return self._value(column)
        other = self.tables.get(table.references.get(column.name, ""), table)
        label = self.label(other.column(other.key))
        if column.role in ("reference", "key"):
            text = self.say(
                "{label} of the {singular}, as the tools return it.",
                "{singular}的{label}，以工具返回的为准。",
                # In Chinese this changes nothing.
                label=label[:1].upper() + label[1:],
                singular=self.singular(other),
            )
        else:
            text = self.say("Its {label}.", "{label}。", label=self.label(column))
        integer = column.column.kind is ColumnKind.integer
        return {"type": "integer" if integer else "string", "description": text}

    def _value(self, column: WritableColumn, table: WritableTable | None = None) -> dict[str, Json]:
        """The document of a parameter that is written."""
        if table is not None and column.role == "reference":
            return self._parameter(table, column)
        label = self.label(column)
        schema: dict[str, Json] = {"description": self.say("The {l}.", "{l}。", l=label)}
        match value_kind(column):
            case "choice":
                return {"type": "string", "enum": list(column.choices), **schema}
            case "date":
                text = self.say("The {l}, as YYYY-MM-DD.", "{l}，格式为YYYY-MM-DD。", l=label)
                return {"type": "string", "description": text}
            case "flag":
                return {"type": "boolean", **schema}
            case "number":
                unit = f" ({self.unit(column)})" if column.column.unit else ""
                kind = "number" if column.shown_scale else "integer"
                text = self.say("The {l}{u}.", "{l}{u}。", l=label, u=unit)
                return {"type": kind, "minimum": 0, "description": text}
            case _:
                return {"type": "string", **schema}
