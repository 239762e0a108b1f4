"""One of two changes of different rows, by a condition on a third: what has to be looked up next is
known only when the condition has been."""

from __future__ import annotations

import random

from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.operations.conditional import condition_on, tested_columns
from astra.arenas.stateful.operations.update import update
from astra.arenas.stateful.words import STATEMENT


def branch(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(rng, lambda table: bool(tested_columns(table)))
    if found is None:
        return None
    table, key = found
    mention = parts.mentions.of(table, key, rng)
    column = rng.choice(tested_columns(table))
    if mention is None or (table.name, column.name) in mention.relies_on:
        return None
    looks = parts.mentions.look(table, key, column.name, mention)
    condition = condition_on(parts, table, key, column, mention, rng)
    first, second = update(parts, rng), update(parts, rng)
    if condition is None or looks is None or first is None or second is None:
        return None
    rows = [(table.name, key), *first.rows, *second.rows]
    if len(set(rows)) < len(rows) or not first.apart_from(second):
        return None
    text, holds = condition
    chosen, other = (first, second) if holds else (second, first)
    request = rng.choice(parts.words.conditional).format(
        condition=text,
        first=first.text.removeprefix(STATEMENT),
        second=second.text.removeprefix(STATEMENT),
    )
    ((_, statements),) = chosen.goals
    return Task(
        "branch",
        request,
        (*mention.calls, *looks, *chosen.calls),
        ((request, statements),),
        chosen.rows,
        mention.relies_on | {(table.name, column.name)} | first.relies_on | second.relies_on,
        also=tuple(call.tool for call in other.calls),
    )
