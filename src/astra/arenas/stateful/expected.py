"""What a request has to change, computed by DuckDB: apart from the tools, which use SQLite."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from astra.arenas.tables.sql import quoted
from astra.databases import Cell, Database, RowChange

Statement = tuple[str, list[Cell]]
"""SQL with its parameters."""


class ExpectedChanges:
    """A database in DuckDB, in which requests are tried and taken back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._db = duckdb.connect(":memory:")
        for table in database.tables:
            columns = ", ".join(
                f"{quoted(c.name)} {'VARCHAR' if c.type in ('text', 'date') else 'BIGINT'}"
                for c in table.columns
            )
            self._db.execute(f"CREATE TABLE {quoted(table.name)} ({columns})")
            places = ", ".join("?" for _ in table.columns)
            if table.rows:
                self._db.executemany(
                    f"INSERT INTO {quoted(table.name)} VALUES ({places})",
                    [list(row) for row in table.rows],
                )

    def of(self, statements: Sequence[Statement]) -> tuple[RowChange, ...]:
        """The rows that differ after the statements, by table and key."""
        self._db.execute("BEGIN")
        try:
            for sql, parameters in statements:
                self._db.execute(sql, parameters)
            return tuple(
                change
                for table in self._database.tables
                for change in self._differences(table.name)
            )
        finally:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        self._db.close()

    def _differences(self, name: str) -> list[RowChange]:
        table = self._database.table(name)
        names = [column.name for column in table.columns]
        records = self._db.execute(f"SELECT * FROM {quoted(name)}").fetchall()
        rows = {row[names.index(table.key)]: dict(zip(names, row, strict=True)) for row in records}
        first = table.rows_by_key
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
