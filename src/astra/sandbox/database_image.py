"""A database as the bytes of a SQLite file, made once and copied into every episode."""

from __future__ import annotations

import base64
import re
import sqlite3
from collections import OrderedDict
from typing import Any, NamedTuple

from astra.databases import Database, DatabaseColumn, DatabaseEpisode, DatabaseTable
from astra.errors import ConfigError
from astra.sandbox.child.database import HASH_RANGE, OWN, row_hash
from astra.types import Json

_CACHED = 64
_TYPES = {
    "text": "TEXT",
    "integer": "INTEGER",
    "decimal": "INTEGER",
    "date": "TEXT",
    "boolean": "INTEGER",
}
_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)


class DatabaseImage(NamedTuple):
    """What a child needs to begin with a database."""

    base64: str
    state: str
    """Hash of the first state."""
    columns: dict[str, list[str]]
    keys: dict[str, str]


_images: OrderedDict[str, DatabaseImage] = OrderedDict()


def database_image(database: Database) -> DatabaseImage:
    """The SQLite file of a database. Raises ConfigError for one that breaks its own rules."""
    image = _images.get(database.id)
    if image is None:
        image = _images[database.id] = _make(database)
        while len(_images) > _CACHED:
            _images.popitem(last=False)
    _images.move_to_end(database.id)
    return image


def opening_fields(episode: DatabaseEpisode) -> dict[str, Json]:
    """The part of the first message to a runner that describes its database."""
    image = database_image(episode.database)
    return {
        "image": image.base64,
        "hash": image.state,
        "columns": image.columns,
        "keys": image.keys,
        "writes": {tool: list(tables) for tool, tables in episode.writes.items()},
        "now": episode.now,
    }


def state_hash(rows: dict[str, list[list[Any]]]) -> str:
    """Hash of a state: table -> rows, cells in the order of the columns."""
    total = sum(row_hash(table, row) for table, found in rows.items() for row in found)
    return f"{total % HASH_RANGE:064x}"


def _make(database: Database) -> DatabaseImage:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        # A table takes a page at least, and the file is sent for each episode: small ones halve it.
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("BEGIN")
        connection.execute(
            'CREATE TABLE __changes (number INTEGER PRIMARY KEY, "table" TEXT, key ANY, '
            "before TEXT) STRICT"
        )
        connection.execute(
            "CREATE TABLE __keys (name TEXT PRIMARY KEY, prefix TEXT, width INTEGER, "
            "next INTEGER) STRICT"
        )
        for table in database.tables:
            connection.execute(_create(table))
        for table in database.tables:
            places = ", ".join("?" for _ in table.columns)
            connection.executemany(
                f"INSERT INTO {_quoted(table.name)} VALUES ({places})", table.rows
            )
            connection.execute("INSERT INTO __keys VALUES (?, ?, ?, ?)", _numbering(table))
            for trigger in _triggers(table):
                connection.execute(trigger)
        if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
            raise ConfigError(
                f"database {database.id!r}: a row of table {broken[0]!r} refers to a row of "
                f"{broken[2]!r} that is not there"
            )
        connection.execute("COMMIT")
        image = connection.serialize()
    except (sqlite3.Error, OverflowError, ValueError) as error:
        raise ConfigError(f"database {database.id!r} can't be made: {error}") from None
    finally:
        connection.close()
    rows = {table.name: [list(row) for row in table.rows] for table in database.tables}
    return DatabaseImage(
        base64.b64encode(image).decode(),
        state_hash(rows),
        {table.name: [column.name for column in table.columns] for table in database.tables},
        {table.name: table.key for table in database.tables},
    )


def _create(table: DatabaseTable) -> str:
    if table.name.startswith((OWN, "sqlite_")):
        raise ValueError(f"a table may not be named {table.name!r}")
    columns = [_definition(table, column) for column in table.columns]
    return f"CREATE TABLE {_quoted(table.name)} ({', '.join(columns)}) STRICT"


def _definition(table: DatabaseTable, column: DatabaseColumn) -> str:
    name = _quoted(column.name)
    parts = [name, _TYPES[column.type]]
    if column.name == table.key:
        parts.append("PRIMARY KEY NOT NULL")
    elif column.required:
        parts.append("NOT NULL")
    if column.unique and column.name != table.key:
        parts.append("UNIQUE")
    if column.minimum is not None:
        parts.append(f"CHECK ({name} >= {column.minimum})")
    if column.choices:
        parts.append(f"CHECK ({name} IN ({', '.join(_literal(text) for text in column.choices)}))")
    if column.type == "boolean":
        parts.append(f"CHECK ({name} IN (0, 1))")
    if column.type == "date":
        digits = "[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]"
        parts.append(f"CHECK ({name} GLOB '{digits}')")
    if other := table.references.get(column.name):
        parts.append(f"REFERENCES {_quoted(other)}")
    return " ".join(parts)


def next_key(table: DatabaseTable) -> str | int:
    """The key that the first new row gets."""
    _, prefix, width, number = _numbering(table)
    return number if prefix is None else f"{prefix}{number:0{width}d}"


def _numbering(table: DatabaseTable) -> tuple[str, str | None, int | None, int]:
    """Table, and how its next key is written: prefix, digits, number."""
    keys = list(table.rows_by_key)
    numbers = [key for key in keys if isinstance(key, int)]
    if numbers or not keys:
        return table.name, None, None, max(numbers, default=0) + 1
    numbered = [match for key in keys if (match := _NUMBERED.fullmatch(str(key)))]
    last = max(numbered, key=lambda match: int(match[2]), default=None)
    if last is None:
        return table.name, f"{table.name}-", 1, 1
    return table.name, last[1], len(last[2]), int(last[2]) + 1


def _triggers(table: DatabaseTable) -> list[str]:
    name, key = _quoted(table.name), _quoted(table.key)
    old = ", ".join(f"OLD.{_quoted(column.name)}" for column in table.columns)
    log = 'INSERT INTO __changes ("table", key, before) VALUES'
    said = _literal(table.name)
    bodies = {
        "INSERT": f"{log} ({said}, NEW.{key}, NULL);",
        "DELETE": f"{log} ({said}, OLD.{key}, json_array({old}));",
        # A row whose key changes is one that goes and one that comes.
        "UPDATE": f"{log} ({said}, OLD.{key}, json_array({old})); {log} ({said}, NEW.{key}, NULL);",
    }
    return [
        f"CREATE TRIGGER {_quoted(f'{OWN}{table.name} {event}')} AFTER {event} ON {name} "
        f"BEGIN {body} END"
        for event, body in bodies.items()
    ]


def _quoted(name: str) -> str:
    if not name or "\0" in name or len(name) > 200:
        raise ValueError(f"a table or column can't be named {name[:200]!r}")
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"{text[:200]!r} holds a null character")
    return "'" + text.replace("'", "''") + "'"
