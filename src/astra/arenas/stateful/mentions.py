"""How requests name rows: by what identifies them and nothing else in the database."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from astra.arenas.stateful.cut import Cut, Row, rows_of
from astra.arenas.stateful.roles import WritableTable
from astra.arenas.stateful.tool_source import shown_row
from astra.arenas.stateful.tools import DatabaseTool, DatabaseToolWriter
from astra.arenas.stateful.words import WORDS, named, quote, spoken_name
from astra.arenas.tables.sql import LONGEST_VALUE, fold
from astra.databases import Cell
from astra.types import Json

LOOKUP_DEPTH = 2
"""Most other rows by which a row is named: "the ticket of the customer of …"."""
_LONG_WAY = 8
"""How much more often than by its own name or key a row is named by others, where `depth` is
raised."""


@dataclass(frozen=True, slots=True)
class TaskCall:
    """A gold call: what it does in words, and what its result holds."""

    tool: DatabaseTool
    arguments: dict[str, Json]
    question: str
    result_field: str
    answer: Json
    key: dict[str, Json] = field(default_factory=dict[str, Json])
    changes: frozenset[tuple[str, str]] | None = None
    """Table and column of what it changes. None: whatever its tool may change."""

    def repeats(self, other: TaskCall) -> bool:
        """Whether a call is made already: a list that was read for another row shows this, too."""
        same = self.tool.tool.name == other.tool.tool.name
        return same and self.arguments == other.arguments


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

    def __init__(
        self,
        cut: Cut,
        writer: DatabaseToolWriter,
        tools: Sequence[DatabaseTool],
        depth: int = LOOKUP_DEPTH,
    ) -> None:
        """`depth`: most other rows by which a row is named."""
        self.cut = cut
        self.depth = depth
        self.writer = writer
        self.tables = writer.tables
        self.words = WORDS[writer.language]
        self._names: dict[str, Counter[str]] = {}
        """Table -> how many rows have a name, as it is looked up."""
        self.tools = {(tool.operation, tool.table, tool.column): tool for tool in tools}
        self.actions = {(t.table, t.column, t.value): t for t in tools if t.operation == "act"}

    def row(self, table: str, key: Cell) -> Row:
        return self.cut.database.table(table).rows_by_key[key]

    def setter(self, table: str, column: str, value: Json) -> DatabaseTool | None:
        """The tool that sets a column to a value: to any, or to this alone."""
        return self.tools.get(("set", table, column)) or self.actions.get((table, column, value))

    def called_by_key(self, table: WritableTable, key: Cell) -> bool:
        """Whether requests call a row by its key."""
        return table.naming is None and isinstance(key, str)

    def shows_all(self, table: WritableTable) -> bool:
        """Whether the rows that are found are shown as a whole."""
        return True

    def of(
        self, table: WritableTable, key: Cell, rng: random.Random, depth: int | None = None
    ) -> Mention | None:
        """Words for a row that fit no other row of the database. `depth`: None: the most."""
        steps = self.depth if depth is None else depth
        ways: list[Callable[[], Mention | None]] = []
        if steps and table.references:
            often = 2 if self.depth <= LOOKUP_DEPTH else _LONG_WAY
            ways += [lambda: self._by_parent(table, key, rng, steps)] * often
        if table.naming is not None:
            ways += [lambda: self._by_name(table, key)] * 2
        if self.called_by_key(table, key):
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
        names = self._names.get(table.name)
        if names is None:
            rows = rows_of(self.cut.database, table.name)
            names = Counter(fold(str(row[table.naming])) for row in rows)
            self._names[table.name] = names
        alike = names[fold(str(name))]
        if not isinstance(name, str) or len(name) > LONGEST_VALUE or alike != 1:
            return None
        singular = self.writer.singular(table)
        # "North Quay Depot" is a name that says by itself what it names; so does 北码头仓库.
        frame = "{value}" if fold(singular) in fold(name) else self.words.by_name
        text = named(frame, singular, spoken_name(self.words, name))
        calls = self.find(table, {table.naming: name}, [key], text)
        if calls is None:
            return None
        relies_on = frozenset({(table.name, table.naming), (table.name, "")})
        return Mention(text, calls, self.shows_all(table), relies_on)

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
        calls = self.find(table, filters, [key], text)
        if calls is None:
            return None
        relies_on = parent.relies_on | {(table.name, name) for name in ("", *filters)}
        return Mention(text, (*parent.calls, *calls), self.shows_all(table), relies_on)

    def owners(self, table: WritableTable, row: Row) -> list[str]:
        """Columns by which a row belongs to another."""
        return [
            column
            for column, parent in table.references.items()
            if row[column] is not None
            and table.owner(column, self.writer.noun(self.tables[parent]))
        ]

    def find(
        self, table: WritableTable, filters: dict[str, Json], keys: Sequence[Cell], text: str
    ) -> tuple[TaskCall, ...] | None:
        """The calls that find rows by values of theirs. None: no tool does.

        `keys`: of all rows that have these values.
        """
        question = self.words.find.format(row=text)
        tool, rows = self.tools["find", table.name, ""], self.writer.page_rows
        calls: list[TaskCall] = []
        for skip in range(0, len(keys), rows):
            given = {**filters, "skip": skip} if skip else filters
            key = keys[skip]
            calls.append(TaskCall(tool, given, question, table.key, key, {table.key: key}))
        return tuple(calls)

    def look(
        self, table: WritableTable, key: Cell, column: str, mention: Mention
    ) -> tuple[TaskCall, ...] | None:
        """A look at a column of a row, where finding it did not show it. None: no tool shows it."""
        if mention.read:
            return ()
        tool = self.tools.get(("get", table.name, ""))
        if tool is None:
            return None
        value = shown_row(table, {column: self.row(table.name, key)[column]})
        question = self.words.read.format(row=mention.text)
        arguments: dict[str, Json] = {table.key: key}
        return (TaskCall(tool, arguments, question, column, value[column], {table.key: key}),)
