"""Parquet and DuckDB files, read by DuckDB itself; what they promise is checked before reading."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from astra.arenas.tables.load.files import SourceFile
from astra.arenas.tables.load.names import literal, quoted
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
from astra.errors import TableError

_INTEGERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
_ATTACHED = "attached_file"


def read_parquet(file: SourceFile, workshop: LoadSession) -> RawTable:
    """Read a Parquet file into a raw table.

    Raises TableError where its own metadata, or a first look at its cells, exceeds the bounds.
    """
    link = workshop.folder / f"{workshop.fresh()}.parquet"
    # DuckDB takes *, ? and [ in a path for patterns; a link has none.
    link.symlink_to(file.path)
    try:
        _check_parquet(link, file.shown, workshop)
        origin = f"read_parquet({literal(str(link))}, hive_partitioning=false)"
        return _copy(origin, file.path.stem, file, file.shown, workshop)
    except duckdb.Error as error:
        raise _unreadable(file.shown, "Parquet", error) from error
    finally:
        link.unlink()


def _check_parquet(path: Path, shown: str, workshop: LoadSession) -> None:
    rows = workshop.connection.execute(
        "SELECT num_rows FROM parquet_file_metadata(?)", [str(path)]
    ).fetchone()
    size = workshop.connection.execute(
        "SELECT sum(total_uncompressed_size) FROM parquet_metadata(?)", [str(path)]
    ).fetchone()
    _check_promise(shown, int(rows[0]) if rows else 0, workshop.bounds)
    if size and size[0] is not None and int(size[0]) > workshop.bounds.text_bytes:
        raise TableError(
            f"{shown}: unpacks to {int(size[0])} bytes, more than {workshop.bounds.text_bytes}; "
            "give a smaller table"
        )


def _check_promise(shown: str, rows: int, bounds: LoadLimits) -> None:
    if rows > bounds.rows:
        raise TableError(
            f"{shown}: {rows} rows, but at most {bounds.rows} are read; give a smaller table"
        )


def read_duckdb(file: SourceFile, workshop: LoadSession) -> list[RawTable]:
    """Read every table of a DuckDB file into a raw table, with its declared keys.

    The file is attached read-only; its views and macros are never run.
    """
    connection = workshop.connection
    try:
        connection.execute(
            f"ATTACH {literal(str(file.path))} AS {_ATTACHED} (READ_ONLY, TYPE duckdb)"
        )
    except duckdb.Error as error:
        raise _unreadable(file.shown, "DuckDB", error) from error
    try:
        tables = connection.execute(
            "SELECT schema_name, table_name, table_oid FROM duckdb_tables() "
            "WHERE database_name = ? AND NOT internal ORDER BY schema_name, table_oid",
            [_ATTACHED],
        ).fetchall()
        if not tables:
            raise TableError(f"{file.shown}: holds no tables (views are not read); add some")
        return [_duckdb_table(str(s), str(n), int(oid), file, workshop) for s, n, oid in tables]
    except duckdb.Error as error:
        raise _unreadable(file.shown, "DuckDB", error) from error
    finally:
        connection.execute(f"DETACH {_ATTACHED}")


def _duckdb_table(
    schema: str, name: str, oid: int, file: SourceFile, workshop: LoadSession
) -> RawTable:
    source = f"{file.shown} ({name})"
    origin = f"{_ATTACHED}.{quoted(schema)}.{quoted(name)}"
    _check_promise(source, workshop.count(origin), workshop.bounds)
    keys: list[str] = []
    foreign: list[RawForeignKey] = []
    for kind, columns, table, references in workshop.connection.execute(
        "SELECT constraint_type, constraint_column_names, referenced_table, "
        "referenced_column_names FROM duckdb_constraints() "
        "WHERE database_name = ? AND table_oid = ? ORDER BY constraint_index",
        [_ATTACHED, oid],
    ).fetchall():
        if len(columns) != 1:
            continue
        if kind == "PRIMARY KEY":
            keys.append(str(columns[0]))
        elif kind == "FOREIGN KEY":
            foreign.append(RawForeignKey(str(columns[0]), str(table), str(references[0])))
    return _copy(
        origin, name, file, source, workshop, key=keys[0] if keys else None, foreign_keys=foreign
    )


def _copy(
    origin: str,
    name: str,
    file: SourceFile,
    source: str,
    workshop: LoadSession,
    *,
    key: str | None = None,
    foreign_keys: Sequence[RawForeignKey] = (),
) -> RawTable:
    """Copy a relation of DuckDB's into a raw table of texts."""
    connection = workshop.connection
    described = connection.execute(f"DESCRIBE SELECT * FROM {origin}").fetchall()
    names = [str(row[0]) for row in described]
    check_width(source, len(names), workshop.bounds)
    check_repeated(source, names)
    types = [_holds(str(row[1])) for row in described]
    _check_cells(origin, names, types, source, workshop)
    selected = ", ".join(
        f"{_as_text(quoted(column), held)} AS c{i}"
        for i, (column, held) in enumerate(zip(names, types, strict=True))
    )
    relation = workshop.fresh()
    connection.execute(f"CREATE TABLE {relation} AS SELECT {selected} FROM {origin}")
    return RawTable(
        relation=relation,
        name=name,
        path=file.path,
        source=source,
        columns=tuple(RawColumn(n, held) for n, held in zip(names, types, strict=True)),
        rows=workshop.count(relation),
        key=key,
        foreign_keys=tuple(foreign_keys),
    )


def _check_cells(
    origin: str,
    names: Sequence[str],
    types: Sequence[ColumnContent],
    source: str,
    workshop: LoadSession,
) -> None:
    """Refuse texts that are too long or too many before they are copied: a small file may hold
    one long text a million times."""
    texts = [name for name, held in zip(names, types, strict=True) if held is ColumnContent.text]
    if not texts:
        return
    selected = ", ".join(
        f"max(strlen({quoted(n)}::VARCHAR)), sum(strlen({quoted(n)}::VARCHAR))" for n in texts
    )
    row = workshop.connection.execute(f"SELECT {selected} FROM {origin}").fetchone() or ()
    for position, name in enumerate(texts):
        longest, total = row[2 * position] or 0, row[2 * position + 1] or 0
        if longest > 4 * workshop.bounds.cell or total > workshop.bounds.text_bytes:
            raise TableError(
                f"{source}: column {name[:80]!r} holds {int(total)} bytes of text, "
                f"{int(longest)} in one cell; shorten its texts or take it out"
            )


def _holds(declared: str) -> ColumnContent:
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


def _as_text(column: str, held: ColumnContent) -> str:
    match held:
        case ColumnContent.nested:
            return f"CASE WHEN {column} IS NOT NULL THEN 'nested' END"
        case ColumnContent.date:
            return f"CASE WHEN isfinite({column}) THEN CAST(CAST({column} AS DATE) AS VARCHAR) END"
        case _:
            return f"CAST({column} AS VARCHAR)"


def _unreadable(shown: str, form: str, error: duckdb.Error) -> TableError:
    if isinstance(error, duckdb.OutOfMemoryException):
        return TableError(f"{shown}: too large for the memory limit; give a smaller table")
    first = (str(error).strip().splitlines() or ["no reason given"])[0]
    return TableError(
        f"{shown}: can't be read as {form} ({first[:300]}); write it anew, or export it as CSV"
    )
