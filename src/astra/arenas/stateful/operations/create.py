"""A new row, whose references have to be looked up."""

from __future__ import annotations

import random

from astra.arenas.stateful.cut import Row, rows_of
from astra.arenas.stateful.expected import SqlStatement
from astra.arenas.stateful.mentions import TaskCall
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.roles import WritableTable
from astra.arenas.stateful.words import quote
from astra.arenas.stateful.writes import TODAY, can_create, creation
from astra.arenas.tables.sql import quoted
from astra.databases import Cell
from astra.sandbox.database_image import next_key
from astra.types import Json


def create(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(rng, can_create)
    if found is None:
        return None
    table, pattern = found
    given, fixed = creation(table)
    row = _related(parts, table, pattern, rng)
    if row is None:
        return None
    values: dict[str, Cell] = {}
    calls: list[TaskCall] = []
    relies_on: set[tuple[str, str]] = set()
    about: list[str] = []
    fields: list[str] = []
    arguments: dict[str, Json] = {}
    # What it is called first: its e-mail address follows from its name.
    for column in sorted(given, key=lambda each: each.role not in ("reference", "name")):
        if column.role == "reference":
            parent = parts.tables[table.references[column.name]]
            mention = parts.mentions.of(parent, row[column.name], rng, 0)
            if mention is None:
                return None
            calls += [call for call in mention.calls if call not in calls]
            relies_on |= mention.relies_on | {(parent.name, "")}
            values[column.name] = row[column.name]
            arguments[column.name] = row[column.name]
            about.append(mention.text)
            continue
        label = parts.mentions.writer.label(column)
        if column.role == "choice":
            value: Cell = rng.choice(column.choices)
            shown, text = value, quote(parts.words, str(value))
        else:
            change = parts.values.draw(table, pattern, column, rng, values)
            if change is None:
                return None
            value, shown, text = change.stored, change.shown, change.text
        values[column.name], arguments[column.name] = value, shown
        fields.append(parts.words.field.format(label=label, value=text))
    text = rng.choice(parts.words.create).format(
        singular=parts.mentions.writer.singular(table),
        about=parts.words.about.format(rows=parts.words.between.join(about)) if about else "",
        fields=(parts.words.with_fields if about else parts.words.with_only).format(
            fields=parts.words.between_fields.join(fields)
        )
        if fields
        else "",
    )
    for column_name, value in fixed.items():
        values[column_name] = parts.cut.now[:10] if value == TODAY else value
    key = next_key(parts.cut.database.table(table.name))
    values[table.key] = key
    names = ", ".join(quoted(name) for name in values)
    places = ", ".join("?" for _ in values)
    statement = SqlStatement(
        table.name,
        f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({places})",
        list(values.values()),
    )
    tool = parts.tools["create", table.name, ""]
    answer = (table.key, key) if tool.says is None else tool.says
    calls.append(TaskCall(tool, arguments, text, *answer))
    rows = frozenset({(table.name, key)})
    goals = ((text, (statement,)),)
    return Task("create", text, tuple(calls), goals, rows, frozenset(relies_on))


def _related(parts: TaskParts, table: WritableTable, key: Cell, rng: random.Random) -> Row | None:
    """A row whose references go together: as in a table that holds the same ones, such as an order
    and one of its products, but not yet here. Without such a table, as in an existing row."""
    own = parts.mentions.row(table.name, key)
    names = list(table.references)
    held = [
        other
        for other in parts.tables.values()
        if other.name != table.name
        and all(other.references.get(name) == table.references[name] for name in names)
    ]
    if len(names) < 2 or not held:
        return own
    taken = {tuple(row[name] for name in names) for row in rows_of(parts.cut.database, table.name)}
    source = rng.choice(held)
    rows = [
        row
        for row in rows_of(parts.cut.database, source.name)
        if tuple(row[name] for name in names) not in taken
    ]
    if not rows:
        return None
    chosen = rng.choice(rows)
    return {**own, **{name: chosen[name] for name in names}}
