"""What the source of tools is rendered from: templates, and columns as these see them."""

from __future__ import annotations

from functools import cache

from jinja2 import Template

from astra.arenas.stateful.roles import WritableColumn, WritableTable
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tool_templates import tool_templates


def dates_set_with(
    table: WritableTable, column: WritableColumn
) -> list[tuple[WritableColumn, list[str]]]:
    """The dates that are set with some values of a column, and these."""
    return [
        (other, sorted(other.set_with[1]))
        for other in table.columns
        if other.set_with is not None
        and other.set_with[0] == column.name
        and other.column.kind is ColumnKind.date
    ]


def value_kind(column: WritableColumn) -> str:
    """How the tools check a value."""
    if column.column.kind is ColumnKind.date:
        return "date"
    if column.role in ("choice", "flag", "reference"):
        return column.role
    return "number" if column.role == "number" else "text"


def shown_columns(table: WritableTable) -> list[tuple[str, str, int]]:
    """Name, kind and scale of the columns whose cells are not shown as they are stored."""
    shown: list[tuple[str, str, int]] = []
    for column in table.columns:
        if column.column.kind is ColumnKind.boolean:
            shown.append((column.name, "flag", 0))
        elif column.scale:
            shown.append((column.name, "decimal", column.scale))
    return shown


_ENVIRONMENT = tool_templates("astra.arenas.stateful", "templates")


@cache
def template(name: str) -> Template:
    return _ENVIRONMENT.get_template(f"{name}.py.j2")
