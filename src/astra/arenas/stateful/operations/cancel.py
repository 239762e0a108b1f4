"""A row is cancelled, by a tool of its own that the user's options ask for."""

from __future__ import annotations

import random

from astra.arenas.stateful.mentions import TaskCall
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.values import NewValue


def cancel(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(rng, lambda table: table.cancel is not None)
    if found is None:
        return None
    table, key = found
    how = table.cancel
    assert how is not None
    mention = parts.mentions.of(table, key, rng)
    if mention is None or parts.mentions.row(table.name, key)[how.column] not in how.start:
        return None
    if (table.name, how.column) in mention.relies_on:
        return None
    text = rng.choice(parts.words.cancel).format(row=mention.text)
    change = NewValue(table.column(how.column), how.to, how.to, how.to)
    statements = parts.values.statements(table, key, change)
    tool = parts.tools["cancel", table.name, ""]
    call = TaskCall(tool, {table.key: key}, text, how.column, how.to, {table.key: key})
    return Task(
        "cancel",
        text,
        (*mention.calls, call),
        ((text, statements),),
        frozenset({(table.name, key)}),
        mention.relies_on,
    )
