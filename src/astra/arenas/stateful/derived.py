"""Numbers that follow from others in a user's tables: products, and totals over lines."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from astra.arenas.tables.schema import ColumnKind, Table
from astra.arenas.tables.sql import quoted

_MIN_EVIDENCE = 20
_SHARE = 0.99


def derived_columns(
    db: duckdb.DuckDBPyConnection, tables: Sequence[Table]
) -> tuple[set[tuple[str, str]], set[str]]:
    """Columns that follow from others, with those they follow from; tables whose rows do."""
    columns: set[tuple[str, str]] = set()
    rows: set[str] = set()
    numeric = {
        table.name: [
            c.name
            for c in table.columns
            if c.kind in (ColumnKind.integer, ColumnKind.number)
            and c.name != table.key
            and not any(key.column == c.name for key in table.foreign_keys)
        ]
        for table in tables
    }
    for table in tables:
        names, source = numeric[table.name], quoted(table.name)
        for first_at, first in enumerate(names):
            for second in names[first_at + 1 :]:
                for product in names:
                    if product in (first, second):
                        continue
                    if _mostly(
                        db,
                        f"abs({quoted(first)} * {quoted(second)} - {quoted(product)}) < 0.005",
                        source,
                        f"{quoted(first)} NOT IN (0, 1) AND {quoted(second)} NOT IN (0, 1)",
                    ):
                        columns |= {(table.name, name) for name in (first, second, product)}
        for key in table.foreign_keys:
            parent = next((t for t in tables if t.name == key.table), None)
            for column in names if parent is not None else ():
                for total in numeric[key.table]:
                    sums = (
                        f"(SELECT any_value(p.{quoted(total)}) AS total, sum(c.{quoted(column)}) "
                        f"AS parts, count(*) AS lines FROM {source} c JOIN {quoted(key.table)} p "
                        f"ON c.{quoted(key.column)} = p.{quoted(key.references)} GROUP BY "
                        f"p.{quoted(key.references)})"
                    )
                    if _mostly(db, "abs(total - parts) < 0.005", sums, "parts <> 0 AND lines > 0"):
                        columns |= {(table.name, column), (key.table, total)}
                        rows |= {table.name, key.table}
    return columns, rows


def _mostly(db: duckdb.DuckDBPyConnection, condition: str, source: str, where: str) -> bool:
    counts = db.execute(
        f"SELECT count(*) FILTER (WHERE {condition}), count(*) FROM {source} WHERE {where}"
    ).fetchone()
    assert counts is not None
    right, total = counts
    return total >= _MIN_EVIDENCE and right >= _SHARE * total
