"""Says what may be written in a user's tables, and why: lines for the user's terminal."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from astra.arenas.stateful.declared import tables_to_write
from astra.arenas.stateful.derived import derivations
from astra.arenas.stateful.roles import WritableColumn, WritableTable, is_final
from astra.arenas.stateful.writes import TODAY, can_create, can_delete, creation, stock_pair
from astra.arenas.tables.schema import Schema, WriteOptions
from astra.types import Language

_SAID = "given in the options"


def describe_writes(
    db: duckdb.DuckDBPyConnection, schema: Schema, language: Language = "en"
) -> list[str]:
    """Per table what can be set, made, moved and cancelled, and what follows from what.

    Raises ConfigError for options that the tables contradict.
    """
    tables = {table.name: table for table in tables_to_write(db, schema, language)}
    follows = derivations(db, schema)
    lines: list[str] = []
    for schema_table in schema.tables:
        lines.append(f"{schema_table.name}:")
        table = tables.get(schema_table.name)
        if table is None:
            lines.append("  not written: no column is a key")
        else:
            nothing = ["  not written: nothing is called as what changes"]
            lines += list(_table_lines(table)) or nothing
        for each in follows:
            if each.table == schema_table.name:
                how = f"in {each.right} of {each.rows} rows"
                lines.append(f"  {each.column} = {each.formula} ({how}): none of these is set")
    return lines


def _table_lines(table: WritableTable) -> Iterator[str]:
    write = table.table.write
    options = write if isinstance(write, WriteOptions) else WriteOptions()
    if write == "":
        yield f"  not written ({_SAID})"
        return
    for column in table.columns:
        if column.writable and column.name != table.stock:
            why = _SAID if options.update is not None else _looks(table, column)
            yield f"  set {column.source}: {why}"
        if column.set_with is not None:
            status, values = column.set_with
            yield f"  {column.source} follows {status}: with {', '.join(sorted(values))}"
    if table.cancel is not None:
        how = table.cancel
        start, name = " or ".join(how.start), table.column(how.column).source
        yield f"  cancelled: {name} {start} -> {how.to} ({_SAID})"
    if can_create(table):
        given, fixed = creation(table)
        texts = [column.source for column in given]
        for name, value in fixed.items():
            said = "the day" if value == TODAY else str(value)
            texts.append(f"{table.column(name).source} = {said}")
        yield f"  new rows: {', '.join(texts)}"
    elif options.create == "":
        yield f"  no new rows ({_SAID})"
    if can_delete(table):
        yield "  rows go that no other refers to"
    elif options.delete == "":
        yield f"  no rows go ({_SAID})"
    if (pair := stock_pair(table)) is not None and table.stock is not None:
        thing, place = (table.references[name] for name in pair)
        yield f"  moved: {table.column(table.stock).source} of {thing} between {place}"
    if table.owned_by is not None:
        owner = table.column(table.owned_by).source if table.owned_by else "none"
        yield f"  belongs by: {owner} ({_SAID})"


def _looks(table: WritableTable, column: WritableColumn) -> str:
    """What in its values and its name made a column one that may be set."""
    if column.role == "choice":
        final = [value for value in column.choices if is_final(value)]
        stays = f" ({', '.join(final)}: for good)" if final and column == table.status else ""
        return f"one of {', '.join(column.choices)}{stays}"
    kind = "yes or no" if column.role == "flag" else f"{column.column.distinct} different values"
    gaps = f", {column.column.nulls} missing" if column.column.nulls else ""
    return f"by its name; {column.role}, {kind}{gaps}"
