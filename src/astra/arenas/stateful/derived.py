"""Numbers that follow from others in a user's tables: products, and totals over lines.

Found by values, or said by the user: then the values must agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from astra.arenas.tables.schema import Column, ColumnKind, Schema, Table
from astra.arenas.tables.sql import quoted
from astra.errors import ConfigError

_MIN_EVIDENCE = 20
_SHARE = 0.99
_PRODUCT = re.compile(r"\s*(\w+)\s*([*+-])\s*(\w+)\s*")
_SUM = re.compile(r"\s*sum\(\s*(\w+)\.(\w+)\s*\)\s*")


@dataclass(frozen=True, slots=True)
class Derivation:
    """A column that follows from others."""

    table: str
    column: str
    formula: str
    parts: tuple[tuple[str, str], ...]
    """Table and column of what it follows from."""
    right: int
    """Rows in which it holds, of `rows`."""
    rows: int

    @property
    def columns(self) -> frozenset[tuple[str, str]]:
        """Table and column of all that is in it: none can change without the others."""
        return frozenset({(self.table, self.column), *self.parts})

    @property
    def over_lines(self) -> bool:
        """Whether it adds up rows of another table."""
        return any(table != self.table for table, _ in self.parts)


def derivations(db: duckdb.DuckDBPyConnection, schema: Schema) -> list[Derivation]:
    """What follows from what. The user's word wins; raises ConfigError where it is not so."""
    said = {
        (table.name, column.name): column.derived
        for table in schema.tables
        for column in table.columns
        if column.derived is not None
    }
    found = [each for each in _found(db, schema.tables) if (each.table, each.column) not in said]
    for (table, column), formula in said.items():
        if formula:
            found.append(_said(db, schema, schema.table(table), column, formula))
    return found


def _found(db: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> Iterator[Derivation]:
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
        names = numeric[table.name]
        for first_at, first in enumerate(names):
            for second in names[first_at + 1 :]:
                for product in names:
                    if product not in (first, second):
                        each = _of_two(db, table, product, first, "*", second)
                        if _mostly(each):
                            yield each
        for key in table.foreign_keys:
            for column in names if key.table in numeric else ():
                for total in numeric[key.table]:
                    each = _of_lines(db, key.table, total, table, column)
                    if each is not None and _mostly(each):
                        yield each


def _mostly(found: Derivation) -> bool:
    return found.rows >= _MIN_EVIDENCE and found.right >= _SHARE * found.rows


def _of_two(
    db: duckdb.DuckDBPyConnection, table: Table, column: str, first: str, sign: str, second: str
) -> Derivation:
    a, b, c = quoted(first), quoted(second), quoted(column)
    # 0 and 1 prove nothing of a product.
    where = f"{a} NOT IN (0, 1) AND {b} NOT IN (0, 1)" if sign == "*" else "true"
    right, rows = _counts(db, f"abs({a} {sign} {b} - {c}) < 0.005", quoted(table.name), where)
    parts = ((table.name, first), (table.name, second))
    return Derivation(table.name, column, f"{first} {sign} {second}", parts, right, rows)


def _of_lines(
    db: duckdb.DuckDBPyConnection, parent: str, total: str, lines: Table, column: str
) -> Derivation | None:
    """A total over the rows of another table that refer to it. None if none do."""
    key = next((key for key in lines.foreign_keys if key.table == parent), None)
    if key is None:
        return None
    sums = (
        f"(SELECT any_value(p.{quoted(total)}) AS total, sum(c.{quoted(column)}) AS parts, "
        f"count(*) AS lines FROM {quoted(lines.name)} c JOIN {quoted(parent)} p "
        f"ON c.{quoted(key.column)} = p.{quoted(key.references)} GROUP BY "
        f"p.{quoted(key.references)})"
    )
    right, rows = _counts(db, "abs(total - parts) < 0.005", sums, "parts <> 0 AND lines > 0")
    formula = f"sum({lines.name}.{column})"
    return Derivation(parent, total, formula, ((lines.name, column),), right, rows)


def _counts(
    db: duckdb.DuckDBPyConnection, condition: str, source: str, where: str
) -> tuple[int, int]:
    counts = db.execute(
        f"SELECT count(*) FILTER (WHERE {condition}), count(*) FROM {source} WHERE {where}"
    ).fetchone()
    assert counts is not None
    return counts[0], counts[1]


def _said(
    db: duckdb.DuckDBPyConnection, schema: Schema, table: Table, column: str, formula: str
) -> Derivation:
    where = f"{option_place(schema)}: tables.{table.name}.columns.{column}.derived: {formula!r}"
    found: Derivation | None = None
    if (match := _PRODUCT.fullmatch(formula)) is not None:
        first, sign, second = match.groups()
        _require_numbers(where, _columns(table), column, first, second)
        found = _of_two(db, table, column, first, sign, second)
    elif (match := _SUM.fullmatch(formula)) is not None:
        name, part = match.groups()
        lines = next((each for each in schema.tables if each.name == name), None)
        if lines is None:
            raise ConfigError(f"{where}: there is no table {name!r}")
        _require_numbers(where, _columns(table), column)
        _require_numbers(where, _columns(lines), part)
        found = _of_lines(db, table.name, column, lines, part)
        if found is None:
            raise ConfigError(f"{where}: no column of {name!r} points to {table.name!r}")
    if found is None:
        raise ConfigError(
            f'{where} is no formula: write "quantity * price" (or + or -), "sum(lines.amount)", or '
            '"" for none'
        )
    if found.right < _SHARE * found.rows:
        raise ConfigError(
            f"{where} holds in {found.right} of {found.rows} rows only: correct the formula or "
            'the table, or write ""'
        )
    return found


def _columns(table: Table) -> dict[str, Column]:
    return {column.name: column for column in table.columns}


def _require_numbers(where: str, columns: Mapping[str, Column], *names: str) -> None:
    for name in names:
        if name not in columns:
            raise ConfigError(f"{where}: no column is called {name!r}: choose {', '.join(columns)}")
        if columns[name].kind not in (ColumnKind.integer, ColumnKind.number):
            raise ConfigError(f"{where}: column {name!r} is {columns[name].kind.value}, no number")


def option_place(schema: Schema) -> str:
    """Where the user's options stand, for errors."""
    return ", ".join(schema.option_files) or "options"
