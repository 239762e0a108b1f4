"""New values for columns, and the calls and statements that write them."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from astra.arenas.stateful.cut import Row, rows_of
from astra.arenas.stateful.expected import SqlStatement
from astra.arenas.stateful.mentions import Mentions, TaskCall
from astra.arenas.stateful.roles import WritableColumn, WritableTable, is_final
from astra.arenas.stateful.tool_source import dates_set_with, shown_row
from astra.arenas.stateful.words import quote
from astra.arenas.stateful.writes import settable
from astra.arenas.tables.load.names import identifier
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import LONGEST_VALUE, quoted
from astra.databases import Cell
from astra.types import Json

_STATES = re.compile(
    r"(?:^| )(?:\w+ed|paid|active|available|public|private|complete|visible|hidden|open|urgent"
    r"|vip|only|taxable|free|sold|online|ready|optional|mandatory)$"
)
"""Labels of flags that say how a row is, rather than what it has."""


@dataclass(frozen=True, slots=True)
class NewValue:
    """A value for a column of a row."""

    column: WritableColumn
    stored: Cell
    shown: Json
    text: str
    verb: str = ""
    """What is done to the row, where a tool of its own does it: "cancel"."""


def address_words(name: str) -> list[str]:
    """The words of a name as they stand in an address: Jörg O'Brien is jorg, obrien."""
    spoken = name.casefold().replace("'", "").replace("’", "")
    bare = identifier(spoken, fallback="", ascii_letters=True)
    return re.findall(r"[a-z]+", bare) if bare.isascii() else []


class NewValues:
    """Values that requests ask for, over one database."""

    def __init__(self, mentions: Mentions) -> None:
        self._mentions = mentions
        self._cut = mentions.cut
        self._words = mentions.words
        self._columns: dict[str, list[WritableColumn]] = {}
        self._day = datetime.date.fromisoformat(mentions.cut.now[:10])

    def columns(self, table: WritableTable) -> list[WritableColumn]:
        """The columns that a tool sets."""
        columns = self._columns.get(table.name)
        if columns is None:
            tools, actions = self._mentions.tools, self._mentions.actions
            columns = self._columns[table.name] = [
                column
                for column in table.columns
                if ("set", table.name, column.name) in tools
                or any((table.name, column.name, choice) in actions for choice in column.choices)
            ]
        return columns

    def draw(
        self,
        table: WritableTable,
        key: Cell,
        column: WritableColumn,
        rng: random.Random,
        beside: Mapping[str, Cell] = MappingProxyType({}),
    ) -> NewValue | None:
        """A new value for a column of a row. None if there is none to be had.

        `beside`: values of a new row that take the place of those of the row.
        """
        row = {**self._mentions.row(table.name, key), **beside}
        old, kind = row[column.name], column.column.kind
        if column.role == "choice":
            options = settable(table, column)
            if old not in options or (column == table.status and is_final(str(old))):
                return None
            others = [
                choice
                for choice in options
                if choice != old and self._mentions.setter(table.name, column.name, choice)
            ]
            if not others:
                return None
            value = rng.choice(others)
            tool = self._mentions.setter(table.name, column.name, value)
            verb = "" if tool is None else tool.verb
            return NewValue(column, value, value, quote(self._words, value), verb)
        if column.role == "flag":
            new = not old
            text = self._words.true if new else self._words.false
            return NewValue(column, int(new), new, text)
        if kind is ColumnKind.date:
            day = (self._day + datetime.timedelta(days=rng.randint(3, 90))).isoformat()
            return None if day == old else NewValue(column, day, day, day)
        spare = [v for v in self._cut.spare.get((table.name, column.name), ()) if v != old]
        if column.role == "number":
            if not isinstance(old, int):
                return None
            # Near the old one: nobody asks for a lamp at the price of a wardrobe.
            stored = round(old * rng.uniform(0.7, 1.3)) if old >= 10 else old + rng.randint(1, 3)
            if stored == old or not column.allows(stored):
                return None
            shown = shown_row(table, {column.name: stored})[column.name]
            text, unit = column.spoken(stored), column.column.unit
            return NewValue(column, stored, shown, f"{text} {unit}" if unit else text)
        texts = [v for v in spare if isinstance(v, str) and len(v) <= LONGEST_VALUE]
        if not texts:
            return None
        text = rng.choice(texts)
        if "@" in text:
            address = self._address(table, row, text)
            if address is None:
                return None
            text = address
        return NewValue(column, text, text, quote(self._words, text))

    def now(self, table: WritableTable, key: Cell, column: WritableColumn) -> NewValue | None:
        """The value that a column of a row has, as one that could be written again."""
        stored = self._mentions.row(table.name, key)[column.name]
        if stored is None:
            return None
        shown = shown_row(table, {column.name: stored})[column.name]
        return NewValue(column, stored, shown, quote(self._words, str(shown)))

    def _address(self, table: WritableTable, row: Row, other: str) -> str | None:
        """An e-mail address that the named row could have, at the host of another's."""
        if table.naming is None:
            return None
        words = address_words(str(row[table.naming]))
        host = other.partition("@")[2]
        address = f"{'.'.join(words[::-1])}@{host}"
        taken = any(address in held.values() for held in rows_of(self._cut.database, table.name))
        return None if not words or not host or taken else address

    def frames(self, change: NewValue) -> tuple[Sequence[str], str]:
        """Frames of a sentence that asks for a change, and of a clause about the row at hand."""
        words = self._words
        if change.verb:
            return words.act, words.act_clause
        if change.column.role != "flag":
            return words.set, words.clause
        if _STATES.search(self._mentions.writer.label(change.column)):
            return (
                (words.mark, words.mark_clause)
                if change.stored
                else (words.unmark, words.unmark_clause)
            )
        return (words.on, words.on_clause) if change.stored else (words.off, words.off_clause)

    def write(
        self, table: WritableTable, key: Cell, change: NewValue, question: str
    ) -> tuple[TaskCall, tuple[SqlStatement, ...]]:
        """The call that sets a value, and its statements."""
        column = change.column
        tool = self._mentions.setter(table.name, column.name, change.stored)
        assert tool is not None
        old = shown_row(table, self._mentions.row(table.name, key))
        arguments: dict[str, Json] = {table.key: key}
        if tool.operation == "set":
            arguments |= {name: old[name] for name in tool.brings} | {column.name: change.shown}
        answer, where = ((column.name, change.shown), {table.key: key})
        if tool.says is not None:
            answer, where = tool.says, {}
        changed = {column.name, *(other.name for other, _ in dates_set_with(table, column))}
        changes = frozenset((table.name, name) for name in changed)
        call = TaskCall(tool, arguments, question, *answer, where, changes)
        return call, self.statements(table, key, change)

    def statements(
        self, table: WritableTable, key: Cell, change: NewValue
    ) -> tuple[SqlStatement, ...]:
        """What sets a value in a row, with the dates that follow it."""
        column, name = change.column, quoted(table.name)
        where = f"WHERE {quoted(table.key)} = ?"
        sql = f"UPDATE {name} SET {quoted(column.name)} = ? {where}"
        statements = [SqlStatement(table.name, sql, [change.stored, key])]
        for other in table.columns:
            if other.set_with is None or other.set_with[0] != column.name:
                continue
            if other.column.kind is not ColumnKind.date:
                continue
            old = self._mentions.row(table.name, key)[column.name]
            values = other.set_with[1]
            if change.stored in values and old in values:
                continue
            day = self._cut.now[:10] if change.stored in values else None
            sql = f"UPDATE {name} SET {quoted(other.name)} = ? {where}"
            statements.append(SqlStatement(table.name, sql, [day, key]))
        return tuple(statements)
