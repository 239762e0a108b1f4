"""What the tables of a database, their columns and their tools are called."""

from __future__ import annotations

from collections.abc import Iterable

from astra.arenas.stateful.names import LONGEST_TOOL
from astra.arenas.stateful.roles import WritableColumn, WritableTable
from astra.arenas.tables.load.names import unique
from astra.arenas.tables.naming import ascii_identifier, row_noun
from astra.arenas.tables.schema import Schema
from astra.types import Language


class TableWords:
    """What tables, columns and tools are called in one language."""

    def __init__(self, schema: Schema, tables: Iterable[WritableTable], language: Language) -> None:
        self.tables = {table.name: table for table in tables}
        self.language: Language = language
        self._nouns: dict[str, str] = {}
        for table in self.tables.values():
            noun = row_noun(schema, schema.table(table.name))
            # An order of `order` and one of `orders`.
            noun = noun if noun not in self._nouns.values() else ascii_identifier(table.name)
            self._nouns[table.name] = unique(noun or "record", self._nouns.values())
        self._names: dict[tuple[str, str, str], str] = {}

    def noun(self, table: WritableTable) -> str:
        """One row in names of tools."""
        return self._nouns[table.name]

    def nouns(self, table: WritableTable) -> str:
        """Several rows in names of tools and results."""
        plural = ascii_identifier(table.table.plural.get("en", ""))
        fits = plural and plural not in (*self._nouns.values(), "total")
        return plural if fits else f"{self.noun(table)}_list"

    def tool_name(self, operation: str, table: WritableTable, column: str = "") -> str:
        """The name of a tool, which no other has: the status of an order line is not the line
        status of an order."""
        what = self.nouns(table) if operation == "find" else self.noun(table)
        key = (operation, table.name, column)
        if key not in self._names:
            whole = "_".join(part for part in (operation, what, column) if part)
            name = whole[:LONGEST_TOOL].rstrip("_")
            if name in self._names.values():
                name = unique(name[: LONGEST_TOOL - 3], self._names.values())
            self._names[key] = name
        return self._names[key]

    def singular(self, table: WritableTable) -> str:
        return table.table.singular.get(self.language) or table.name

    def plural(self, table: WritableTable) -> str:
        return table.table.plural.get(self.language) or table.name

    def label(self, column: WritableColumn) -> str:
        """What a column is called beside the name of its table: the status of an order."""
        label = column.column.labels.get(self.language) or column.name.replace("_", " ")
        for table in self.tables.values():
            if column in table.columns:
                singular = self.singular(table)
                shorter = label.removeprefix(singular)
                # "returned product" does not begin with the noun "return".
                whole = self.language == "zh" or not shorter[:1].isalnum()
                return (shorter.strip() if whole else "") or label
        return label

    def say(self, english: str, chinese: str, **words: str) -> str:
        """The text of the language, filled in."""
        return (english if self.language == "en" else chinese).format(**words)
