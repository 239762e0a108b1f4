"""Live databases by their address, read through DuckDB's extensions: read-only, and bounded.

Passwords come from the environment (`PGPASSWORD`, `MYSQL_PWD`) or from the client's own files: an
address is stored in run folders and stands in messages, so one that holds a password is refused
without being shown.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import duckdb

from astra.arenas.tables.load.columnar import KeyConstraint, check_rows, copy_relation
from astra.arenas.tables.load.files import FileFormat, SourceFile
from astra.arenas.tables.load.raw import LoadSession, RawTable
from astra.arenas.tables.sql import literal, quoted
from astra.errors import TableError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+]+):/+(.*)", re.DOTALL)
_PLAIN = re.compile(r"[\w.-]+")
_ATTACHED = "attached_database"
_MOST_TABLES = 1_000
# Each column of a key in a row of its own: (schema, table, key, column, table that a foreign key
# points to, its schema, its column).
_KEYS_OF_POSTGRESQL = """
    SELECT n.nspname::text, t.relname::text, c.conname::text, a.attname::text AS own_column,
           ft.relname::text AS other_table, fn.nspname::text AS other_schema,
           fa.attname::text AS other_column
    FROM pg_catalog.pg_constraint c
    JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
    CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (own, other, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.own
    LEFT JOIN pg_catalog.pg_class ft ON ft.oid = c.confrelid
    LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = ft.relnamespace
    LEFT JOIN pg_catalog.pg_attribute fa ON fa.attrelid = ft.oid AND fa.attnum = k.other
    WHERE c.contype IN ('p', 'f') ORDER BY 1, 2, 3, k.position
"""
_KEYS_OF_MYSQL = """
    SELECT table_schema, table_name, constraint_name, column_name,
           referenced_table_name, referenced_table_schema, referenced_column_name
    FROM information_schema.key_column_usage
    WHERE table_schema = database()
    AND (constraint_name = 'PRIMARY' OR referenced_table_name IS NOT NULL)
    ORDER BY 1, 2, 3, ordinal_position
"""
_SYSTEM = ("information_schema", "pg_catalog", "mysql", "performance_schema", "sys")


class _Kind(NamedTuple):
    extension: str
    database: str
    """Its parameter in the extension's connection texts."""
    password: str
    """Environment variable."""
    keys: str
    """Query, in the server's own SQL, for the keys that it declares."""
    more: str = ""


_KINDS = {
    "postgresql": _Kind(
        "postgres", "dbname", "PGPASSWORD", _KEYS_OF_POSTGRESQL, " connect_timeout=10"
    ),
    "mysql": _Kind("mysql", "database", "MYSQL_PWD", _KEYS_OF_MYSQL),
}
_ALIASES = {"postgres": "postgresql", "mariadb": "mysql"}


def is_address(path: Path | str) -> bool:
    """Whether a source is the address of a database and not a path."""
    # `Path` makes one slash of two; a drive of Windows has one letter.
    return _ADDRESS.fullmatch(str(path)) is not None and not Path(path).exists()


def sqlite_path(address: Path | str) -> Path | None:
    """The file of `sqlite:///FILE`. None for other addresses."""
    match = _ADDRESS.fullmatch(str(address))
    if match is None or match.group(1).lower() != "sqlite":
        return None
    relative = Path(match.group(2))
    return relative if relative.exists() else Path("/") / relative


def read_database(address: Path | str, session: LoadSession) -> list[RawTable]:
    """Read every table of a live database into a raw table.

    Raises TableError, which quotes nothing of an address that may hold a secret.
    """
    match = _ADDRESS.fullmatch(str(address))
    assert match is not None
    scheme, rest = match.group(1).lower(), match.group(2)
    scheme = _ALIASES.get(scheme, scheme)
    kind = _KINDS.get(scheme)
    if kind is None:
        raise TableError(
            f"{scheme}: is not a database that can be read; give postgresql://, mysql:// or "
            "sqlite:///, or export its tables as CSV"
        )
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = parts.hostname or "localhost", parts.port
    except ValueError:
        raise TableError(
            f"{scheme}: not an address; write one like {scheme}://USER@HOST:PORT/DATABASE"
        ) from None
    if parts.password is not None or parts.query or parts.fragment:
        raise TableError(
            f"{scheme}: the address holds a password or options, which would be stored: leave "
            f"them out, and put the password into the environment variable {kind.password}"
        )
    user, database = unquote(parts.username or ""), unquote(parts.path.strip("/"))
    for name, value in (("host", host), ("user", user or "x"), ("database", database)):
        if not _PLAIN.fullmatch(value):
            raise TableError(
                f"{scheme}: the address names no {name} of letters, digits, points and dashes; "
                f"write one like {scheme}://USER@HOST:PORT/DATABASE"
            )
    shown = f"{scheme}://{host}{f':{port}' if port else ''}/{database}"
    text = f"host={host} {kind.database}={database}{kind.more}"
    text += (f" port={port}" if port else "") + (f" user={user}" if user else "")
    connection = session.connection
    try:
        connection.execute(f"LOAD {kind.extension}")
    except duckdb.Error as error:
        raise TableError(
            f"{shown}: DuckDB's extension {kind.extension!r} is not installed; install it with "
            f"`python -c \"import duckdb; duckdb.sql('INSTALL {kind.extension}')\"`, "
            "or export the tables as CSV or Parquet"
        ) from error
    try:
        connection.execute(
            f"ATTACH {literal(text)} AS {_ATTACHED} (TYPE {kind.extension}, READ_ONLY)"
        )
    except duckdb.Error as error:
        first = (str(error).strip().splitlines() or ["no reason given"])[0]
        # The reason stands behind the address, as DuckDB writes it.
        first = first.rpartition('": ')[2] or first
        raise TableError(
            f"{shown}: can't be opened ({first[:300]}); check the address, and the password in "
            f"{kind.password}"
        ) from error
    try:
        tables = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? "
            "AND NOT internal ORDER BY ALL",
            [_ATTACHED],
        ).fetchall()
        tables = [(str(s), str(n)) for s, n in tables if s not in _SYSTEM]
        if not tables or len(tables) > _MOST_TABLES:
            raise TableError(
                f"{shown}: holds {len(tables)} tables; give a database with 1 to {_MOST_TABLES}"
            )
        notes: list[str] = []
        try:
            keys = connection.execute(
                f"SELECT * FROM {kind.extension}_query({literal(_ATTACHED)}, {literal(kind.keys)})"
            ).fetchall()
        except duckdb.Error as error:
            first = (str(error).strip().splitlines() or ["no reason given"])[0]
            keys, notes = [], [f"the database does not say its keys ({first[:200]})"]
        constraints, left = key_constraints(keys, tables)
        file = SourceFile(Path(shown), shown, FileFormat.duckdb)
        raws: list[RawTable] = []
        for schema, name in tables:
            source, origin = f"{shown} ({name})", f"{_ATTACHED}.{quoted(schema)}.{quoted(name)}"
            check_rows(source, session.count(origin), session.limits)
            own = constraints.get((schema, name), ())
            raws.append(copy_relation(origin, name, file, source, session, own))
        raws[0] = dataclasses.replace(raws[0], notes=(*raws[0].notes, *notes, *left))
        return raws
    finally:
        connection.execute(f"DETACH {_ATTACHED}")


def key_constraints(
    rows: Iterable[tuple[str, str, str, str, str | None, str | None, str | None]],
    tables: Sequence[tuple[str, str]],
) -> tuple[dict[tuple[str, str], list[KeyConstraint]], list[str]]:
    """The keys of each table, by schema and name, and notes on those that can't be used.

    `rows`: a server's answer to the query for its keys. `tables`: those that are read.
    """
    names = Counter(name.casefold() for _, name in tables)
    found: dict[tuple[str, str], list[KeyConstraint]] = {}
    notes: list[str] = []
    for (schema, table, _), columns in itertools.groupby(rows, key=lambda row: row[:3]):
        parts = list(columns)
        if (schema, table) not in tables:
            continue
        other, other_schema = parts[0][4:6]
        # Tables are known by their names alone from here on.
        if other is not None and (
            (other_schema, other) not in tables or names[other.casefold()] > 1
        ):
            notes.append(
                f"foreign key of {table!r} to {other!r} in schema {other_schema!r}, not used: that "
                "table is not read, or others are called the same"
            )
            continue
        references = [row[6] for row in parts if row[6] is not None]
        constraint = KeyConstraint([row[3] for row in parts], other, references)
        found.setdefault((schema, table), []).append(constraint)
    return found, notes
