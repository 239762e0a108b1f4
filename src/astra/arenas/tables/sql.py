"""SQL fragments, and the folded form in which names are compared."""

from __future__ import annotations

import unicodedata

import duckdb

from astra.core.text import normalise

LONGEST_VALUE = 60
"""Characters. A longer cell is never put into a question or asked for."""
_UNCHANGED = "[A-Za-z0-9_.:/()&-]+( [A-Za-z0-9_.:/()&-]+)*"
"""Values that `fold` only turns into lower case."""


def quoted(name: str) -> str:
    """The name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL string literal, for the few statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def count_where(condition: str) -> str:
    """SQL aggregate: rows that meet a condition. `count_if` is null over rows without values."""
    return f"count(*) FILTER (WHERE {condition})"


def fold(text: str) -> str:
    """The text as tools look names up (NFKC, case folded, spaces collapsed) and rewards compare."""
    return normalise(" ".join(unicodedata.normalize("NFKC", text).casefold().split()))


def folded(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> str:
    """SQL expression for `fold` of a column. Valid until the next call on the connection."""
    # DuckDB has no NFKC and no case folding: it folds the plain values, Python all others.
    special = [
        value
        for (value,) in connection.execute(
            f"SELECT DISTINCT {column} FROM {relation} "
            f"WHERE {column} IS NOT NULL AND NOT regexp_full_match({column}, '{_UNCHANGED}')"
        ).fetchall()
    ]
    if not special:
        return f"lower({column})"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE __folds AS "
        "SELECT unnest(?::VARCHAR[]) AS value, unnest(?::VARCHAR[]) AS folded",
        [special, [fold(value) for value in special]],
    )
    return (
        f"coalesce((SELECT any_value(folded) FROM __folds WHERE value = {column}), lower({column}))"
    )


def askable(column: str) -> str:
    """SQL condition: short, not empty, no control characters, not a bare number."""
    return (
        f"(length(trim({column})) BETWEEN 1 AND {LONGEST_VALUE} "
        f"AND NOT regexp_matches({column}, '[\\x00-\\x1f\\x7f]') "
        f"AND NOT regexp_full_match(trim({column}), '[-+0-9.,eE\\s]+'))"
    )
