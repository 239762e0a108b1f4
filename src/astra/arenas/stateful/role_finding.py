"""Finds what may change in a user's tables: read off the values, and only ever narrowed by names.

A column that nothing here recognizes is never written. What is wrongly left out costs variety;
what is wrongly let in would make arenas that contradict their own tables.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import replace

import duckdb

from astra.arenas.stateful.derived import derivations
from astra.arenas.stateful.names import tool_parameters
from astra.arenas.stateful.roles import WritableColumn, WritableTable, is_status
from astra.arenas.tables.schema import Column, ColumnKind, Schema, Table
from astra.arenas.tables.sql import quoted
from astra.types import Language

_MAX_SCALE = 4
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
_UNIQUE = re.compile(r"(?:^|_)(?:email|mail|phone|code|sku|isbn|username|login)(?:_|$)|邮箱|编码")


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
    for scale in range(_MAX_SCALE + 1):
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
