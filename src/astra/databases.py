"""The database that the tools of a stateful arena read and write, and how it changes.

Rows are plain JSON values: texts, whole numbers, null. What SQL has no exact type for is stored as
one that has: decimals as whole numbers of 10^-scale, days as ISO 8601 texts, truth values as 0, 1.
"""

from __future__ import annotations

import decimal
from functools import cached_property
from typing import Literal

from astra.records import Json, Record, content_hash

ColumnType = Literal["text", "integer", "decimal", "date", "boolean"]
Cell = str | int | None
"""A value as it is stored."""


class DatabaseColumn(Record):
    """One column of a table."""

    name: str
    type: ColumnType
    required: bool = False
    """Never null."""
    unique: bool = False
    scale: int = 0
    """Of a decimal: digits after the point. 1999 at scale 2 is 19.99."""
    minimum: int | None = None
    """Least value as it is stored, e.g. 0 for a stock."""
    choices: tuple[str, ...] = ()
    """The texts that are allowed. Empty: any."""


class DatabaseTable(Record):
    """One table with its first rows."""

    name: str
    key: str
    """The primary key: one column, of texts or whole numbers."""
    columns: tuple[DatabaseColumn, ...]
    references: dict[str, str] = {}
    """Column -> table whose key it holds."""
    rows: tuple[tuple[Cell, ...], ...]
    """By key, one cell per column."""

    def column(self, name: str) -> DatabaseColumn:
        """The column of that name. Raises KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @cached_property
    def rows_by_key(self) -> dict[Cell, dict[str, Cell]]:
        """Key -> row as a mapping of column to cell."""
        names = [column.name for column in self.columns]
        at = names.index(self.key)
        return {row[at]: dict(zip(names, row, strict=True)) for row in self.rows}


class Database(Record):
    """Tables with their rows at the start of an episode."""

    tables: tuple[DatabaseTable, ...]

    @cached_property
    def id(self) -> str:
        """Content hash."""
        return content_hash(self.model_dump(mode="json"))

    def table(self, name: str) -> DatabaseTable:
        """The table of that name. Raises KeyError if there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)


class RowChange(Record):
    """What a call did to one row. An update names only the columns that it changed."""

    table: str
    key: str | int
    before: dict[str, Cell] | None
    """None: the row did not exist."""
    after: dict[str, Cell] | None
    """None: the row is gone."""


class Effect(Record):
    """What one call changed for good, and the state after it."""

    changes: tuple[RowChange, ...]
    state: str
    """Hash of all rows, the same for the same rows whatever led to them (see `state_hash`)."""


class DatabaseEpisode(Record):
    """A database as an episode uses it."""

    database: Database
    now: str
    """Time of day and date of the first call, ISO 8601 to the minute. Each write is a minute
    later."""
    writes: dict[str, tuple[str, ...]]
    """Tool -> tables that it may write. A tool that is not named only reads."""


def shown_cell(column: DatabaseColumn, value: Cell) -> str:
    """A cell as people read it: decimals with their point, truth values as words."""
    if value is None:
        return "–"
    if column.type == "decimal":
        return f"{decimal.Decimal(value).scaleb(-column.scale):f}"
    if column.type == "boolean":
        return "true" if value else "false"
    return str(value)


def written(change: RowChange) -> Json:
    """A change as a line for people and tools: the row, with old and new values."""
    return {
        "table": change.table,
        "key": change.key,
        "before": change.before,
        "after": change.after,
    }
