"""Counts of columns by DuckDB: nulls, distinct values, and the look of texts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb

from astra.arenas.tables.load.tables import LoadedColumn, LoadedTable
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import count_where, literal, quoted

_CHUNK = 50
"""Columns that one query looks at."""
NUMERIC = (ColumnKind.integer, ColumnKind.number)
_LINK = r"(?i)\s*((https?|ftp)://|www\.)\S+\s*|[^@\s]+@[^@\s]+\.[^@\s]+"
_FIGURE = (
    r"(?i)\s*(\p{Sc}|usd|eur|gbp|chf|cny|rmb|jpy|inr)?[\s\d.,:;/%()'+-]*\d[\s\d.,:;/%()'+-]*"
    r"(\p{Sc}|usd|eur|gbp|chf|cny|rmb|jpy|inr|am|pm|kg|km|cm|mm|ml|min|h|元)?\s*"
    r"|\d{4}-\d\d-\d\d[t ].*"
)
"""Amounts with a currency or a unit, times of day and timestamps."""
_CODE = r"[A-Z0-9][A-Z0-9_./:-]*|[0-9a-fA-F-]{8,}"


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
    stats: dict[str, ColumnStats] = {}
    for start in range(0, len(table.columns), _CHUNK):
        columns = table.columns[start : start + _CHUNK]
        counts: list[str] = []
        for column in columns:
            c = quoted(column.name)
            counts += [f"count({c})", f"count(DISTINCT {c})"]
            if column.kind is ColumnKind.text:
                counts += [
                    f"avg(length({c}))",
                    f"max(length({c}))",
                    count_where(f"regexp_full_match({c}, {literal(_LINK)})"),
                    count_where(f"regexp_full_match({c}, {literal(_CODE)})"),
                    count_where(f"regexp_full_match({c}, {literal(_FIGURE)})"),
                    count_where(f"regexp_matches({c}, '\\p{{Han}}')"),
                ]
            elif column.kind in NUMERIC:
                counts += [f"min({c})", f"max({c})", count_where(f"abs({c}) % 100 >= 60")]
        row = connection.execute(f"SELECT {', '.join(counts)} FROM {quoted(table.name)}").fetchone()
        values = iter(row or ())
        for column in columns:
            filled, distinct = int(next(values)), int(next(values))
            found = ColumnStats(column, table.rows, table.rows - filled, distinct)
            if column.kind is ColumnKind.text:
                # The mean and the longest of no texts are null.
                texts = [next(values) or 0 for _ in range(6)]
                found = ColumnStats(column, table.rows, table.rows - filled, distinct, *texts)
            elif column.kind in NUMERIC:
                least, most, beyond = (next(values) for _ in range(3))
                found = replace(found, least=least, most=most, beyond_minutes=beyond)
            stats[column.name] = found
    return stats
