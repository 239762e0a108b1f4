"""One of two changes of a row, by a condition that has to be looked up."""

from __future__ import annotations

import random

from astra.arenas.stateful.mentions import Mention
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.roles import WritableColumn, WritableTable, is_final
from astra.arenas.stateful.words import quote
from astra.databases import Cell


def conditional(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(rng, lambda table: len(parts.values.columns(table)) >= 2)
    if found is None:
        return None
    table, key = found
    mention = parts.mentions.of(table, key, rng)
    tested = tested_columns(table)
    if mention is None or not tested:
        return None
    column = rng.choice(tested)
    if (table.name, column.name) in mention.relies_on:
        return None
    looks = parts.mentions.look(table, key, column.name, mention)
    condition = condition_on(parts, table, key, column, mention, rng)
    columns = [c for c in parts.values.columns(table) if c.name != column.name]
    if condition is None or looks is None or len(columns) < 2:
        return None
    text, holds = condition
    changes = [parts.values.draw(table, key, c, rng) for c in rng.sample(columns, 2)]
    first, second = changes
    if first is None or second is None:
        return None
    clauses = [
        parts.values.frames(c)[1].format(
            label=parts.mentions.writer.label(c.column), value=c.text, verb=c.verb
        )
        for c in (first, second)
    ]
    tools = [parts.mentions.setter(table.name, c.column.name, c.stored) for c in (first, second)]
    request = rng.choice(parts.words.conditional).format(
        condition=text, first=clauses[0], second=clauses[1]
    )
    chosen = first if holds else second
    call, statements = parts.values.write(table, key, chosen, clauses[0 if holds else 1])
    return Task(
        "conditional",
        request,
        (*mention.calls, *looks, call),
        ((request, statements),),
        frozenset({(table.name, key)}),
        mention.relies_on | {(table.name, column.name)},
        also=tuple(tool for tool in tools if tool is not None),
    )


def tested_columns(table: WritableTable) -> list[WritableColumn]:
    """Columns that conditions of requests are about."""
    return [c for c in table.columns if c.role in ("choice", "number") and c.name != table.stock]


def condition_on(
    parts: TaskParts,
    table: WritableTable,
    key: Cell,
    column: WritableColumn,
    mention: Mention,
    rng: random.Random,
) -> tuple[str, bool] | None:
    """A condition on a row in words, and whether it holds: half of them do."""
    value = parts.mentions.row(table.name, key)[column.name]
    label, holds = parts.mentions.writer.label(column), rng.random() < 0.5
    if column.role == "choice":
        # Rows in a status for good are left alone, so that such a condition never holds.
        others = [
            choice
            for choice in column.choices
            if choice != value and not (column == table.status and is_final(choice))
        ]
        if not others:
            return None
        said = str(value if holds else rng.choice(others))
        text = parts.words.is_choice.format(
            label=label, row=mention.text, value=quote(parts.words, said)
        )
        return text, holds
    if not isinstance(value, int) or value < 10:
        return None
    # Well off the boundary, so that no reading of "above" decides.
    limit = round(value * (rng.uniform(0.5, 0.9) if holds else rng.uniform(1.1, 1.5)))
    step = 10**column.scale
    limit -= limit % step
    possible = column.high is None or limit < column.high
    if limit == value or limit <= 0 or (limit < value) != holds or not possible:
        return None
    said = str(limit // step)
    unit = f" {column.column.unit}" if column.column.unit else ""
    text = parts.words.above.format(label=label, row=mention.text, value=said + unit)
    return text, holds
