"""The rows that the calls of an episode have touched, at the start and now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from astra.databases import Cell, Database, RowChange

Row = Mapping[str, Cell]


class TouchedRows:
    """The rows of a database that calls have touched, as they are now."""

    def __init__(self, database: Database) -> None:
        self._first = {table.name: table.rows_by_key for table in database.tables}
        self._now: dict[str, dict[Cell, Row | None]] = defaultdict(dict)

    def at_start(self, table: str, key: Cell) -> Row | None:
        """The row before any call; None if there was none."""
        return self._first.get(table, {}).get(key)

    def now(self, table: str, key: Cell) -> Row | None:
        """The row as it is; None if there is none."""
        touched = self._now[table]
        return touched[key] if key in touched else self.at_start(table, key)

    def apply(self, change: RowChange) -> None:
        """Take a change in that a call has made."""
        row = None if change.before is None else self.now(change.table, change.key)
        new = change.after
        self._now[change.table][change.key] = None if new is None else {**(row or {}), **new}

    def created(self, table: str) -> Iterator[tuple[Cell, Row]]:
        """Rows that did not exist at the start."""
        for key, row in self._now[table].items():
            if row is not None and self.at_start(table, key) is None:
                yield key, row

    def touched(self) -> Iterator[tuple[str, Cell, Row | None, Row | None]]:
        """Table, key, first and present row, of all that calls have touched."""
        for table, rows in self._now.items():
            for key, row in rows.items():
                yield table, key, self.at_start(table, key), row
