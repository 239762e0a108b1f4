"""What is known about a user's tables: types, names, keys, relations, units, labels.

Made by the profiler, overridden by the user's TOML, read by the planner.
"""

from __future__ import annotations

from enum import StrEnum

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
    """Nested, binary, … : never asked about."""


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
    """How the column is called in a sentence, e.g. {"en": "population", "zh": "人口"}."""
    variants: dict[Language, str] = {}
    """Columns that hold the same in another language, e.g. {"zh": "name_zh"}."""
    variant_of: str | None = None
    """Set on those columns; they are no attributes of their own."""
    ignored: bool = False
    """The user said not to ask about it; `kind` is then `other`."""


class ForeignKey(Record):
    """Values of `column` are values of `references` in `table`."""

    column: str
    table: str
    references: str
    found: str
    """`declared`, `given` (in the TOML) or `inclusion`."""


class Table(Record):
    """One table."""

    name: str
    """Identifier made from the file or table name: lower case, ASCII where possible, unique."""
    source: str
    """File it came from (and table inside it), as the user gave it."""
    rows: int
    columns: tuple[Column, ...]
    key: str | None
    """A column without nulls or repetitions; None: none found."""
    naming: str | None
    """The text column that names an entity; None: the table is never asked by name."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    domain: str
    """Distractors are drawn from other domains. Default: the table's name."""
    singular: dict[Language, str]
    """What one row is called, e.g. {"en": "country", "zh": "国家"}."""
    plural: dict[Language, str]
    notes: tuple[str, ...] = ()
    """What the user should know: doubtful columns, keys that were not taken, …"""

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
    """What concerns no single table: files left out, …"""

    def table(self, name: str) -> Table:
        """The table of that name; KeyError if there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)


class ColumnOptions(Record):
    """A user's word on one column (`[tables.NAME.columns.COLUMN]`)."""

    labels: dict[Language, str] = {}
    unit: str | None = None
    kind: ColumnKind | None = None


class TableOptions(Record):
    """A user's word on one table (`[tables.NAME]`). Everything is optional."""

    domain: str | None = None
    key: str | None = None
    naming: str | None = None
    singular: dict[Language, str] = {}
    plural: dict[Language, str] = {}
    foreign_keys: dict[str, str] = {}
    """column -> "table.column"; "" switches a found one off."""
    ignore: tuple[str, ...] = ()
    """Columns that are not asked about."""
    columns: dict[str, ColumnOptions] = {}


class TablesOptions(Record):
    """The `[tables.*]` part of a TOML file; a folder's own `tables.toml` is read if present."""

    tables: dict[str, TableOptions] = {}
