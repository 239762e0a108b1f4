"""What a request has to change, computed by DuckDB: apart from the tools, which use SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from astra.arenas.tables.sql import quoted
from astra.databases import Cell, Database, RowChange


class SqlStatement(NamedTuple):
    """SQL that changes one table, with its parameters."""

    table: str
    sql: str
    parameters: list[Cell]


class ExpectedChanges:
    """A database in DuckDB, in which requests are tried and taken back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[RowChange, ...]] = {}
        self._db = duckdb.connect(":memory:", config={"threads": 1})
        for table in database.tables:
            columns = ", ".join(
                f"{quoted(c.name)} {'VARCHAR' if c.type in ('text', 'date') else 'BIGINT'}"
                for c in table.columns
            )
            self._db.execute(f"CREATE TABLE {quoted(table.name)} ({columns})")
            if table.rows:
                # A list a column: DuckDB takes long over each statement, and over each parameter.
                lists = ", ".join(
                    f"unnest(?::{'VARCHAR' if c.type in ('text', 'date') else 'BIGINT'}[])"
                    for c in table.columns
                )
                cells = [list(column) for column in zip(*table.rows, strict=True)]
                self._db.execute(f"INSERT INTO {quoted(table.name)} SELECT {lists}", cells)

    def of(
        self, statements: Sequence[SqlStatement], after: Sequence[SqlStatement] = ()
    ) -> tuple[RowChange, ...]:
        """The rows that differ by the statements, made `after` others, by table and key."""
        asked = repr((statements, after))
        if asked not in self._known:
            self._known[asked] = self._changes(statements, after)
        return self._known[asked]

    def _changes(
        self, statements: Sequence[SqlStatement], after: Sequence[SqlStatement]
    ) -> tuple[RowChange, ...]:
        written = {statement.table for statement in statements}
        tables = [table.name for table in self._database.tables if table.name in written]
        self._db.execute("BEGIN")
        try:
            for _, sql, parameters in after:
                self._db.execute(sql, parameters)
            first = {name: self._rows(name) for name in tables} if after else None
            for _, sql, parameters in statements:
                self._db.execute(sql, parameters)
            return tuple(
                change
                for name in tables
                for change in self._differences(
                    name, self._database.table(name).rows_by_key if first is None else first[name]
                )
            )
        finally:
            self._db.execute("ROLLBACK")

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """For questions about the rows as they are at first."""
        return self._db

    def close(self) -> None:
        self._db.close()

    def _rows(self, name: str) -> dict[Cell, dict[str, Cell]]:
        table = self._database.table(name)
        names = [column.name for column in table.columns]
        records = self._db.execute(f"SELECT * FROM {quoted(name)}").fetchall()
        at = names.index(table.key)
        return {row[at]: dict(zip(names, row, strict=True)) for row in records}

    def _differences(self, name: str, first: dict[Cell, dict[str, Cell]]) -> list[RowChange]:
        names = [column.name for column in self._database.table(name).columns]
        rows = self._rows(name)
        changes: list[RowChange] = []
        for key in sorted({*rows, *first}, key=str):
            before, after = first.get(key), rows.get(key)
            if before == after or key is None:
                continue
            if before is not None and after is not None:
                changed = [column for column in names if before[column] != after[column]]
                before = {column: before[column] for column in changed}
                after = {column: after[column] for column in changed}
            changes.append(RowChange(table=name, key=key, before=before, after=after))
        return changes
