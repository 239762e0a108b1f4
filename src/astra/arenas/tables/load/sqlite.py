"""SQLite files, read with Python's sqlite3: DuckDB's reader is an extension to be downloaded.

The file is opened immutable and read-only; nothing in it is run: views, triggers and virtual
tables are left alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from urllib.parse import quote

from astra.arenas.tables.load.files import SourceFile
from astra.arenas.tables.load.raw import (
    ColumnContent,
    LoadSession,
    RawColumn,
    RawForeignKey,
    RawTable,
    cells,
    check_repeated,
    check_width,
    column_of,
)
from astra.arenas.tables.sql import literal, quoted
from astra.errors import TableError

# SQLite's storage classes -> kinds of values.
_STORED = {"integer": "integer", "real": "number", "text": "text", "blob": "nested", "null": "null"}


def read_sqlite(file: SourceFile, session: LoadSession) -> list[RawTable]:
    """Read every plain table of an SQLite file into a raw table, with its declared keys."""
    for journal in ("-wal", "-journal"):
        journal_file = file.path.with_name(file.path.name + journal)
        if journal_file.exists() and journal_file.stat().st_size:
            raise TableError(
                f"{file.shown}: has changes in {journal_file.name!r} that are not in the file yet; "
                "close the program that writes to it, then open and close it with sqlite3"
            )
    try:
        uri = f"file:{quote(str(file.path))}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            # A view or a generated column could otherwise call functions with side effects.
            database.execute("PRAGMA trusted_schema=OFF")
            # One broken text must not refuse the file: it shows as U+FFFD.
            database.text_factory = lambda raw: raw.decode("utf-8", "replace")
            # By root page: in the order in which the tables were created.
            entries = database.execute(
                "SELECT name, type, sql FROM sqlite_schema WHERE type IN ('table', 'view') "
                "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rootpage, name"
            ).fetchall()
            # A virtual table keeps its data in plain ones called NAME_…, which mean nothing alone.
            virtual = [n for n, _, sql in entries if str(sql).upper().startswith("CREATE VIRTUAL")]
            plain = [
                name
                for name, kind, _ in entries
                if kind == "table"
                and not any(name == v or name.startswith(f"{v}_") for v in virtual)
            ]
            left = [name for name, _, _ in entries if name not in plain]
            if not plain:
                raise TableError(f"{file.shown}: holds no tables (views are not read); add some")
            tables = [_table(database, name, file, session) for name in plain]
            if left:
                # Raw tables alone carry notes, so the first one speaks for the file.
                shown = ", ".join(map(repr, left[:5]))
                note = f"not read from this file, views or virtual tables: {shown}"
                tables[0] = dataclasses.replace(tables[0], notes=(*tables[0].notes, note))
            return tables
    except sqlite3.Error as error:
        raise TableError(
            f"{file.shown}: can't be read as SQLite ({error}); "
            "check it with `PRAGMA integrity_check`, or export its tables as CSV"
        ) from error


def _table(
    database: sqlite3.Connection, name: str, file: SourceFile, session: LoadSession
) -> RawTable:
    source = f"{file.shown} ({name})"
    info = database.execute(f"PRAGMA table_info({literal(name)})").fetchall()
    names = [str(row[1]) for row in info]
    check_width(source, len(names), session.limits)
    check_repeated(source, names)
    keys = [str(row[1]) for row in info if row[5]]
    selected = ", ".join(quoted(column) for column in names)
    columns = tuple(_column(database, name, str(row[1]), str(row[2])) for row in info)
    records = database.execute(f"SELECT {selected} FROM {quoted(name)}")
    relation, count = session.table_of_rows(
        source, columns, (cells(columns, row) for row in records)
    )
    foreign = database.execute(f"PRAGMA foreign_key_list({literal(name)})").fetchall()
    # A key of several columns has a row for each: a later one has a number above 0.
    composite = {row[0] for row in foreign if row[1] > 0}
    notes = [f"key of several columns, not used: {', '.join(keys)}"] if len(keys) > 1 else []
    notes += [
        f"foreign key of several columns to {other!r}, not used"
        for other in sorted({str(row[2]) for row in foreign if row[0] in composite})
    ]
    return RawTable(
        relation=relation,
        name=name,
        path=file.path,
        source=source,
        columns=columns,
        rows=count,
        key=keys[0] if len(keys) == 1 else None,
        foreign_keys=tuple(
            RawForeignKey(str(row[3]), str(row[2]), None if row[4] is None else str(row[4]))
            for row in sorted(foreign)
            if row[0] not in composite
        ),
        notes=tuple(notes),
    )


def _column(database: sqlite3.Connection, table: str, name: str, declared: str) -> RawColumn:
    """A column by what its values are stored as; SQLite's declared types bind nothing."""
    kinds = {
        _STORED[str(stored)]
        for (stored,) in database.execute(
            f"SELECT DISTINCT typeof({quoted(name)}) FROM {quoted(table)}"
        )
    }
    column = column_of(name, kinds)
    if column.holds is ColumnContent.integer and declared.upper().startswith("BOOL"):
        # SQLite has no booleans: 0 and 1 are, if the declaration says so and nothing else is there.
        other = database.execute(
            f"SELECT 1 FROM {quoted(table)} WHERE {quoted(name)} NOT IN (0, 1) LIMIT 1"
        ).fetchone()
        return RawColumn(name, ColumnContent.boolean, typed=other is None)
    return column
