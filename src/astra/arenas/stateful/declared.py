"""What a user's `tables.toml` says may be written: more or less than the tables show.

Inference only narrows; the user knows. What can't be so is refused with file, key and value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import duckdb

from astra.arenas.stateful.derived import Derivation, derivations, option_place
from astra.arenas.stateful.role_finding import writable_tables
from astra.arenas.stateful.roles import Cancellation, WritableColumn, WritableTable
from astra.arenas.tables.schema import CancelOptions, Schema
from astra.arenas.tables.sql import quoted
from astra.errors import ConfigError
from astra.types import Language

_SETTABLE = frozenset({"choice", "text", "number", "date", "flag"})


def tables_to_write(
    db: duckdb.DuckDBPyConnection, schema: Schema, language: Language
) -> tuple[WritableTable, ...]:
    """The tables that a database can hold, with what may be written: found, or said by the user."""
    locked = {place: each for each in derivations(db, schema) for place in each.columns}
    return tuple(
        _with_declared(db, schema, table, locked, language)
        for table in writable_tables(db, schema, language)
    )


def _with_declared(
    db: duckdb.DuckDBPyConnection,
    schema: Schema,
    table: WritableTable,
    locked: Mapping[tuple[str, str], Derivation],
    language: Language,
) -> WritableTable:
    write = table.table.write
    if write is None:
        return table
    where = f"{option_place(schema)}: tables.{table.name}.write"
    if write == "":
        return replace(
            table,
            columns=tuple(replace(column, writable=False) for column in table.columns),
            stock=None,
            no_new_rows=True,
            rows_stay=True,
        )
    if write.transfer == "" and table.stock is not None:
        columns = tuple(
            replace(c, writable=c.writable and c.name != table.stock) for c in table.columns
        )
        table = replace(table, columns=columns, stock=None)
    if write.update is not None:
        names = tuple(write.update)
        for name in names:
            _require_settable(f"{where}.update: {name!r}", table, name, locked)
        table = replace(
            table,
            columns=tuple(
                replace(
                    column,
                    writable=column.source in names or column.name == table.stock,
                    fillable=column.writable,
                    system_date=column.system_date and column.source not in names,
                )
                for column in table.columns
            ),
        )
    if isinstance(write.cancel, CancelOptions):
        cancel = _cancellation(db, f"{where}.cancel", table, write.cancel, language)
        table = replace(table, cancel=cancel)
    if write.owner is not None:
        owners = {table.column(name).source: name for name in table.references}
        if write.owner and write.owner not in owners:
            raise ConfigError(
                f"{where}.owner: {write.owner!r} points to no table with a key: choose one of "
                f'{", ".join(owners) or "no column"}, or ""'
            )
        table = replace(table, owned_by=owners.get(write.owner, ""))
    return replace(table, no_new_rows=write.create == "", rows_stay=write.delete == "")


def _require_settable(
    where: str,
    table: WritableTable,
    name: str,
    locked: Mapping[tuple[str, str], Derivation],
) -> None:
    column = next((column for column in table.columns if column.source == name), None)
    if column is None:
        raise ConfigError(f"{where}: a database can't hold this column: leave it out")
    if column.role not in _SETTABLE:
        what = {"key": "the key", "reference": "a reference", "name": "the name of the rows"}
        said = what.get(column.role, "of no kind that can be set")
        raise ConfigError(f"{where} is {said}: leave it out")
    if (found := locked.get((table.name, name))) is not None:
        raise ConfigError(
            f"{where} goes with {found.table}.{found.column} = {found.formula}: leave it out, or "
            f'write derived = "" for tables.{found.table}.columns.{found.column}'
        )
    if column.name == table.stock:
        raise ConfigError(f"{where} is a stock, which is moved and not set: leave it out")


def _cancellation(
    db: duckdb.DuckDBPyConnection,
    where: str,
    table: WritableTable,
    options: CancelOptions,
    language: Language,
) -> Cancellation:
    column = next((each for each in table.columns if each.source == options.column), None)
    if column is None or column.role != "choice":
        raise ConfigError(
            f"{where}.column: {options.column!r} is not a column of a few different texts"
        )
    spoken = _spoken(db, table, column, language)
    for key, value in (("to", options.to), *(("from", value) for value in options.from_)):
        if value not in spoken:
            raise ConfigError(
                f"{where}.{key}: no row has {value!r} in {options.column!r}: choose among "
                f"{', '.join(spoken)}"
            )
    if options.to in options.from_:
        raise ConfigError(f"{where}.from: {options.to!r} is where it leads to: leave it out")
    start = tuple(spoken[value] for value in options.from_)
    return Cancellation(column.name, start, spoken[options.to])


def _spoken(
    db: duckdb.DuckDBPyConnection, table: WritableTable, column: WritableColumn, language: Language
) -> dict[str, str]:
    """Values as the user wrote them -> the same in a language."""
    other = column.column.variants.get(language, column.source)
    rows = db.execute(
        f"SELECT DISTINCT {quoted(column.source)}, {quoted(other)} FROM {quoted(table.name)} "
        "ORDER BY 1"
    ).fetchall()
    return dict(rows)
