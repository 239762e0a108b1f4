"""What may change in a user's tables: read off the values, and only ever narrowed by names.

A column that nothing here recognizes is never written. What is wrongly left out costs variety;
what is wrongly let in would make arenas that contradict their own tables.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Literal

import duckdb

from astra.arenas.stateful.derived import derivations
from astra.arenas.stateful.names import tool_parameters
from astra.arenas.stateful.other_units import OtherUnit
from astra.arenas.tables.schema import Column, ColumnKind, Schema, Table
from astra.arenas.tables.sql import quoted
from astra.types import Cell, Language

ColumnRole = Literal[
    "key", "name", "reference", "choice", "text", "number", "date", "flag", "other"
]
MAX_SCALE = 4
_MAX_CHOICES = 8
_MIN_ROWS_PER_CHOICE = 3
_MIN_EVIDENCE = 20
_LONGEST_TEXT = 80
_SHARE = 0.99
_TEXTS = re.compile(
    r"(?:^|_)(?:address|street|phone|mobile|fax|email|mail|contact|subject|note|notes|remark|remarks"
    r"|comment|room|location|title|website|url|instructions)(?:_|$)|地址|电话|手机|邮箱|邮件|备注|主题|说明"
)
_NUMBERS = re.compile(
    r"(?:^|_)(?:price|budget|capacity|salary|fee|limit|stock|quantity|on_hand|units|seats|discount"
    r"|rate|months|hours)(?:_|$)|价格|单价|预算|容量|工资|费用|库存|数量|月数|折扣"
)
_STOCK = re.compile(r"(?:^|_)(?:stock|inventory|on_hand|units_in_stock)(?:_|$)|库存")
_QUANTITY = re.compile(r"(?:^|_)(?:quantity|qty|units|count|amount)(?:_|$)|数量")
_DATES = re.compile(
    r"(?:^|_)(?:due|deadline|scheduled|planned|appointment|renewal|expires|expiry|delivery"
    r"|start|end|check_in|check_out)(?:_|$)|到期|截止|预约|计划|预计"
)
_SYSTEM_DATES = re.compile(
    r"(?:^|_)(?:created|opened|ordered|requested|registered|reported|submitted|placed|joined|logged"
    r"|received|hired|added)(?:_|$)|创建|下单|登记|提交|申请"
)
_CHOICES = re.compile(
    r"(?:^|_)(?:status|state|stage|phase|priority|tier|level|plan|severity|urgency|team|grade)"
    r"(?:_|$)|状态|优先级|等级|级别|阶段|团队"
)
_FLAGS = re.compile(
    r"(?:^|_)(?:newsletter|active|enabled|subscribed|subscription|opt_in|verified|archived|blocked"
    r"|paid|confirmed|reminder|notifications|available|visible|published)(?:_|$)|启用|订阅|确认|可用"
)
_STATUS = re.compile(r"(?:^|_)(?:status|stage|phase)(?:_|$)|状态|阶段")
_UNIQUE = re.compile(r"(?:^|_)(?:email|mail|phone|code|sku|isbn|username|login)(?:_|$)|邮箱|编码")
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


def writable_tables(
    db: duckdb.DuckDBPyConnection, schema: Schema, language: Language
) -> tuple[WritableTable, ...]:
    """The tables that a database can hold. Choices are in the language, where columns have it."""
    keyed = {table.name: table for table in schema.tables if _usable_key(table)}
    locked = {place: each for each in derivations(db, schema) for place in each.columns}
    locked_tables = {
        name for each in locked.values() if each.over_lines for name, _ in each.columns
    }
    found: list[WritableTable] = []
    for table in keyed.values():
        references = {
            key.column: key.table
            for key in table.foreign_keys
            if key.table in keyed
            and keyed[key.table].key == key.references
            and key.column != table.key
        }
        columns = [
            _column(db, table, column, references, locked.keys(), language)
            for column in table.columns
            if column.variant_of is None and column.kind is not ColumnKind.other
        ]
        kept = [column for column in columns if column is not None]
        kept = [_with_status(db, table, column, kept) for column in kept]
        inferred = WritableTable(
            table,
            tuple(kept),
            references,
            _stock(table, kept, references),
            _numbered_keys(db, table),
            table.name in locked_tables,
        )
        found.append(_renamed(inferred))
    return tuple(found)


def _renamed(table: WritableTable) -> WritableTable:
    """The table with its columns called as the parameters of tools can be called."""
    names = tool_parameters(table.table)
    schema = table.table
    return replace(
        table,
        table=schema.model_copy(
            update={
                "key": names[table.key],
                "naming": schema.naming and names[schema.naming],
                "columns": tuple(
                    column.model_copy(update={"name": names[column.name]})
                    for column in schema.columns
                ),
            }
        ),
        columns=tuple(
            replace(
                column,
                column=column.column.model_copy(update={"name": names[column.name]}),
                set_with=column.set_with and (names[column.set_with[0]], column.set_with[1]),
                source=column.name,
            )
            for column in table.columns
        ),
        references={names[column]: other for column, other in table.references.items()},
        stock=table.stock and names[table.stock],
    )


def _usable_key(table: Table) -> bool:
    if table.key is None:
        return False
    return table.column(table.key).kind in (ColumnKind.text, ColumnKind.integer)


def _numbered_keys(db: duckdb.DuckDBPyConnection, table: Table) -> bool:
    assert table.key is not None
    if table.column(table.key).kind is ColumnKind.integer:
        return True
    prefixes = _one(
        db,
        f"SELECT count(DISTINCT regexp_extract(k, '^(.*?)[0-9]+$', 1)), "
        f"bool_and(regexp_full_match(k, '.*?[0-9]+')) FROM "
        f"(SELECT {quoted(table.key)} AS k FROM {quoted(table.name)})",
    )
    return prefixes == (1, True)


def _one(db: duckdb.DuckDBPyConnection, sql: str) -> tuple[object, ...]:
    return db.execute(sql).fetchone() or ()


def _column(
    db: duckdb.DuckDBPyConnection,
    table: Table,
    column: Column,
    references: dict[str, str],
    locked: Set[tuple[str, str]],
    language: Language,
) -> WritableColumn | None:
    """The column's role. None for one that no database of ours can hold."""
    name, lower = column.name, column.name.lower()
    source, cells = quoted(table.name), quoted(name)
    if column.kind is ColumnKind.text:
        longest = _one(db, f"SELECT max(length({cells})) FROM {source}")[0]
        if isinstance(longest, int) and longest > 200:
            return None
    scale = 0
    if column.kind is ColumnKind.number:
        fitting = _scale(db, source, cells)
        if fitting is None:
            return None
        scale = fitting
    if name == table.key:
        return WritableColumn(column, "key", scale, unique=True)
    if name in references:
        return WritableColumn(column, "reference", scale)
    if name == table.naming:
        unique = column.kind is ColumnKind.text and column.distinct == table.rows
        return WritableColumn(column, "name", scale, unique=unique)
    free = (table.name, name) not in locked
    if column.kind is ColumnKind.boolean:
        writable = free and column.nulls == 0 and bool(_FLAGS.search(lower))
        return WritableColumn(column, "flag", writable=writable)
    if column.kind is ColumnKind.date:
        system = bool(_SYSTEM_DATES.search(lower)) and column.nulls == 0
        writable = free and not system and bool(_DATES.search(lower))
        return WritableColumn(column, "date", writable=writable, system_date=system)
    if column.kind is ColumnKind.text:
        few = column.nulls == 0 and 2 <= column.distinct <= _MAX_CHOICES
        if few and table.rows >= _MIN_ROWS_PER_CHOICE * column.distinct:
            shown = quoted(column.variants.get(language, name))
            values = db.execute(f"SELECT DISTINCT {shown} FROM {source} ORDER BY 1").fetchall()
            if any(value is None for (value,) in values):
                return WritableColumn(column, "other")
            writable = free and bool(_CHOICES.search(lower))
            return WritableColumn(
                column, "choice", choices=tuple(v for (v,) in values), writable=writable
            )
        writable = free and bool(_TEXTS.search(lower)) and column.distinct > _MAX_CHOICES
        unique = column.distinct == table.rows and bool(_UNIQUE.search(lower))
        return WritableColumn(column, "text", unique=unique, writable=writable)
    writable = free and column.quantity and column.nulls == 0 and bool(_NUMBERS.search(lower))
    return WritableColumn(column, "number", scale, writable=writable)


def _scale(db: duckdb.DuckDBPyConnection, source: str, cells: str) -> int | None:
    """Fewest digits after the point that hold every value. None if four do not."""
    for scale in range(MAX_SCALE + 1):
        power = 10**scale
        (left,) = _one(
            db,
            f"SELECT count(*) FROM {source} WHERE abs({cells} * {power} - round({cells} * {power}))"
            f" > 1e-6 OR abs({cells}) > 1e10",
        )
        if left == 0:
            return scale
    return None


def _with_status(
    db: duckdb.DuckDBPyConnection,
    table: Table,
    column: WritableColumn,
    columns: list[WritableColumn],
) -> WritableColumn:
    """The column with the statuses that it is set with, where it is set with some exactly."""
    if column.column.nulls == 0 or column.column.nulls == table.rows:
        return column
    for status in columns:
        if status.role != "choice" or not is_status(status.name):
            continue
        counts = db.execute(
            f"SELECT {quoted(status.name)}, count({quoted(column.name)}), count(*) "
            f"FROM {quoted(table.name)} GROUP BY 1 ORDER BY 1"
        ).fetchall()
        with_it = frozenset(value for value, filled, _ in counts if filled)
        right = sum(filled if value in with_it else total for value, filled, total in counts)
        both = 0 < len(with_it) < len(counts)
        if both and table.rows >= _MIN_EVIDENCE and right >= _SHARE * table.rows:
            return WritableColumn(
                column.column, column.role, column.scale, set_with=(status.name, with_it)
            )
    return column


def _stock(table: Table, columns: list[WritableColumn], references: dict[str, str]) -> str | None:
    """The column of a stock: whole, never negative, and named so, itself or with its table."""
    for column in columns:
        if column.role != "number" or column.scale or not column.writable:
            continue
        name = column.name.lower()
        named = _STOCK.search(name) or (
            _STOCK.search(table.name.lower()) and _QUANTITY.search(name)
        )
        if named and references:
            return column.name
    return None
