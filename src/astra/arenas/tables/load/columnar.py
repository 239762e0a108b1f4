"""Parquet and DuckDB files, read by DuckDB itself: their columns keep their types.

What the files promise in rows and bytes is checked before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from astra.arenas.tables.load.files import SourceFile
from astra.arenas.tables.load.raw import (
    ColumnContent,
    LoadLimits,
    LoadSession,
    RawColumn,
    RawForeignKey,
    RawTable,
    check_repeated,
    check_width,
)
from astra.arenas.tables.sql import count_where, literal, quoted
from astra.errors import TableError

_INTEGERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
_ATTACHED = "attached_file"


def read_parquet(file: SourceFile, session: LoadSession) -> list[RawTable]:
    """Read a Parquet file into one raw table.

    Raises TableError where its own metadata, or a first look at its cells, exceeds the limits.
    """
    link = session.folder / f"{session.fresh()}.parquet"
    # DuckDB takes *, ? and [ in a path for patterns; a link has none.
    link.symlink_to(file.path)
    try:
        metadata = session.connection.execute(
            "SELECT (SELECT num_rows FROM parquet_file_metadata($1)), "
            "(SELECT sum(total_uncompressed_size) FROM parquet_metadata($1))",
            [str(link)],
        ).fetchone()
        rows, size = (int(value or 0) for value in metadata or (0, 0))
        check_rows(file.shown, rows, session.limits)
        if size > session.limits.text_bytes:
            raise TableError(
                f"{file.shown}: unpacks to {size} bytes, more than {session.limits.text_bytes}; "
                "give a smaller table"
            )
        origin = f"read_parquet({literal(str(link))}, hive_partitioning=false)"
        return [copy_relation(origin, file.path.stem, file, file.shown, session)]
    finally:
        link.unlink()


def check_rows(shown: str, rows: int, limits: LoadLimits) -> None:
    """TableError where a table has more rows than the bound."""
    if rows > limits.rows:
        raise TableError(
            f"{shown}: {rows} rows, but at most {limits.rows} are read; give a smaller table"
        )


def read_duckdb(file: SourceFile, session: LoadSession) -> list[RawTable]:
    """Read every table of a DuckDB file into a raw table, with its declared keys.

    The file is attached read-only; its views and macros are never run.
    """
    connection = session.connection
    connection.execute(f"ATTACH {literal(str(file.path))} AS {_ATTACHED} (READ_ONLY, TYPE duckdb)")
    try:
        tables = connection.execute(
            "SELECT schema_name, table_name, table_oid FROM duckdb_tables() "
            "WHERE database_name = ? AND NOT internal ORDER BY schema_name, table_oid",
            [_ATTACHED],
        ).fetchall()
        if not tables:
            raise TableError(f"{file.shown}: holds no tables (views are not read); add some")
        return [_duckdb_table(str(s), str(n), int(oid), file, session) for s, n, oid in tables]
    finally:
        connection.execute(f"DETACH {_ATTACHED}")


def _duckdb_table(
    schema: str, name: str, oid: int, file: SourceFile, session: LoadSession
) -> RawTable:
    source = f"{file.shown} ({name})"
    origin = f"{_ATTACHED}.{quoted(schema)}.{quoted(name)}"
    check_rows(source, session.count(origin), session.limits)
    declared = session.connection.execute(
        "SELECT constraint_column_names, referenced_table, referenced_column_names "
        "FROM duckdb_constraints() WHERE database_name = ? AND table_oid = ? "
        "AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY') ORDER BY constraint_index",
        [_ATTACHED, oid],
    ).fetchall()
    constraints = [KeyConstraint(*columns) for columns in declared]
    return copy_relation(origin, name, file, source, session, constraints)


class KeyConstraint(NamedTuple):
    """A key that a database declares of a table."""

    columns: Sequence[str]
    table: str | None
    """The table that a foreign key points to. None: it is the table's own key."""
    references: Sequence[str]


def copy_relation(
    origin: str,
    name: str,
    file: SourceFile,
    source: str,
    session: LoadSession,
    constraints: Sequence[KeyConstraint] = (),
) -> RawTable:
    """Copy a relation of DuckDB's into a raw table, with the keys that are declared of it."""
    connection = session.connection
    described = connection.execute(f"DESCRIBE SELECT * FROM {origin}").fetchall()
    names = [str(row[0]) for row in described]
    check_width(source, len(names), session.limits)
    check_repeated(source, names)
    types = [_content_of(str(row[1])) for row in described]
    # Before anything is copied: a small file may hold one long text a million times.
    _check_cells(origin, names, types, source, session)
    columns: list[RawColumn] = []
    for original, content in zip(names, types, strict=True):
        typed = content in _NATIVE
        if content in _MISFITS:
            cell = quoted(original)
            row = connection.execute(
                f"SELECT {count_where(f'{cell} IS NOT NULL AND {_MISFITS[content].format(cell)}')} "
                f"FROM {origin}"
            ).fetchone()
            # A column with a value that its native type can't hold becomes text.
            typed = row is not None and row[0] == 0
        columns.append(RawColumn(original, content, typed))
    selected: list[str] = []
    for number, column in enumerate(columns):
        form = (_NATIVE if column.typed else _TEXT).get(column.holds, "CAST({0} AS VARCHAR)")
        selected.append(f"{form.format(quoted(column.original))} AS c{number}")
    relation = session.fresh()
    connection.execute(f"CREATE TABLE {relation} AS SELECT {', '.join(selected)} FROM {origin}")
    key: str | None = None
    foreign_keys: list[RawForeignKey] = []
    notes: list[str] = []
    for columns_of, table, references in constraints:
        # A key of several columns can't name one row to ask about.
        if table is None and len(columns_of) > 1:
            notes.append(f"key of several columns, not used: {', '.join(columns_of)}")
        elif table is None:
            key = columns_of[0]
        elif len(columns_of) > 1:
            notes.append(f"foreign key of several columns to {table!r}, not used")
        else:
            foreign_keys.append(RawForeignKey(columns_of[0], table, references[0]))
    return RawTable(
        relation=relation,
        name=name,
        path=file.path,
        source=source,
        columns=tuple(columns),
        rows=session.count(relation),
        key=key,
        foreign_keys=tuple(foreign_keys),
        notes=tuple(notes),
    )


def _check_cells(
    origin: str,
    names: Sequence[str],
    types: Sequence[ColumnContent],
    source: str,
    session: LoadSession,
) -> None:
    """Refuse texts that are too long or too many."""
    texts = [n for n, content in zip(names, types, strict=True) if content is ColumnContent.text]
    if not texts:
        return
    selected = ", ".join(
        f"max(strlen({quoted(n)}::VARCHAR)), sum(strlen({quoted(n)}::VARCHAR))" for n in texts
    )
    row = session.connection.execute(f"SELECT {selected} FROM {origin}").fetchone() or ()
    for position, name in enumerate(texts):
        longest, total = row[2 * position] or 0, row[2 * position + 1] or 0
        # In bytes, of which a character has at most four.
        if longest > 4 * session.limits.cell or total > session.limits.text_bytes:
            raise TableError(
                f"{source}: column {name[:80]!r} holds {int(total)} bytes of text, "
                f"{int(longest)} in one cell; shorten its texts or take it out"
            )


def _content_of(declared: str) -> ColumnContent:
    """What a DuckDB type holds."""
    declared = declared.upper()
    if declared == "BOOLEAN":
        return ColumnContent.boolean
    if _INTEGERS.fullmatch(declared):
        return ColumnContent.integer
    if declared in ("FLOAT", "DOUBLE") or re.fullmatch(r"DECIMAL\(\d+,\d+\)", declared):
        return ColumnContent.number
    if declared == "DATE" or declared.startswith("TIMESTAMP"):
        return ColumnContent.date
    if declared in ("VARCHAR", "UUID") or (declared.startswith("ENUM(") and declared.endswith(")")):
        return ColumnContent.text
    return ColumnContent.nested


# SQL of a typed cell; {0} is the column. Numbers of 32 bits go through their shortest decimal
# form: widened as they are, 0.1 would become 0.10000000149011612.
_NATIVE = {
    ColumnContent.integer: "CAST({0} AS BIGINT)",
    ColumnContent.number: "CASE WHEN isfinite(CAST({0} AS DOUBLE)) "
    "THEN CAST(CAST({0} AS VARCHAR) AS DOUBLE) END",
    ColumnContent.boolean: "{0}",
    ColumnContent.date: "CASE WHEN isfinite({0}) THEN CAST({0} AS DATE) END",
}
_MISFITS = {
    ColumnContent.integer: "TRY_CAST({0} AS BIGINT) IS NULL",
    ColumnContent.date: "isfinite({0}) AND CAST({0} AS DATE) "
    "NOT BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'",
}
# SQL of a cell that becomes text; types that are not here are cast.
_TEXT = {
    ColumnContent.nested: "CASE WHEN {0} IS NOT NULL THEN 'nested' END",
    ColumnContent.date: "CASE WHEN isfinite({0}) THEN CAST(CAST({0} AS DATE) AS VARCHAR) END",
}
