"""A quantity that moves from one row to another."""

from __future__ import annotations

import random

from astra.arenas.stateful.cut import rows_of
from astra.arenas.stateful.expected import SqlStatement
from astra.arenas.stateful.mentions import TaskCall
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.writes import stock_pair
from astra.arenas.tables.sql import quoted
from astra.types import Json


def transfer(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(rng, lambda table: stock_pair(table) is not None)
    if found is None:
        return None
    table, key = found
    pair = stock_pair(table)
    assert pair is not None and table.stock is not None
    kept, moved = pair
    row = parts.mentions.row(table.name, key)
    own = set(parts.cut.targets[table.name])
    others = [
        other
        for other in rows_of(parts.cut.database, table.name)
        if other[kept] == row[kept] and other[table.key] != key and other[table.key] in own
    ]
    stock = row[table.stock]
    if not others or not isinstance(stock, int) or stock < 2:
        return None
    other = rng.choice(others)
    left = other[table.stock]
    assert isinstance(left, int)
    quantity = rng.randint(min(2, stock // 2), stock)
    # Otherwise moving them the other way round would come to the same.
    if stock - quantity == left:
        return None
    things = parts.tables[table.references[kept]]
    places = parts.tables[table.references[moved]]
    mentions = [
        parts.mentions.of(things, row[kept], rng, 0),
        parts.mentions.of(places, row[moved], rng, 0),
        parts.mentions.of(places, other[moved], rng, 0),
    ]
    if any(mention is None for mention in mentions):
        return None
    thing, start, end = (mention for mention in mentions if mention is not None)
    text = rng.choice(parts.words.transfer).format(
        quantity=quantity, thing=thing.text, start=start.text, end=end.text
    )
    arguments: dict[str, Json] = {
        kept: row[kept],
        f"from_{moved}": row[moved],
        f"to_{moved}": other[moved],
        "quantity": quantity,
    }
    tool = parts.tools["transfer", table.name, ""]
    calls = (*thing.calls, *start.calls, *end.calls)
    call = TaskCall(tool, arguments, text, "quantity", quantity)
    name, column = quoted(table.name), quoted(table.stock)
    moves = tuple(
        SqlStatement(
            table.name,
            f"UPDATE {name} SET {column} = {column} + ? WHERE {quoted(kept)} = ? "
            f"AND {quoted(moved)} = ?",
            [amount, row[kept], place],
        )
        for amount, place in ((-quantity, row[moved]), (quantity, other[moved]))
    )
    rows = frozenset({(table.name, key), (table.name, other[table.key])})
    relies_on = thing.relies_on | start.relies_on | end.relies_on
    return Task("transfer", text, (*calls, call), ((text, moves),), rows, relies_on)
