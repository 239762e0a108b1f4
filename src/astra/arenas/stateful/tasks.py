"""What a user may ask for: changes of single rows, of several, on a condition, new rows, transfers.

A task is drawn from one database. Its words name rows by what identifies them, its calls look them
up and change them, and its statements say in SQL what has to come out.
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from astra.arenas.stateful.cut import Cut, Row, rows_of
from astra.arenas.stateful.expected import Statement
from astra.arenas.stateful.roles import WritableColumn, WritableTable, is_final
from astra.arenas.stateful.tools import (
    TODAY,
    DatabaseTool,
    DatabaseToolWriter,
    can_create,
    creation,
    settable,
    shown_row,
    stock_pair,
)
from astra.arenas.stateful.words import WORDS
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import LONGEST_VALUE, fold, quoted
from astra.databases import Cell
from astra.sandbox.database_image import next_key
from astra.types import Json

_MAX_BULK = 6
_TRIES = 30
_CODE = re.compile(r"[\w./@:+-]+", re.ASCII)


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


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that a request asks for."""

    kind: str
    text: str
    calls: tuple[TaskCall, ...]
    goals: tuple[tuple[str, tuple[Statement, ...]], ...]
    """What is asked for in words, and the statements that bring it about: one a goal."""
    rows: frozenset[tuple[str, Cell]]
    """Rows that it changes."""
    relies_on: frozenset[tuple[str, str]]
    """As of a mention: what its words and conditions are true by."""

    @property
    def changes(self) -> frozenset[tuple[str, str]]:
        """Table and column of what it changes; "" for rows that come."""
        return frozenset(change for call in self.calls for change in call.tool.changes)

    def apart_from(self, other: Task) -> bool:
        """Whether both can be done in either order, and the words of each stay true."""
        return not (
            self.rows & other.rows
            or self.changes & other.relies_on
            or self.relies_on & other.changes
            or self.kind == other.kind == "create"
        )


@dataclass(frozen=True, slots=True)
class _Change:
    """A value for a column of a row."""

    column: WritableColumn
    stored: Cell
    shown: Json
    text: str


class TaskDraw:
    """Draws tasks over one database."""

    def __init__(self, cut: Cut, writer: DatabaseToolWriter, tools: Sequence[DatabaseTool]) -> None:
        self._cut = cut
        self._writer = writer
        self._tables = writer.tables
        self._words = WORDS[writer.language]
        self._tools = {(tool.operation, tool.table, tool.column): tool for tool in tools}
        self._day = datetime.date.fromisoformat(cut.now[:10])
        self._kinds: dict[str, Callable[[random.Random], Task | None]] = {
            "update": self._update,
            "conditional": self._conditional,
            "create": self._create,
            "transfer": self._transfer,
            "bulk": self._bulk,
        }

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of tasks, by name."""
        return tuple(self._kinds)

    def draw(self, kind: str, rng: random.Random) -> Task | None:
        """A task of a kind. None if the database has none to offer in some tries."""
        for _ in range(_TRIES):
            if (task := self._kinds[kind](rng)) is not None:
                return task
        return None

    # --- rows --------------------------------------------------------------------------------

    def _row(self, table: str, key: Cell) -> Row:
        return self._cut.database.table(table).rows_by_key[key]

    def _target(
        self, rng: random.Random, fits: Callable[[WritableTable], bool]
    ) -> tuple[WritableTable, Cell] | None:
        """A row that may be changed, of a table that fits."""
        tables = [t for t in self._tables.values() if fits(t) and self._cut.targets[t.name]]
        if not tables:
            return None
        table = rng.choice(tables)
        return table, rng.choice(self._cut.targets[table.name])

    def _mention(
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
        text = self._words.by_key.format(singular=self._writer.singular(table), value=key)
        return Mention(text)

    def _by_name(self, table: WritableTable, key: Cell) -> Mention | None:
        assert table.naming is not None
        name = self._row(table.name, key)[table.naming]
        rows = list(rows_of(self._cut.database, table.name))
        alike = [row for row in rows if fold(str(row[table.naming])) == fold(str(name))]
        if not isinstance(name, str) or len(name) > LONGEST_VALUE or len(alike) != 1:
            return None
        text = self._words.by_name.format(singular=self._writer.singular(table), value=name)
        call = self._find(table, {table.naming: name}, key, text)
        relies_on = frozenset({(table.name, table.naming), (table.name, "")})
        return Mention(text, (call,), True, relies_on)

    def _by_parent(
        self, table: WritableTable, key: Cell, rng: random.Random, depth: int
    ) -> Mention | None:
        """The one row of a parent, or the one that also has some value."""
        row = self._row(table.name, key)
        references = self._owners(table, row)
        if not references:
            return None
        column = rng.choice(references)
        parent_table = self._tables[table.references[column]]
        parent = self._mention(parent_table, row[column], rng, depth - 1)
        if parent is None:
            return None
        singular = self._writer.singular(table)
        siblings = [
            other
            for other in rows_of(self._cut.database, table.name)
            if other[column] == row[column]
        ]
        filters: dict[str, Json] = {column: row[column]}
        text = self._words.by_parent.format(singular=singular, parent=parent.text)
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
            text = self._words.by_parent_and.format(
                singular=singular,
                parent=parent.text,
                label=self._writer.label(choice),
                value=self._quote(str(row[choice.name])),
            )
        relies_on = {(table.name, name) for name in ("", *filters)}
        calls = (*parent.calls, self._find(table, filters, key, text))
        return Mention(text, calls, True, parent.relies_on | relies_on)

    def _owners(self, table: WritableTable, row: Row) -> list[str]:
        """Columns by which a row belongs to another."""
        return [
            column
            for column, parent in table.references.items()
            if row[column] is not None
            and table.owner(column, self._writer.noun(self._tables[parent]))
        ]

    def _find(
        self, table: WritableTable, filters: dict[str, Json], key: Cell, text: str
    ) -> TaskCall:
        question = self._words.find.format(row=text)
        tool = self._tools["find", table.name, ""]
        return TaskCall(tool, filters, question, table.key, key)

    # --- values ------------------------------------------------------------------------------

    def _quote(self, text: str) -> str:
        return text if _CODE.fullmatch(text) else self._words.quoted.format(text=text)

    def _change(
        self, table: WritableTable, key: Cell, column: WritableColumn, rng: random.Random
    ) -> _Change | None:
        """A new value for a column of a row. None if there is none to be had."""
        row = self._row(table.name, key)
        old, kind = row[column.name], column.column.kind
        if column.role == "choice":
            options = settable(table, column)
            if old not in options or (column == table.status and is_final(str(old))):
                return None
            others = [choice for choice in options if choice != old]
            if not others:
                return None
            value = rng.choice(others)
            return _Change(column, value, value, self._quote(value))
        if column.role == "flag":
            new = not old
            text = self._words.true if new else self._words.false
            return _Change(column, int(new), new, text)
        if kind is ColumnKind.date:
            day = (self._day + datetime.timedelta(days=rng.randint(3, 90))).isoformat()
            return None if day == old else _Change(column, day, day, day)
        spare = [v for v in self._cut.spare.get((table.name, column.name), ()) if v != old]
        if column.role == "number":
            assert isinstance(old, int)
            step = 10**column.scale
            stored = rng.choice(spare) if spare else old + step * rng.randint(1, 12)
            assert isinstance(stored, int)
            shown = shown_row(table, {column.name: stored})[column.name]
            unit = column.column.unit
            text = f"{shown:.{column.scale}f}" if column.scale else str(shown)
            return _Change(column, stored, shown, f"{text} {unit}" if unit else text)
        texts = [v for v in spare if isinstance(v, str) and len(v) <= LONGEST_VALUE]
        if not texts:
            return None
        text = rng.choice(texts)
        if "@" in text:
            address = self._address(table, row, text)
            if address is None:
                return None
            text = address
        return _Change(column, text, text, self._quote(text))

    def _address(self, table: WritableTable, row: Row, other: str) -> str | None:
        """An e-mail address that the named row could have, at the host of another's."""
        if table.naming is None:
            return None
        words = re.findall(r"[a-z]+", str(row[table.naming]).lower())
        host = other.partition("@")[2]
        address = f"{'.'.join(words[::-1])}@{host}"
        taken = any(address in held.values() for held in rows_of(self._cut.database, table.name))
        return None if not words or not host or taken else address

    def _write(
        self, table: WritableTable, key: Cell, change: _Change, question: str
    ) -> tuple[TaskCall, tuple[Statement, ...]]:
        """The call that makes a change, and its statements."""
        column, name = change.column, quoted(table.name)
        tool = self._tools["set", table.name, column.name]
        arguments: dict[str, Json] = {table.key: key, column.name: change.shown}
        call = TaskCall(tool, arguments, question, column.name, change.shown, {table.key: key})
        where = f"WHERE {quoted(table.key)} = ?"
        statements: list[Statement] = [
            (f"UPDATE {name} SET {quoted(column.name)} = ? {where}", [change.stored, key])
        ]
        for other in table.columns:
            if other.set_with is None or other.set_with[0] != column.name:
                continue
            if other.column.kind is not ColumnKind.date:
                continue
            old = self._row(table.name, key)[column.name]
            values = other.set_with[1]
            if change.stored in values and old in values:
                continue
            day = self._cut.now[:10] if change.stored in values else None
            statements.append((f"UPDATE {name} SET {quoted(other.name)} = ? {where}", [day, key]))
        return call, tuple(statements)

    # --- kinds -------------------------------------------------------------------------------

    def _settable(self, table: WritableTable) -> list[WritableColumn]:
        return [c for c in table.columns if ("set", table.name, c.name) in self._tools]

    def _update(self, rng: random.Random) -> Task | None:
        found = self._target(rng, lambda table: bool(self._settable(table)))
        if found is None:
            return None
        table, key = found
        mention = self._mention(table, key, rng)
        change = self._change(table, key, rng.choice(self._settable(table)), rng)
        if mention is None or change is None or self._gives_away(mention, change):
            return None
        frames = self._words.set
        if change.column.role == "flag":
            frames = self._words.on if change.stored else self._words.off
        text = rng.choice(frames).format(
            label=self._writer.label(change.column), row=mention.text, value=change.text
        )
        call, statements = self._write(table, key, change, text)
        return Task(
            "update",
            text,
            (*mention.calls, call),
            ((text, statements),),
            frozenset({(table.name, key)}),
            mention.relies_on,
        )

    def _gives_away(self, mention: Mention, change: _Change) -> bool:
        """Whether the words for the row use the column that is to change."""
        label = self._writer.label(change.column)
        return f"whose {label} is" in mention.text or f"名下{label}为" in mention.text

    def _conditional(self, rng: random.Random) -> Task | None:
        found = self._target(rng, lambda table: len(self._settable(table)) >= 2)
        if found is None:
            return None
        table, key = found
        mention = self._mention(table, key, rng)
        tested = [
            c for c in table.columns if c.role in ("choice", "number") and c.name != table.stock
        ]
        if mention is None or not tested:
            return None
        column = rng.choice(tested)
        if f"whose {self._writer.label(column)} is" in mention.text:
            return None
        condition = self._condition(table, key, column, mention, rng)
        columns = [c for c in self._settable(table) if c.name != column.name]
        if condition is None or len(columns) < 2:
            return None
        text, holds = condition
        changes = [self._change(table, key, c, rng) for c in rng.sample(columns, 2)]
        first, second = changes
        if first is None or second is None:
            return None
        clauses = [
            self._words.clause.format(label=self._writer.label(c.column), value=c.text)
            for c in (first, second)
        ]
        request = rng.choice(self._words.conditional).format(
            condition=text, first=clauses[0], second=clauses[1]
        )
        chosen = first if holds else second
        call, statements = self._write(table, key, chosen, clauses[0 if holds else 1])
        return Task(
            "conditional",
            request,
            (*mention.calls, *self._look(table, key, column, mention), call),
            ((request, statements),),
            frozenset({(table.name, key)}),
            mention.relies_on | {(table.name, column.name)},
        )

    def _look(
        self, table: WritableTable, key: Cell, column: WritableColumn, mention: Mention
    ) -> tuple[TaskCall, ...]:
        """A look at the row, where finding it did not show it."""
        if mention.read:
            return ()
        value = shown_row(table, {column.name: self._row(table.name, key)[column.name]})
        question = self._words.read.format(row=mention.text)
        tool = self._tools["get", table.name, ""]
        arguments: dict[str, Json] = {table.key: key}
        return (
            TaskCall(tool, arguments, question, column.name, value[column.name], {table.key: key}),
        )

    def _condition(
        self,
        table: WritableTable,
        key: Cell,
        column: WritableColumn,
        mention: Mention,
        rng: random.Random,
    ) -> tuple[str, bool] | None:
        """A condition on a row in words, and whether it holds: half of them do."""
        value = self._row(table.name, key)[column.name]
        label, holds = self._writer.label(column), rng.random() < 0.5
        if column.role == "choice":
            others = [choice for choice in column.choices if choice != value]
            said = str(value if holds else rng.choice(others))
            text = self._words.is_choice.format(
                label=label, row=mention.text, value=self._quote(said)
            )
            return text, holds
        if not isinstance(value, int) or value < 10:
            return None
        # Well off the boundary, so that no reading of "above" decides.
        limit = round(value * (rng.uniform(0.5, 0.9) if holds else rng.uniform(1.1, 1.5)))
        step = 10**column.scale
        limit -= limit % step
        if limit == value or limit <= 0 or (limit < value) != holds:
            return None
        said = str(limit // step)
        unit = f" {column.column.unit}" if column.column.unit else ""
        text = self._words.above.format(label=label, row=mention.text, value=said + unit)
        return text, holds

    def _create(self, rng: random.Random) -> Task | None:
        found = self._target(rng, can_create)
        if found is None:
            return None
        table, pattern = found
        given, fixed = creation(table)
        # Rows that stand together in some row already: an order and one of its products.
        row, values = dict(self._row(table.name, pattern)), dict[str, Cell]()
        calls: list[TaskCall] = []
        relies_on: set[tuple[str, str]] = set()
        fields: list[str] = []
        arguments: dict[str, Json] = {}
        for column in given:
            if column.role == "reference":
                parent = self._tables[table.references[column.name]]
                mention = self._mention(parent, row[column.name], rng, 0)
                if mention is None:
                    return None
                calls += [call for call in mention.calls if call not in calls]
                relies_on |= mention.relies_on
                values[column.name] = row[column.name]
                arguments[column.name] = row[column.name]
                fields.append(mention.text)
                continue
            label = self._writer.label(column)
            if column.role == "choice":
                value: Cell = rng.choice(column.choices)
                shown, text = value, self._quote(str(value))
            else:
                change = self._change(table, pattern, column, rng)
                if change is None:
                    return None
                value, shown, text = change.stored, change.shown, change.text
            values[column.name], arguments[column.name] = value, shown
            fields.append(self._words.field.format(label=label, value=text))
        text = rng.choice(self._words.create).format(
            singular=self._writer.singular(table), fields=self._words.between_fields.join(fields)
        )
        for column_name, value in fixed.items():
            values[column_name] = self._cut.now[:10] if value == TODAY else value
        key = next_key(self._cut.database.table(table.name))
        values[table.key] = key
        names = ", ".join(quoted(name) for name in values)
        places = ", ".join("?" for _ in values)
        statement: Statement = (
            f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({places})",
            list(values.values()),
        )
        tool = self._tools["create", table.name, ""]
        calls.append(TaskCall(tool, arguments, text, table.key, key))
        rows = frozenset({(table.name, key)})
        goals = ((text, (statement,)),)
        return Task("create", text, tuple(calls), goals, rows, frozenset(relies_on))

    def _transfer(self, rng: random.Random) -> Task | None:
        found = self._target(rng, lambda table: stock_pair(table) is not None)
        if found is None:
            return None
        table, key = found
        pair = stock_pair(table)
        assert pair is not None and table.stock is not None
        kept, moved = pair
        row = self._row(table.name, key)
        own = set(self._cut.targets[table.name])
        others = [
            other
            for other in rows_of(self._cut.database, table.name)
            if other[kept] == row[kept] and other[table.key] != key and other[table.key] in own
        ]
        stock = row[table.stock]
        if not others or not isinstance(stock, int) or stock < 2:
            return None
        other = rng.choice(others)
        left = other[table.stock]
        assert isinstance(left, int)
        quantity = rng.randint(1, stock)
        # Otherwise moving them the other way round would come to the same.
        if stock - quantity == left:
            return None
        things = self._tables[table.references[kept]]
        places = self._tables[table.references[moved]]
        mentions = [
            self._mention(things, row[kept], rng, 0),
            self._mention(places, row[moved], rng, 0),
            self._mention(places, other[moved], rng, 0),
        ]
        if any(mention is None for mention in mentions):
            return None
        thing, start, end = (mention for mention in mentions if mention is not None)
        text = rng.choice(self._words.transfer).format(
            quantity=quantity, thing=thing.text, start=start.text, end=end.text
        )
        arguments: dict[str, Json] = {
            kept: row[kept],
            f"from_{moved}": row[moved],
            f"to_{moved}": other[moved],
            "quantity": quantity,
        }
        tool = self._tools["transfer", table.name, ""]
        calls = (*thing.calls, *start.calls, *end.calls)
        call = TaskCall(tool, arguments, text, "quantity", quantity)
        name, column = quoted(table.name), quoted(table.stock)
        moves: tuple[Statement, ...] = tuple(
            (
                f"UPDATE {name} SET {column} = {column} + ? WHERE {quoted(kept)} = ? "
                f"AND {quoted(moved)} = ?",
                [amount, row[kept], place],
            )
            for amount, place in ((-quantity, row[moved]), (quantity, other[moved]))
        )
        rows = frozenset({(table.name, key), (table.name, other[table.key])})
        relies_on = thing.relies_on | start.relies_on | end.relies_on
        return Task("transfer", text, (*calls, call), ((text, moves),), rows, relies_on)

    def _bulk(self, rng: random.Random) -> Task | None:
        found = self._target(
            rng,
            lambda t: bool(t.references) and any(c.role == "choice" for c in self._settable(t)),
        )
        if found is None:
            return None
        table, key = found
        row = self._row(table.name, key)
        columns = [c for c in self._settable(table) if c.role == "choice"]
        column = rng.choice(columns)
        references = self._owners(table, row)
        filters = [c for c in table.columns if c.role == "choice" and not c.column.nulls]
        if not references or not filters:
            return None
        reference, filter_ = rng.choice(references), rng.choice(filters)
        own = set(self._cut.targets[table.name])
        group = [
            other
            for other in rows_of(self._cut.database, table.name)
            if other[reference] == row[reference] and other[filter_.name] == row[filter_.name]
        ]
        change = self._change(table, key, column, rng)
        parent_table = self._tables[table.references[reference]]
        parent = self._mention(parent_table, row[reference], rng, 0)
        if change is None or parent is None or not 2 <= len(group) <= _MAX_BULK:
            return None
        possible = settable(table, column)
        for other in group:
            old = other[column.name]
            final = column == table.status and is_final(str(old))
            unfit = other[table.key] not in own or old not in possible or final
            if unfit or old == change.stored:
                return None
        label, singular = self._writer.label(column), self._writer.singular(table)
        text = rng.choice(self._words.bulk).format(
            label=label,
            singular=singular,
            plural=self._writer.plural(table),
            parent=parent.text,
            filter=self._writer.label(filter_),
            old=self._quote(str(row[filter_.name])),
            value=change.text,
        )
        find: dict[str, Json] = {
            reference: row[reference],
            filter_.name: row[filter_.name],
        }
        calls = [*parent.calls, self._find(table, find, key, text)]
        goals: list[tuple[str, tuple[Statement, ...]]] = []
        for other in group:
            one = f"{text} ({other[table.key]})"
            call, statements = self._write(table, other[table.key], change, one)
            calls.append(call)
            goals.append((one, statements))
        rows = frozenset((table.name, other[table.key]) for other in group)
        relies_on = parent.relies_on | {(table.name, name) for name in ("", *find)}
        return Task("bulk", text, tuple(calls), tuple(goals), rows, relies_on)
