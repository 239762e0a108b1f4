"""What the source of tools is rendered from: templates, and columns as these see them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import Template

from astra.arenas.stateful.roles import WritableColumn, WritableTable
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tool_templates import tool_templates
from astra.types import Cell, Json


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
    """Name, kind and scale, or number of steps, of the columns whose cells are not shown as they
    are stored."""
    shown: list[tuple[str, str, int]] = []
    for column in table.columns:
        if column.column.kind is ColumnKind.boolean:
            shown.append((column.name, "flag", 0))
        elif column.steps > 1:
            shown.append((column.name, "steps", column.steps))
        elif column.shown_scale:
            shown.append((column.name, "decimal", column.shown_scale))
    return shown


def shown_row(table: WritableTable, row: Mapping[str, Cell]) -> dict[str, Json]:
    """A row as the tools show it."""
    kinds = {name: (kind, scale) for name, kind, scale in shown_columns(table)}
    return {name: shown_value(value, *kinds.get(name, ("", 0))) for name, value in row.items()}


def shown_value(value: Cell, kind: str, scale: int) -> Json:
    """A cell as the tools show it."""
    if value is None or isinstance(value, str):
        return value
    if kind == "flag":
        return bool(value)
    if kind == "steps":
        return value * scale
    return value / 10**scale if kind == "decimal" else value


_ENVIRONMENT = tool_templates("astra.arenas.stateful", "templates")


@cache
def template(name: str) -> Template:
    return _ENVIRONMENT.get_template(f"{name}.py.j2")
