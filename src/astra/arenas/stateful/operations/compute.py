"""One column gets a value that has to be worked out from what is stored, or taken from another row.

The tools are given the result. DuckDB works it out for itself, in SQL.
"""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass

from astra.arenas.stateful.expected import SqlStatement
from astra.arenas.stateful.mentions import Mention
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.roles import WritableColumn, WritableTable
from astra.arenas.stateful.tool_source import shown_row
from astra.arenas.stateful.values import NewValue
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import quoted
from astra.databases import Cell

_PERCENTS = (5, 10, 15, 20, 25, 30, 40, 50)
_LEAST_FOR_PERCENT = 10
_MOST_DAYS = 28
_MOST_ADDED = 12


@dataclass(frozen=True, slots=True)
class _Result:
    """What is to be stored, with the words that ask for it and the SQL that works it out."""

    stored: int | str
    text: str
    sql: str
    parameters: tuple[Cell, ...]


def compute(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(rng, lambda table: bool(_columns(parts, table)))
    if found is None:
        return None
    table, key = found
    column = rng.choice(_columns(parts, table))
    mention = parts.mentions.of(table, key, rng)
    old = parts.mentions.row(table.name, key)[column.name]
    if mention is None or old is None or (table.name, column.name) in mention.relies_on:
        return None
    source, source_key = mention, key
    if rng.random() < 1 / 4:
        other = _other_row(parts, table, column, key, rng)
        if other is None:
            return None
        source_key, source = other
        result = _as_of(parts, table, column, source_key, mention, source)
    elif isinstance(old, str):
        result = _postponed(parts, column, old, mention, rng)
    else:
        result = _raised(parts, column, old, mention, rng)
    if result is None or result.stored == old or not column.allows(result.stored):
        return None
    shown = shown_row(table, {column.name: result.stored})[column.name]
    value = NewValue(column, result.stored, shown, str(shown))
    write, _ = parts.values.write(table, key, value, result.text)
    sql = (
        f"UPDATE {quoted(table.name)} SET {quoted(column.name)} = {result.sql} "
        f"WHERE {quoted(table.key)} = ?"
    )
    statement = SqlStatement(table.name, sql, [*result.parameters, key])
    reads = [*mention.calls, *(call for call in source.calls if call not in mention.calls)]
    seen = [(source_key, source)]
    if write.tool.brings and source is not mention:
        seen.append((key, mention))
    for row, said in seen:
        looks = parts.mentions.look(table, row, column.name, said)
        if looks is None:
            return None
        reads += looks
    relies_on = mention.relies_on | source.relies_on
    if source is not mention:
        relies_on |= {(table.name, column.name)}
    return Task(
        "compute",
        result.text,
        (*reads, write),
        ((result.text, (statement,)),),
        frozenset({(table.name, key)}),
        relies_on,
    )


def _columns(parts: TaskParts, table: WritableTable) -> list[WritableColumn]:
    """Numbers and days that a tool sets and that nothing else follows from."""
    return [
        column
        for column in parts.values.columns(table)
        if column.role == "number" or column.column.kind is ColumnKind.date
    ]


def _raised(
    parts: TaskParts, column: WritableColumn, old: int, mention: Mention, rng: random.Random
) -> _Result | None:
    """By some percent, or by a whole number."""
    words, step = parts.words, 10**column.scale
    label, unit = parts.mentions.writer.label(column), column.column.unit
    up = rng.random() < 0.6
    if rng.random() < 0.5:
        # Only what comes out even: nobody has to guess how it is rounded.
        percents = [p for p in _PERCENTS if old * p % 100 == 0]
        if not percents or old < _LEAST_FOR_PERCENT * step:
            return None
        percent = rng.choice(percents)
        frame = words.raise_percent if up else words.lower_percent
        text = frame.format(label=label, row=mention.text, percent=percent)
        signed = percent if up else -percent
        sql = f"CAST({quoted(column.name)} * (100 + ?) / 100 AS BIGINT)"
        return _Result(old * (100 + signed) // 100, text, sql, (signed,))
    amount = rng.randint(1, _MOST_ADDED)
    if not up and old <= amount * step:
        return None
    said = f"{amount} {unit}" if unit else str(amount)
    frame = words.raise_by if up else words.lower_by
    text = frame.format(label=label, row=mention.text, amount=said)
    signed = amount * step if up else -amount * step
    if old + signed == amount * step:
        return None  # "by" and "to" would come to the same
    return _Result(old + signed, text, f"{quoted(column.name)} + ?", (signed,))


def _postponed(
    parts: TaskParts, column: WritableColumn, old: str, mention: Mention, rng: random.Random
) -> _Result | None:
    """By some days."""
    days = rng.randint(2, _MOST_DAYS)
    later = rng.random() < 0.7
    label = parts.mentions.writer.label(column)
    frame = parts.words.later if later else parts.words.earlier
    text = frame.format(label=label, row=mention.text, days=days)
    signed = days if later else -days
    new = (datetime.date.fromisoformat(old) + datetime.timedelta(days=signed)).isoformat()
    name = quoted(column.name)
    sql = f"strftime(CAST({name} AS DATE) + CAST(? AS INTEGER), '%Y-%m-%d')"
    return _Result(new, text, sql, (signed,))


def _as_of(
    parts: TaskParts,
    table: WritableTable,
    column: WritableColumn,
    key: Cell,
    mention: Mention,
    source: Mention,
) -> _Result | None:
    """The value that another row has."""
    stored = parts.mentions.row(table.name, key)[column.name]
    if stored is None:
        return None
    label = parts.mentions.writer.label(column)
    text = parts.words.same_as.format(label=label, row=mention.text, other=source.text)
    sql = (
        f"(SELECT s.{quoted(column.name)} FROM {quoted(table.name)} s "
        f"WHERE s.{quoted(table.key)} = ?)"
    )
    return _Result(stored, text, sql, (key,))


def _other_row(
    parts: TaskParts, table: WritableTable, column: WritableColumn, key: Cell, rng: random.Random
) -> tuple[Cell, Mention] | None:
    """Another row of the table that can be named, and its key."""
    keys = [
        other
        for other, row in parts.cut.database.table(table.name).rows_by_key.items()
        if other != key and row[column.name] is not None
    ]
    if not keys:
        return None
    other = rng.choice(keys)
    mention = parts.mentions.of(table, other, rng, 0)
    return None if mention is None else (other, mention)
