"""A row goes: one that no other refers to."""

from __future__ import annotations

import random

from astra.arenas.stateful.cut import rows_of
from astra.arenas.stateful.expected import SqlStatement
from astra.arenas.stateful.mentions import TaskCall
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.tables.sql import quoted
from astra.types import Json


def delete(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(rng, lambda table: ("delete", table.name, "") in parts.tools)
    if found is None:
        return None
    table, key = found
    children = [
        (child.name, column)
        for child in parts.tables.values()
        for column, parent in child.references.items()
        if parent == table.name
    ]
    if any(
        row[column] == key
        for child, column in children
        for row in rows_of(parts.cut.database, child)
    ):
        return None
    mention = parts.mentions.of(table, key, rng)
    if mention is None:
        return None
    text = rng.choice(parts.words.delete).format(row=mention.text)
    tool = parts.tools["delete", table.name, ""]
    arguments: dict[str, Json] = {table.key: key}
    assert tool.says is not None
    call = TaskCall(tool, arguments, text, *tool.says)
    sql = f"DELETE FROM {quoted(table.name)} WHERE {quoted(table.key)} = ?"
    goals = ((text, (SqlStatement(table.name, sql, [key]),)),)
    rows = frozenset({(table.name, key)})
    return Task("delete", text, (*mention.calls, call), goals, rows, mention.relies_on)
