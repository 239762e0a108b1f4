"""How requests name rows: by what identifies them and nothing else in the database."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from astra.arenas.stateful.cut import Cut, Row, rows_of
from astra.arenas.stateful.roles import WritableTable
from astra.arenas.stateful.tools import DatabaseTool, DatabaseToolWriter
from astra.arenas.stateful.words import WORDS, named, quote
from astra.arenas.tables.sql import LONGEST_VALUE, fold
from astra.databases import Cell
from astra.types import Json


@dataclass(frozen=True, slots=True)
class TaskCall:
    """A gold call: what it does in words, and what its result holds."""

    tool: DatabaseTool
    arguments: dict[str, Json]
    question: str
    result_field: str
    answer: Json
    key: dict[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class Mention:
    """A row as a request speaks of it, and the reads that lead to it."""

    text: str
    calls: tuple[TaskCall, ...] = ()
    read: bool = False
    """Whether the calls return the row itself."""
    relies_on: frozenset[tuple[str, str]] = frozenset()
    """Table and column of what its words are true by; the column "" stands for the rows there are.
    """


class Mentions:
    """Words for the rows of one database."""

    def __init__(self, cut: Cut, writer: DatabaseToolWriter, tools: Sequence[DatabaseTool]) -> None:
        self.cut = cut
        self.writer = writer
        self.tables = writer.tables
        self.words = WORDS[writer.language]
        self.tools = {(tool.operation, tool.table, tool.column): tool for tool in tools}

    def row(self, table: str, key: Cell) -> Row:
        return self.cut.database.table(table).rows_by_key[key]

    def of(
        self, table: WritableTable, key: Cell, rng: random.Random, depth: int = 2
    ) -> Mention | None:
        """Words for a row that fit no other row of the database."""
        ways: list[Callable[[], Mention | None]] = []
        if depth and table.references:
            ways += [lambda: self._by_parent(table, key, rng, depth)] * 2
        if table.naming is not None:
            ways += [lambda: self._by_name(table, key)] * 2
        elif isinstance(key, str):
            ways.append(lambda: self._by_key(table, key))
        rng.shuffle(ways)
        for way in ways:
            if (mention := way()) is not None:
                return mention
        return None

    def _by_key(self, table: WritableTable, key: Cell) -> Mention:
        return Mention(named(self.words.by_key, self.writer.singular(table), str(key)))

    def _by_name(self, table: WritableTable, key: Cell) -> Mention | None:
        assert table.naming is not None
        name = self.row(table.name, key)[table.naming]
        rows = list(rows_of(self.cut.database, table.name))
        alike = [row for row in rows if fold(str(row[table.naming])) == fold(str(name))]
        if not isinstance(name, str) or len(name) > LONGEST_VALUE or len(alike) != 1:
            return None
        singular = self.writer.singular(table)
        # "North Quay Depot" is a name that says by itself what it names; so does 北码头仓库.
        frame = "{value}" if fold(singular) in fold(name) else self.words.by_name
        text = named(frame, singular, name)
        call = self.find(table, {table.naming: name}, key, text)
        relies_on = frozenset({(table.name, table.naming), (table.name, "")})
        return Mention(text, (call,), True, relies_on)

    def _by_parent(
        self, table: WritableTable, key: Cell, rng: random.Random, depth: int
    ) -> Mention | None:
        """The one row of a parent, or the one that also has some value."""
        row = self.row(table.name, key)
        references = self.owners(table, row)
        if not references:
            return None
        column = rng.choice(references)
        parent_table = self.tables[table.references[column]]
        parent = self.of(parent_table, row[column], rng, depth - 1)
        if parent is None:
            return None
        singular = self.writer.singular(table)
        siblings = [
            other
            for other in rows_of(self.cut.database, table.name)
            if other[column] == row[column]
        ]
        filters: dict[str, Json] = {column: row[column]}
        text = self.words.by_parent.format(singular=singular, parent=parent.text)
        if len(siblings) > 1:
            choices = [
                c
                for c in table.columns
                if c.role == "choice"
                and sum(other[c.name] == row[c.name] for other in siblings) == 1
            ]
            if not choices:
                return None
            choice = rng.choice(choices)
            filters[choice.name] = row[choice.name]
            text = self.words.by_parent_and.format(
                singular=singular,
                parent=parent.text,
                label=self.writer.label(choice),
                value=quote(self.words, str(row[choice.name])),
            )
        relies_on = {(table.name, name) for name in ("", *filters)}
        calls = (*parent.calls, self.find(table, filters, key, text))
        return Mention(text, calls, True, parent.relies_on | relies_on)

    def owners(self, table: WritableTable, row: Row) -> list[str]:
        """Columns by which a row belongs to another."""
        return [
            column
            for column, parent in table.references.items()
            if row[column] is not None
            and table.owner(column, self.writer.noun(self.tables[parent]))
        ]

    def find(
        self, table: WritableTable, filters: dict[str, Json], key: Cell, text: str
    ) -> TaskCall:
        question = self.words.find.format(row=text)
        tool = self.tools["find", table.name, ""]
        return TaskCall(tool, filters, question, table.key, key)
