"""The tables of DuckDB that hold one language's view of a user's tables."""

from __future__ import annotations

import duckdb

from astra.arenas.tables.schema import ColumnKind, Schema, Table
from astra.arenas.tables.sql import LONGEST_VALUE, askable, folded, quoted
from astra.arenas.tables.views import TableView
from astra.types import Language

BLOCK_COLUMNS = 32
"""Columns that one query computes something of."""


def view_name(table: str, language: Language) -> str:
    """The quoted name of a table's view in SQL."""
    return quoted(f"{language}:{table}")


def long_columns(db: duckdb.DuckDBPyConnection, table: Table, language: Language) -> frozenset[str]:
    """Columns of free text: their values can't be asked for exactly."""
    texts = [
        column.name
        for column in table.columns
        if column.kind is ColumnKind.text and column.distinct and column.name != table.naming
    ]
    long: list[str] = []
    for start in range(0, len(texts), BLOCK_COLUMNS):
        names = texts[start : start + BLOCK_COLUMNS]
        lengths = ", ".join(
            f"quantile_cont(length({_source(table, name, language)}), 0.9)" for name in names
        )
        row = db.execute(f"SELECT {lengths} FROM {quoted(table.name)}").fetchone() or ()
        long += [
            name
            for name, length in zip(names, row, strict=True)
            if length is None or length > LONGEST_VALUE
        ]
    return frozenset(long)


def create_view(
    db: duckdb.DuckDBPyConnection, view: TableView, schema: Schema, language: Language
) -> None:
    """Create a view as a temporary table of the connection.

    Its columns: `__row`, `__name`, `__named` (the name can be asked for and, as tools and rewards
    compare, is unique), the attributes, and `__ref_*`: the row that one refers to.
    """
    table, name = view.table, view_name(view.table.name, language)
    keys = {key.column: key for key in table.foreign_keys}
    own = "NULL::VARCHAR" if table.naming is None else _name(table, language, "t.")
    select, joins = ["t.__row", f"{own} AS __name"], list[str]()
    for number, attribute in enumerate(view.attributes):
        if attribute.references is None:
            source = f"t.{_source(table, attribute.column, language)}"
            if attribute.kind is ColumnKind.text:
                source = f"CAST({source} AS VARCHAR)"
            select.append(f"{source} AS {quoted(attribute.name)}")
            continue
        key, other = keys[attribute.column], schema.table(attribute.references)
        alias = f"r{number}"
        select.append(f"{alias}.__called AS {quoted(attribute.name)}")
        select.append(f"{alias}.__row AS {quoted('__ref_' + attribute.name)}")
        joins.append(
            f"LEFT JOIN (SELECT min(__row) AS __row, {quoted(key.references)} AS __key, "
            f"any_value({_name(other, language)} ORDER BY __row) AS __called "
            f"FROM {quoted(other.name)} GROUP BY __key) {alias} "
            f"ON t.{quoted(key.column)} = {alias}.__key"
        )
    db.execute(
        f"CREATE TEMP TABLE {name} AS SELECT {', '.join(select)} "
        f"FROM {quoted(table.name)} t {' '.join(joins)} ORDER BY t.__row"
    )
    same_name = folded(db, name, "__name")
    fits = "true" if table.numbered else askable("any_value(__name)")
    db.execute(f"ALTER TABLE {name} ADD COLUMN __named BOOLEAN")
    db.execute(
        f"UPDATE {name} SET __named = ok.__row IS NOT NULL FROM "
        f"(SELECT t.__row AS all_row, u.__row FROM {name} t LEFT JOIN (SELECT min(__row) AS "
        f"__row FROM {name} WHERE __name IS NOT NULL GROUP BY {same_name} "
        f"HAVING count(*) = 1 AND {fits}) u ON t.__row = u.__row) ok "
        f"WHERE {name}.__row = ok.all_row"
    )


def _source(table: Table, column: str, language: Language) -> str:
    """The quoted column that holds a column's values in this language."""
    return quoted(table.column(column).variants.get(language, column))


def _name(table: Table, language: Language, alias: str = "") -> str:
    """SQL for the name of a row: one column, or first and last name."""
    assert table.naming is not None
    name = f"CAST({alias}{_source(table, table.naming, language)} AS VARCHAR)"
    if table.given_name is None:
        return name
    given = f"{alias}{_source(table, table.given_name, language)}"
    # Chinese family names come first, without a space. Where one is missing, so is the name.
    return (
        f"CASE WHEN regexp_matches({given} || {name}, '\\p{{Han}}') "
        f"THEN {name} || {given} ELSE {given} || ' ' || {name} END"
    )
