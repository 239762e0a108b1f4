"""Rows of a database that change, as lines in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.text import Text

from astra.cli.console import plain
from astra.databases import Cell, Database, DatabaseTable, RowChange, shown_cell

_LONG = 200


def change_lines(database: Database, changes: Iterable[RowChange]) -> list[Text]:
    """Each change as `table key: column old -> new`; rows that come or go with all their cells."""
    lines: list[Text] = []
    for change in changes:
        table = database.table(change.table)
        line = plain(f"{change.table} {change.key}: ", "cyan", limit=_LONG)
        match change.before, change.after:
            case None, dict(after):
                line.append("new ", "green").append_text(_cells(table, after))
            case dict(before), None:
                line.append("gone ", "red").append_text(_cells(table, before))
            case dict(before), dict(after):
                parts = [_update(table, name, before.get(name), after[name]) for name in after]
                line.append_text(Text(", ").join(parts))
            case _:
                continue
        lines.append(line)
    return lines


def _update(table: DatabaseTable, name: str, before: Cell, after: Cell) -> Text:
    column = table.column(name)
    return Text.assemble(
        plain(f"{name} ", limit=_LONG),
        plain(shown_cell(column, before), "red", limit=_LONG),
        " -> ",
        plain(shown_cell(column, after), "green", limit=_LONG),
    )


def _cells(table: DatabaseTable, row: Mapping[str, Cell]) -> Text:
    cells = (f"{name} {shown_cell(table.column(name), value)}" for name, value in row.items())
    return plain(", ".join(cells), limit=_LONG * 3)
