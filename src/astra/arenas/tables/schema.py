"""The schema of a user's tables: types, names, keys, relations, units, labels.

The profiler makes it, the user's TOML overrides it, and the planner reads it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field

from astra.types import Language, Record


class ColumnKind(StrEnum):
    """What a column's values are, after reading."""

    text = "text"
    integer = "integer"
    number = "number"
    """Floating point or decimal. NaN and infinities were read as nulls."""
    date = "date"
    """Calendar days; timestamps are cut to days."""
    boolean = "boolean"
    other = "other"
    """Nested, binary, …; never asked about."""


class Column(Record):
    """One column."""

    name: str
    kind: ColumnKind
    nulls: int
    distinct: int
    """Distinct values, nulls left out."""
    unit: str | None = None
    """Unit symbol from the name or the user, e.g. "km", "km2", "m", "USD", "%"."""
    labels: dict[Language, str] = {}
    """What the column is called in a sentence, e.g. {"en": "population", "zh": "人口"}."""
    variants: dict[Language, str] = {}
    """Columns that hold the same in another language, e.g. {"zh": "name_zh"}."""
    variant_of: str | None = None
    """Set on those columns; they are not attributes of their own."""
    quantity: bool = True
    """Whether its numbers count or measure. False for codes, keys, months, flags, …: there is no
    arithmetic on them."""
    within: tuple[str, ...] = ()
    """Columns of wider places beside a place: a value that stands with several of theirs names
    nothing alone (Springfield in Illinois and in Massachusetts)."""
    ignored: bool = False
    """The user said not to ask about it; `kind` is then `other`."""
    derived: str | None = None
    """What the user said it follows from, e.g. "quantity * price". Empty: from nothing."""


class ForeignKey(Record):
    """Values of `column` are values of `references` in `table`."""

    column: str
    table: str
    references: str
    origin: Literal["declared", "options", "inclusion"]
    """Where the key comes from: the database file, the TOML, or values and names."""


class CancelOptions(Record):
    """How rows are cancelled (`cancel = { column, from, to }`)."""

    model_config = ConfigDict(populate_by_name=True)

    column: str
    from_: tuple[str, ...] = Field(alias="from", min_length=1)
    """The values from which it is allowed."""
    to: str


class WriteOptions(Record):
    """What a user says may be written (`[tables.NAME.write]`). None: what the tables show."""

    update: tuple[str, ...] | Literal[""] | None = None
    """The columns that may be set, and no others."""
    cancel: CancelOptions | Literal[""] | None = None
    owner: str | None = None
    """The column of whom rows belong to. Empty: none."""
    create: Literal[""] | None = None
    """Empty: no rows may come."""
    delete: Literal[""] | None = None
    """Empty: no rows may go."""
    transfer: Literal[""] | None = None
    """Empty: no stock is moved."""


class Table(Record):
    """One table."""

    name: str
    """Identifier made from the file or table name: lower case, ASCII where possible, unique."""
    source: str
    """File it came from (and table inside it), as the user gave it."""
    rows: int
    columns: tuple[Column, ...]
    key: str | None
    """A column without nulls or repetitions. None if there is none."""
    naming: str | None
    """The column that names a row: a text, or a whole number if there is nothing else. None if rows
    are not asked about by name."""
    given_name: str | None = None
    """Column of first names: a row is then called by it and the naming column, its last name."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    domain: str
    """Distractors are drawn from other domains. Default: the table's name."""
    singular: dict[Language, str]
    """What one row is called, e.g. {"en": "country", "zh": "国家"}."""
    plural: dict[Language, str]
    notes: tuple[str, ...] = ()
    """What the user should know: doubtful columns, keys that were not taken, …"""
    write: WriteOptions | Literal[""] | None = None
    """What the user says may be written. Empty: nothing."""

    @property
    def numbered(self) -> bool:
        """Whether rows are called by a number: "the order with order ID 17"."""
        return self.naming is not None and self.column(self.naming).kind is ColumnKind.integer

    def column(self, name: str) -> Column:
        """The column of that name; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


class Schema(Record):
    """All tables of a run."""

    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    """Notes on files that were left out, and the like."""
    option_files: tuple[str, ...] = ()
    """The TOML files that the user's options come from."""

    def table(self, name: str) -> Table:
        """The table of that name; KeyError if there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)


class ColumnOptions(Record):
    """A user's options for one column (`[tables.NAME.columns.COLUMN]`)."""

    labels: dict[Language, str] = {}
    unit: str | None = None
    kind: ColumnKind | None = None
    derived: str | None = None


class TableOptions(Record):
    """A user's options for one table (`[tables.NAME]`). Everything is optional."""

    domain: str | None = None
    key: str | None = None
    naming: str | None = None
    singular: dict[Language, str] = {}
    plural: dict[Language, str] = {}
    foreign_keys: dict[str, str] = {}
    """Column -> "table.column"; "" switches off a key that was found."""
    ignore: tuple[str, ...] = ()
    """Columns that are not asked about."""
    keep_totals: bool = False
    """Whether rows of totals are rows like others, e.g. of the company Total."""
    columns: dict[str, ColumnOptions] = {}
    write: WriteOptions | Literal[""] | None = None


class TablesOptions(Record):
    """The `[tables.*]` part of a TOML file; a folder's own `tables.toml` is read if present."""

    tables: dict[str, TableOptions] = {}
    files: tuple[str, ...] = ()
    """Where they come from. Not a key of such a file."""
