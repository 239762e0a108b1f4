"""A fact that is to be looked up and told, beside what is to be changed."""

from __future__ import annotations

import random

from astra.arenas.rounding import TOOL_ROUNDING
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.tool_source import shown_row
from astra.arenas.tables.schema import ColumnKind
from astra.types import Matcher, Target

_FEWEST_DIGITS = 10
"""Smaller numbers stand in too many messages by chance."""


def tell(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(rng, lambda table: True)
    if found is None:
        return None
    table, key = found
    mention = parts.mentions.of(table, key, rng)
    row = parts.mentions.row(table.name, key)
    columns = [
        column
        for column in table.columns
        if column.role in ("choice", "text", "number", "date")
        and row[column.name] is not None
        and not (column.role == "number" and abs(int(row[column.name] or 0)) < _FEWEST_DIGITS)
    ]
    if mention is None or not columns:
        return None
    column = rng.choice(columns)
    shown = shown_row(table, {column.name: row[column.name]})[column.name]
    if (table.name, column.name) in mention.relies_on or str(shown) in mention.text:
        return None
    looks = parts.mentions.look(table, key, column.name, mention)
    if looks is None:
        return None
    label = parts.mentions.writer.label(column)
    text = rng.choice(parts.words.tell).format(label=label, row=mention.text)
    matcher = Matcher.exact
    if column.column.kind is ColumnKind.date:  # it may be told as 11 August
        matcher = Matcher.date
    elif isinstance(shown, int | float) and not isinstance(shown, bool):
        matcher = Matcher.number
    target = Target(
        matcher=matcher,
        value=shown,
        field=column.name,
        key={} if key is None else {table.key: key},
        relative=TOOL_ROUNDING,
    )
    told, stored = None, row[column.name]
    if column.other_unit is not None and isinstance(stored, int):
        spoken = float(column.spoken(stored)) if column.scale else stored
        if str(spoken) in mention.text:
            return None
        told = target.model_copy(update={"value": spoken})
    return Task(
        "tell",
        text,
        (*mention.calls, *looks),
        (),
        frozenset(),
        mention.relies_on | {(table.name, column.name)},
        says=(text, target),
        told=told,
    )
