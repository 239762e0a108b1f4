"""Counts of columns by DuckDB: nulls, distinct values, and the look of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from astra.arenas.tables.load.tables import LoadedColumn, LoadedTable
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import count_where, literal, quoted

_CHUNK = 50
"""Columns that one query looks at."""
_STACKED = 10_000
"""Rows up to which texts are counted in one stack: DuckDB plans a query about many columns much
longer than it runs it over few rows."""
NUMERIC = (ColumnKind.integer, ColumnKind.number)
_LINK = r"(?i)\s*((https?|ftp)://|www\.)\S+\s*|[^@\s]+@[^@\s]+\.[^@\s]+"
_FIGURE = (
    r"(?i)\s*(\p{Sc}|usd|eur|gbp|chf|cny|rmb|jpy|inr)?[\s\d.,:;/%()'+-]*\d[\s\d.,:;/%()'+-]*"
    r"(\p{Sc}|usd|eur|gbp|chf|cny|rmb|jpy|inr|am|pm|kg|km|cm|mm|ml|min|h|元)?\s*"
    r"|\d{4}-\d\d-\d\d[t ].*"
)
"""Amounts with a currency or a unit, times of day and timestamps."""
_CODE = r"[A-Z0-9][A-Z0-9_./:-]*|[0-9a-fA-F-]{8,}"
_OF_TEXTS = (
    "count({v})",
    "count(DISTINCT {v})",
    "avg(length({v}))",
    "max(length({v}))",
    count_where(f"regexp_full_match({{v}}, {literal(_LINK)})"),
    count_where(f"regexp_full_match({{v}}, {literal(_CODE)})"),
    count_where(f"regexp_full_match({{v}}, {literal(_FIGURE)})"),
    count_where(r"regexp_matches({v}, '\p{Han}')"),
)
"""What is counted of a column of texts; {v} is the column."""
_OF_NUMBERS = (
    "count({v})",
    "count(DISTINCT {v})",
    "min({v})",
    "max({v})",
    count_where("abs({v}) % 100 >= 60"),
)


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """Counts of one column."""

    column: LoadedColumn
    rows: int
    nulls: int
    distinct: int
    mean_length: float = 0.0
    """Characters of a text."""
    max_length: int = 0
    links: int = 0
    """Texts that are a URL or an e-mail address."""
    codes: int = 0
    """Texts of capitals and digits alone."""
    figures: int = 0
    """Texts that are an amount, a time or a timestamp."""
    han: int = 0
    """Texts with a Chinese character."""
    least: float | None = None
    """Smallest number. None if the column holds no numbers."""
    most: float | None = None
    beyond_minutes: int = 0
    """Numbers whose last two digits are above 59, which times written as 517 never have."""

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def kind(self) -> ColumnKind:
        return self.column.kind

    @property
    def filled(self) -> int:
        return self.rows - self.nulls

    @property
    def unique(self) -> bool:
        """No value stands twice; nulls may."""
        return 0 < self.filled == self.distinct

    @property
    def key(self) -> bool:
        """No value stands twice and none is missing."""
        return self.unique and self.nulls == 0


def measure(table: LoadedTable, connection: duckdb.DuckDBPyConnection) -> dict[str, ColumnStats]:
    """Counts of every column of a table, by name."""
    texts = [column.name for column in table.columns if column.kind is ColumnKind.text]
    stacked = texts if table.rows <= _STACKED else []
    counts = _stacked_texts(table, stacked, connection)
    alone = [column for column in table.columns if column.name not in counts]
    for start in range(0, len(alone), _CHUNK):
        columns = alone[start : start + _CHUNK]
        asked = [
            count.replace("{v}", quoted(column.name))
            for column in columns
            for count in _counts_of(column)
        ]
        row = connection.execute(f"SELECT {', '.join(asked)} FROM {quoted(table.name)}").fetchone()
        values = iter(row or ())
        for column in columns:
            counts[column.name] = tuple(next(values) for _ in _counts_of(column))
    stats: dict[str, ColumnStats] = {}
    for column in table.columns:
        filled, distinct, *rest = counts[column.name]
        found = ColumnStats(column, table.rows, table.rows - filled, distinct)
        if column.kind is ColumnKind.text:
            # The mean and the longest of no texts are null.
            texts_of = [value or 0 for value in rest]
            found = ColumnStats(column, table.rows, table.rows - filled, distinct, *texts_of)
        elif column.kind in NUMERIC:
            least, most, beyond = rest
            found = replace(found, least=least, most=most, beyond_minutes=beyond)
        stats[column.name] = found
    return stats


def _counts_of(column: LoadedColumn) -> tuple[str, ...]:
    if column.kind is ColumnKind.text:
        return _OF_TEXTS
    return _OF_NUMBERS if column.kind in NUMERIC else _OF_TEXTS[:2]


def _stacked_texts(
    table: LoadedTable, names: Sequence[str], connection: duckdb.DuckDBPyConnection
) -> dict[str, tuple[Any, ...]]:
    """What is counted of columns of texts, by name, all of them in one column."""
    if not names:
        return {}
    cells = ", ".join(f"{quoted(name)} AS c{number}" for number, name in enumerate(names))
    rows = connection.execute(
        f"SELECT cell, {', '.join(count.replace('{v}', 'v') for count in _OF_TEXTS)} FROM "
        f"(UNPIVOT (SELECT {cells} FROM {quoted(table.name)}) ON COLUMNS(*) "
        "INTO NAME cell VALUE v) GROUP BY cell"
    ).fetchall()
    found = {str(cell): tuple(counts) for cell, *counts in rows}
    # A column without values has no cells.
    nothing = (0, 0, None, None, 0, 0, 0, 0)
    return {name: found.get(f"c{number}", nothing) for number, name in enumerate(names)}
