"""Tables and columns that tools may write, and what part each column plays."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from astra.arenas.stateful.other_units import OtherUnit
from astra.arenas.tables.schema import Column, Table
from astra.types import Cell

ColumnRole = Literal[
    "key", "name", "reference", "choice", "text", "number", "date", "flag", "other"
]
_STATUS = re.compile(r"(?:^|_)(?:status|stage|phase)(?:_|$)|状态|阶段")
_FINAL = re.compile(
    r"cancell?ed|closed|delivered|refunded|rejected|returned|archived|deleted|expired|done|completed"
    r"|void(?:ed)?|withdrawn|discharged|terminated|已作废|作废|已撤销|已取消|已关闭|已退款|已拒绝|已完成|已删除|已送达|已签收"
)


@dataclass(frozen=True, slots=True)
class WritableColumn:
    """A column and what may be done with it."""

    column: Column
    """Its `name` is what the database and the tools call it."""
    role: ColumnRole
    scale: int = 0
    """Of decimals."""
    choices: tuple[str, ...] = ()
    unique: bool = False
    writable: bool = False
    """Whether a request may set it to a value."""
    fillable: bool = False
    """Whether a new row may be given a value, where none may be set later."""
    system_date: bool = False
    """The day on which the row came to be: tools set it, requests do not."""
    low: int | None = None
    high: int | None = None
    """Least and greatest number that may be set, as it is stored. None: nothing is said of it."""
    set_with: tuple[str, frozenset[str]] | None = None
    """Column of a status, and the statuses with which this column is set; it is null otherwise."""
    source: str = ""
    """Its name in the user's table."""
    other_unit: OtherUnit | None = None
    """What tools give and take it in. None: as requests speak of it."""

    @property
    def shown_scale(self) -> int:
        """Digits after the point, as tools give and take it."""
        return 0 if self.other_unit is not None else self.scale

    @property
    def steps(self) -> int:
        """How many of the tools' unit are 1 as it is stored."""
        return 1 if self.other_unit is None else self.other_unit.steps

    def spoken(self, stored: int) -> str:
        """A number as people say it, without its unit."""
        return f"{stored / 10**self.scale:.{self.scale}f}" if self.scale else str(stored)

    def allows(self, value: Cell) -> bool:
        """Whether a value lies within the bounds of a number; others have none."""
        if not isinstance(value, int):
            return True
        above = self.low is None or value >= self.low
        return above and (self.high is None or value <= self.high)

    @property
    def name(self) -> str:
        return self.column.name


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A status that rows get by a tool of its own."""

    column: str
    start: tuple[str, ...]
    to: str


@dataclass(frozen=True, slots=True)
class NewRow:
    """How a row comes to be, where a document says it."""

    given: tuple[str, ...]
    """Columns that whoever creates it gives."""
    fixed: dict[str, Cell]
    """Values that other columns get; those that have none are null."""


@dataclass(frozen=True, slots=True)
class WritableTable:
    """A table as a database can hold it."""

    table: Table
    columns: tuple[WritableColumn, ...]
    references: dict[str, str]
    """Column -> table whose key it holds."""
    stock: str | None = None
    """Column of a quantity that moves between rows."""
    numbered: bool = False
    """Keys are numbers, or a prefix with a number: the next one is known."""
    locked: bool = False
    """Rows are derived from each other with those of other tables: none may come or go."""
    no_new_rows: bool = False
    """The user says that none may come."""
    rows_stay: bool = False
    """The user says that none may go."""
    cancel: Cancellation | None = None
    """How the user says that rows are cancelled."""
    owned_by: str | None = None
    """The reference that the user says rows belong by. Empty: by none. None: by its name."""
    new_row: NewRow | None = None
    """None: what new rows need is read off the values."""

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def key(self) -> str:
        assert self.table.key is not None
        return self.table.key

    def owner(self, column: str, noun: str) -> bool:
        """Whether a reference is called as the table it leads to, so that "of" says what it is:

        the order of a customer, by `customer_id`; but not the country of a city, by `capital`.
        """
        if self.owned_by is not None:
            return column == self.owned_by
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower()
        plain = re.sub(r"_(?:id|code|key|no|number)$", "", words)
        return plain in (noun, self.references[column], f"{noun}_id")

    def column(self, name: str) -> WritableColumn:
        """The column of that name. Raises KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def naming(self) -> str | None:
        """The column of a text that names a row."""
        naming = self.table.naming
        if naming is None or self.table.numbered or naming == self.key:
            return None
        return naming if any(column.name == naming for column in self.columns) else None

    @property
    def status(self) -> WritableColumn | None:
        """The column of a status that rows go through."""
        for column in self.columns:
            if column.role == "choice" and is_status(column.source):
                return column
        return None


def is_status(name: str) -> bool:
    """Whether a column's name says that rows go through its values."""
    return bool(_STATUS.search(name.lower()))


def is_final(value: str) -> bool:
    """Whether a status is one that a row stays in."""
    return bool(_FINAL.fullmatch(value.lower()))
