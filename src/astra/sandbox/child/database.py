"""The database of one episode: tools read and write it, and each call is one savepoint.

A call that raises, or returns a structured error, leaves no trace. What the others change is noted
by triggers, read back before the savepoint is released, and becomes part of the reply. All calls
stand in one transaction: taking it back is the way to the first state. The tool's part of this
process could forge all that; it would forge its own episode only.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from typing import Any, Self

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
HASH_RANGE = 1 << 256
ENDED_TRANSACTION = 72
"""Exit status of a child whose tool ended the transaction of its call."""
READING = "/* 0 */"
"""The context of calls that may write nothing."""
OWN = "__"
"""Names of the tables that hold what this module keeps beside the user's begin so."""
# Their results depend on chance, on the real clock or on what is installed, or they reach out of
# the database.
_DENIED_FUNCTIONS = frozenset({
    "random", "randomblob", "date", "time", "datetime", "julianday", "unixepoch", "strftime",
    "timediff", "current_date", "current_time", "current_timestamp", "load_extension", "changes",
    "total_changes", "last_insert_rowid", "sqlite_log", "fts3_tokenizer", "readfile", "writefile",
    "sqlite_version", "sqlite_source_id", "sqlite_compileoption_get", "sqlite_compileoption_used",
})  # fmt: skip
_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})
_WRITES = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})


def row_hash(table: str, row: list[Any]) -> int:
    """The share of one row in the hash of a state, which is the sum over all rows."""
    return int.from_bytes(hashlib.sha256(_encode([table, row]).encode()).digest(), "big")


def _refuse(*_: Any, **__: Any) -> Any:
    raise sqlite3.ProgrammingError("DATABASE is for statements; this is not allowed on it")


def _lasting(name: str) -> Callable[..., Any]:
    """The method of a connection, which notes that it sets what no transaction takes back."""
    method = getattr(sqlite3.Connection, name)

    def noting(self: _Connection, *values: Any, **options: Any) -> Any:
        setattr(self, f"_{name}", True)
        return method(self, *values, **options)

    return noting


class _Cursor(sqlite3.Cursor):
    """With the context of the call before each statement."""

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        return super().execute(_context_of(self) + sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Self:
        return super().executemany(_context_of(self) + sql, parameters)

    executescript = _refuse


class _Connection(sqlite3.Connection):
    """Without what would end it, replace it, or reach past its transaction or the triggers."""

    context = READING
    """Stands before each statement of a tool, by what its call may write: a statement that is kept
    prepared would run in a call that may not without asking the authorizer again."""

    close = deserialize = blobopen = set_authorizer = _refuse
    executescript = serialize = backup = _refuse
    total_changes: Any = property(_refuse)
    isolation_level: Any = property(lambda _: None, _refuse)
    create_function = _lasting("create_function")
    create_aggregate = _lasting("create_aggregate")
    create_window_function = _lasting("create_window_function")
    create_collation = _lasting("create_collation")
    set_trace_callback = _lasting("set_trace_callback")
    setlimit = _lasting("setlimit")

    @property
    def has_settings(self) -> bool:
        """Whether a tool has set something, or left something on it, that outlasts its call."""
        return bool(vars(self).keys() - {"context"})

    def cursor(self, factory: Any = None) -> _Cursor:
        return super().cursor(_Cursor)

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> _Cursor:
        return self.cursor().executemany(sql, parameters)

    def set_progress_handler(self, progress_handler: Callable[[], Any] | None, n: int) -> None:
        # One that is taken away again leaves nothing.
        vars(self).pop("_set_progress_handler", None)
        if progress_handler is not None:
            self._set_progress_handler = True
        super().set_progress_handler(progress_handler, n)

    def commit(self) -> None:
        if self.context != READING:
            super().commit()

    def rollback(self) -> None:
        if self.context != READING:
            super().rollback()

    def __exit__(self, *error: Any) -> Any:
        # A call that only reads has nothing to commit.
        return False if self.context == READING else super().__exit__(*error)


def _context_of(cursor: sqlite3.Cursor) -> str:
    connection = cursor.connection
    assert isinstance(connection, _Connection)
    return connection.context


class EpisodeDatabase:
    """What tools find as `DATABASE`, `new_key` and `now`, with the log of what they change."""

    def __init__(self, opening: dict[str, Any]) -> None:
        self._image = base64.b64decode(opening["image"])
        self._columns: dict[str, list[str]] = opening["columns"]
        self._keys: dict[str, str] = opening["keys"]
        self._writes: dict[str, list[str]] = opening["writes"]
        self._first_hash, self._first_now = int(opening["hash"], 16), opening["now"]
        self._writable: frozenset[str] | None = frozenset()
        self._contexts: dict[frozenset[str], str] = {frozenset(): READING}
        self._selects = {table: self._select(table) for table in self._columns}
        self._begin()

    def _begin(self) -> None:
        """Open the first state."""
        connection = _Connection(":memory:", isolation_level=None)
        sqlite3.Connection.deserialize(connection, self._image)
        for setting in ("foreign_keys=1", "recursive_triggers=1", "temp_store=2"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("BEGIN")
        sqlite3.Connection.set_authorizer(connection, self._authorize)
        self._connection = connection
        self._present_rows()
        self._has_written = self._has_savepoint = False
        self._hash = self._first_hash
        self._now = datetime.datetime.fromisoformat(self._first_now)

    def restore(self) -> None:
        """Back to the first state: by taking all back, as to open it again takes many times longer.

        A new connection takes the place of one that a tool has set something on.
        """
        if self._connection.has_settings:
            self._begin()
        elif self._has_written:
            # Else an insert that does nothing would tell the row of one that was taken back.
            self._own("INSERT INTO __changes (number) VALUES (0)")
            self._own("ROLLBACK")
            self._own("BEGIN")
            self._has_written = self._has_savepoint = False
            self._hash = self._first_hash
            self._now = datetime.datetime.fromisoformat(self._first_now)

    def names(self) -> dict[str, Any]:
        """The globals that every tool of the episode finds."""
        return {"DATABASE": self._connection, "new_key": self._new_key, "now": self._time}

    def call(
        self, tool: str, function: Callable[..., Any], arguments: dict[str, Any]
    ) -> tuple[Any, dict[str, Any] | None]:
        """The tool's result, and what it changed: `c` changes, `s` hash; None: nothing."""
        tables = self._writes.get(tool)
        if tables is None:
            self._enter(frozenset())
            result = function(**arguments)
            if not self._connection.in_transaction:
                os._exit(ENDED_TRANSACTION)
            return result, None
        self._enter(frozenset(tables))
        self._has_written = True
        if not self._has_savepoint:
            self._own("SAVEPOINT call")
        self._has_savepoint = True
        kept = False
        try:
            result = function(**arguments)
            self._writable = frozenset()
            self._present_rows()
            failed = isinstance(result, dict) and isinstance(result.get("error"), dict)
            changes, state = ([], self._hash) if failed else self._changes()
            if changes:
                self._own("DELETE FROM __changes")
                self._own("RELEASE call")
                self._has_savepoint, kept = False, True
        finally:
            self._writable = frozenset()
            self._connection.context = READING
            # "INSERT OR ROLLBACK" ends the transaction, and later statements are kept one by one.
            # The owner makes a new process then, from the calls that were answered.
            if not self._connection.in_transaction:
                os._exit(ENDED_TRANSACTION)
            if not kept:
                self._own("ROLLBACK TO call")
        if not changes:
            return result, None
        self._hash = state
        self._now += datetime.timedelta(minutes=1)
        return result, {"c": changes, "s": f"{state:064x}"}

    # --- for tools ---------------------------------------------------------------------------

    def _new_key(self, table: str) -> Any:
        """The key of a table's next row. It is given back when the call is undone."""
        if table not in (self._writable or ()):
            raise LookupError(f"{table!r} is no table that this call may write")
        ((prefix, width, number),) = self._own(
            "UPDATE __keys SET next = next + 1 WHERE name = ? RETURNING prefix, width, next - 1",
            [table],
        )
        return number if prefix is None else f"{prefix}{number:0{width}d}"

    def _time(self) -> str:
        """The time of the episode: ISO 8601 to the minute."""
        return self._now.isoformat(" ", "minutes")

    # --- access ------------------------------------------------------------------------------

    def _enter(self, writable: frozenset[str]) -> None:
        self._present_rows()
        self._connection.context = self._contexts.setdefault(
            writable, f"/* {len(self._contexts)} */"
        )
        self._writable = writable

    def _present_rows(self) -> None:
        """Rows are mappings and texts are texts, whatever an earlier call has set."""
        self._connection.row_factory = _as_dict
        self._connection.text_factory = str

    def _own(self, sql: str, parameters: list[Any] = []) -> list[tuple[Any, ...]]:  # noqa: B006
        """Run a statement of this module, to which nothing is denied."""
        writable, self._writable = self._writable, None
        try:
            # Without a context, so that no tool has a statement of this text.
            return sqlite3.Cursor(self._connection).execute(sql, parameters).fetchall()
        finally:
            self._writable = writable

    def _authorize(
        self, action: int, first: str | None, second: str | None, _: str | None, trigger: str | None
    ) -> int:
        writable = self._writable
        if writable is None or trigger is not None or action in _READS:
            allowed = True
        elif action == sqlite3.SQLITE_READ:
            allowed = not str(first).startswith((OWN, "sqlite_"))
        elif action in _WRITES:
            allowed = first in writable
        else:
            name = str(second).lower()
            allowed = action == sqlite3.SQLITE_FUNCTION and name not in _DENIED_FUNCTIONS
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    def _select(self, table: str) -> str:
        """SQL for the row of a key."""
        columns = ", ".join(_quoted(name) for name in self._columns[table])
        return f"SELECT {columns} FROM {_quoted(table)} WHERE {_quoted(self._keys[table])} = ?"

    # --- changes -----------------------------------------------------------------------------

    def _changes(self) -> tuple[list[dict[str, Any]], int]:
        """What the transaction has changed so far, row by row, and the hash of the new state."""
        state = self._hash
        first: dict[tuple[str, Any], list[Any] | None] = {}
        logged = self._own('SELECT "table", key, before FROM __changes ORDER BY number')
        for table, key, before in logged:
            first.setdefault((table, key), None if before is None else json.loads(before))
        changes: list[dict[str, Any]] = []
        for (table, key), old in first.items():
            names = self._columns[table]
            found = self._own(self._selects[table], [key])
            new = list(found[0]) if found else None
            if old == new:
                continue
            state -= row_hash(table, old) if old is not None else 0
            state += row_hash(table, new) if new is not None else 0
            before = None if old is None else dict(zip(names, old, strict=True))
            after = None if new is None else dict(zip(names, new, strict=True))
            if before is not None and after is not None:
                changed = [name for name in names if before[name] != after[name]]
                before = {name: before[name] for name in changed}
                after = {name: after[name] for name in changed}
            changes.append({"table": table, "key": key, "before": before, "after": after})
        return changes, state % HASH_RANGE


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class _ColumnNames:
    """The names of the columns of the result that was read last: each of its rows needs them."""

    description: Any = None
    names: tuple[str, ...] = ()


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    if cursor.description is not _ColumnNames.description:
        _ColumnNames.description = cursor.description
        _ColumnNames.names = tuple(column[0] for column in cursor.description)
    return dict(zip(_ColumnNames.names, row, strict=True))
