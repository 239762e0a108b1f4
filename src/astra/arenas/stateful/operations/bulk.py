"""The same change for every row of a group."""

from __future__ import annotations

import random

from astra.arenas.stateful.cut import rows_of
from astra.arenas.stateful.expected import SqlStatement
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.words import quote
from astra.arenas.stateful.writes import settable
from astra.types import Json

_MAX_ROWS = 6


def bulk(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(
        rng,
        lambda t: bool(t.references) and any(c.role == "choice" for c in parts.values.columns(t)),
    )
    if found is None:
        return None
    table, key = found
    row = parts.mentions.row(table.name, key)
    columns = [c for c in parts.values.columns(table) if c.role == "choice"]
    column = rng.choice(columns)
    references = parts.mentions.owners(table, row)
    filters = [c for c in table.columns if c.role == "choice" and not c.column.nulls]
    if not references or not filters:
        return None
    reference, filter_ = rng.choice(references), rng.choice(filters)
    own = set(parts.cut.targets[table.name])
    group = [
        other
        for other in rows_of(parts.cut.database, table.name)
        if other[reference] == row[reference] and other[filter_.name] == row[filter_.name]
    ]
    change = parts.values.draw(table, key, column, rng)
    parent_table = parts.tables[table.references[reference]]
    parent = parts.mentions.of(parent_table, row[reference], rng, 0)
    if change is None or parent is None or not 2 <= len(group) <= _MAX_ROWS:
        return None
    possible = settable(table, column)
    for other in group:
        old = other[column.name]
        unfit = other[table.key] not in own or old not in possible or old == change.stored
        if unfit or parts.is_over(table, other):
            return None
    label, singular = parts.mentions.writer.label(column), parts.mentions.writer.singular(table)
    text = rng.choice(parts.words.bulk).format(
        label=label,
        singular=singular,
        plural=parts.mentions.writer.plural(table),
        parent=parent.text,
        filter=parts.mentions.writer.label(filter_),
        old=quote(parts.words, str(row[filter_.name])),
        value=change.text,
    )
    find: dict[str, Json] = {
        reference: row[reference],
        filter_.name: row[filter_.name],
    }
    group_text = parts.words.by_parent_and.format(
        singular=parts.mentions.writer.plural(table),
        parent=parent.text,
        label=parts.mentions.writer.label(filter_),
        value=quote(parts.words, str(row[filter_.name])),
    )
    found_by = parts.mentions.find(table, find, [o[table.key] for o in group], group_text)
    if found_by is None:
        return None
    calls = [*parent.calls, *found_by]
    goals: list[tuple[str, tuple[SqlStatement, ...]]] = []
    for other in group:
        one = f"{text} ({other[table.key]})"
        call, statements = parts.values.write(table, other[table.key], change, one)
        calls.append(call)
        goals.append((one, statements))
    rows = frozenset((table.name, other[table.key]) for other in group)
    relies_on = parent.relies_on | {(table.name, name) for name in ("", *find)}
    return Task("bulk", text, tuple(calls), tuple(goals), rows, relies_on)
