"""Which writes a table allows: choices that may be set, rows that may come, stock that moves."""

from __future__ import annotations

from astra.arenas.stateful.roles import WritableColumn, WritableTable
from astra.arenas.tables.schema import ColumnKind
from astra.types import Cell

TODAY = "\0today"
"""Marks a column that a tool sets to the day of the call."""


def settable(table: WritableTable, column: WritableColumn) -> tuple[str, ...]:
    """The choices that a tool may set: not those that come with a value which no tool knows."""
    unknown = {
        value
        for other in table.columns
        if other.set_with is not None
        and other.set_with[0] == column.name
        and other.column.kind is not ColumnKind.date
        for value in other.set_with[1]
    }
    if table.cancel is not None and table.cancel.column == column.name:
        unknown.add(table.cancel.to)  # which has a tool of its own
    return tuple(choice for choice in column.choices if choice not in unknown)


def can_create(table: WritableTable) -> bool:
    """Whether rows may come, and what they need is known."""
    if table.new_row is not None:
        return bool(table.new_row.given)
    if table.locked or table.no_new_rows or not table.numbered or table.stock is not None:
        return False
    if not table.references:
        return False
    given, fixed = creation(table)
    known = {table.key, *fixed, *(column.name for column in given)}
    return all(c.name in known or c.column.nulls for c in table.columns) and bool(given)


def can_delete(table: WritableTable) -> bool:
    """Whether rows may go, so long as no other refers to them."""
    return not table.locked and not table.rows_stay and table.stock is None


def creation(table: WritableTable) -> tuple[list[WritableColumn], dict[str, Cell]]:
    """Columns that whoever creates a row gives, and the values that others get."""
    if table.new_row is not None:
        return [table.column(name) for name in table.new_row.given], table.new_row.fixed
    given: list[WritableColumn] = []
    fixed: dict[str, Cell] = {}
    for column in table.columns:
        if column == table.status:
            first = first_status(table)
            if first is not None:
                fixed[column.name] = first
        elif column.system_date:
            fixed[column.name] = TODAY
        elif column.column.nulls or column.role == "key":
            continue
        elif column.role in ("reference", "choice") or column.writable or column.fillable:
            given.append(column)
    return given, fixed


def first_status(table: WritableTable) -> str | None:
    """The status that new rows have: one with which nothing is set. None if that is not plain."""
    status = table.status
    if status is None:
        return None
    taken = {
        value
        for column in table.columns
        if column.set_with is not None and column.set_with[0] == status.name
        for value in column.set_with[1]
    }
    begin = ("open", "new", "pending", "requested", "created", "draft", "submitted", "reported",
             "planned", "scheduled", "booked", "received", "registered")  # fmt: skip
    for value in (*begin, "待处理", "新建", "待付款", "已提交", "待审核", "已预约", "已登记"):
        if value in status.choices and value not in taken:
            return value
    return None


def stock_pair(table: WritableTable) -> tuple[str, str] | None:
    """Of a stock that lies in places: the column of the thing, and that of the place."""
    if table.stock is None or len(table.references) != 2:
        return None
    kept, moved = table.references
    # The parameters of the tool: the thing, where from, where to.
    names = {kept, f"from_{moved}", f"to_{moved}", "quantity"}
    return (kept, moved) if len(names) == 4 else None
