"""Sets aside rows that sum up other rows: totals and subtotals of a spreadsheet.

A word alone decides nothing: `Total` is an oil company, and `Sum 41` a band. The values must be the
sum of others; or, where the row is called nothing but "total", at least above all of them.
What this does not guarantee: that totals without such a word are found.
"""

from __future__ import annotations

import math
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from astra.arenas.tables.sql import literal, quoted

_MOST = 2_000
"""Rows called totals that are looked at; in a table of more they are entities of their own."""
_ROUNDED = 1e-3
"""Relative difference of a sum of rounded numbers."""


class _Words(NamedTuple):
    alone: frozenset[str]
    beside: frozenset[str]
    behind: tuple[str, ...]


@cache
def _words() -> _Words:
    words = tomllib.loads(Path(__file__).with_name("totals.toml").read_text("utf-8"))
    behind = tuple(words["behind"].split())
    return _Words(frozenset(words["alone"].split()), frozenset(words["beside"].split()), behind)


def total_of(text: str) -> str | None:
    """The group that a total's name names; empty for all rows. None if it is not called a total."""
    words = _words()
    tokens = [token for token in re.split(r"[\s:*()\[\]=,–]+", text.casefold()) if token]
    if words.alone.isdisjoint(tokens):
        ending = next((w for w in words.behind if text.endswith(w)), None)
        return None if ending is None else text.removesuffix(ending).strip().casefold()
    rest = [token for token in tokens if token not in words.alone and token not in words.beside]
    return " ".join(rest)


class _TotalRow(NamedTuple):
    row: int
    name: str
    group: str


def set_totals_aside(
    table: str,
    texts: list[str],
    numbers: list[str],
    first_row: int,
    connection: duckdb.DuckDBPyConnection,
) -> tuple[int, list[str]]:
    """Take rows of totals out of a typed table. Gives how many, and a note that names them."""
    called = _called_totals(table, texts, connection)
    rows = connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()
    if not called or len(called) > _MOST or 2 * len(called) > (rows[0] if rows else 0):
        return 0, []
    listed = ", ".join(str(total.row) for total in called)
    edges = [-1, *(total.row for total in called), rows[0] if rows else 0]
    totals: list[_TotalRow] = []
    for position, total in enumerate(called):
        # The rows above it to the total before, those below it, all above it, and all.
        ranges = [(edges[position], total.row), (total.row, edges[position + 2]), (-1, total.row)]
        groups = [f"__row > {low} AND __row < {high}" for low, high in ranges]
        groups += ["true"]
        own = [f"lower({quoted(c)}::VARCHAR) = {literal(total.group)}" for c in texts]
        if total.group:
            groups = [" OR ".join(own), *groups]
        filled = _filled(table, texts, total, connection)
        groups += [f"{quoted(c)} = {literal(v)}" for c, v in filled.items()]
        others = f"__row NOT IN ({listed})"
        if _sums_up(table, numbers, total, groups, others, connection):
            totals.append(total)
    if not totals:
        return 0, []
    gone = ", ".join(str(total.row) for total in totals)
    connection.execute(
        "CREATE TABLE __kept AS SELECT * REPLACE (row_number() OVER (ORDER BY __row) - 1 AS __row) "
        f"FROM {quoted(table)} WHERE __row NOT IN ({gone}) ORDER BY __row"
    )
    connection.execute(f"DROP TABLE {quoted(table)}")
    connection.execute(f"ALTER TABLE __kept RENAME TO {quoted(table)}")
    shown = ", ".join(f"{t.name[:40]!r} (row {t.row + first_row})" for t in totals[:3])
    more = ", …" if len(totals) > 3 else ""
    return len(totals), [f"{len(totals)} rows of totals set aside: {shown}{more}"]


def _called_totals(
    table: str, texts: list[str], connection: duckdb.DuckDBPyConnection
) -> list[_TotalRow]:
    if not texts:
        return []
    words = _words()
    latin = "|".join(sorted(map(re.escape, words.alone), key=len, reverse=True))
    behind = "|".join(words.behind)
    # One pattern over the row's texts, one a line: texts have no line breaks of their own.
    pattern = literal(rf"(?im)(^|[\s:*(\[=,–])({latin})($|[\s:*)\]=,–])|({behind})$")
    columns = ", ".join(quoted(c) for c in texts)
    found = connection.execute(
        f"SELECT __row, {columns} FROM {quoted(table)} "
        f"WHERE regexp_matches(concat_ws(chr(10), {columns}), {pattern}) "
        f"ORDER BY __row LIMIT {_MOST + 1}"
    ).fetchall()
    called: list[_TotalRow] = []
    for row, *cells in found:
        for cell in cells:
            if cell is not None and (group := total_of(str(cell))) is not None:
                called.append(_TotalRow(int(row), str(cell), group))
                break
    return called


def _filled(
    table: str, texts: list[str], total: _TotalRow, connection: duckdb.DuckDBPyConnection
) -> dict[str, str]:
    """The other texts of a total's row: the city of a city's total."""
    columns = ", ".join(quoted(c) for c in texts)
    row = connection.execute(
        f"SELECT {columns} FROM {quoted(table)} WHERE __row = {total.row}"
    ).fetchone()
    cells = zip(texts, row or (), strict=True)
    return {c: str(v) for c, v in cells if v is not None and v != total.name}


def _sums_up(
    table: str,
    numbers: list[str],
    total: _TotalRow,
    groups: list[str],
    others: str,
    connection: duckdb.DuckDBPyConnection,
) -> bool:
    """Whether a row's numbers are the sums of a group's, or, if it is called "total" alone, above
    most of all others."""
    name = quoted(table)
    if not numbers:
        return not total.group
    columns = ", ".join(f"{quoted(c)}::DOUBLE" for c in numbers)
    own = connection.execute(f"SELECT {columns} FROM {name} WHERE __row = {total.row}").fetchone()
    values = {c: v for c, v in zip(numbers, own or (), strict=True) if v is not None}
    if not values:
        return not total.group
    sums = ", ".join(f"sum({quoted(c)})::DOUBLE, max({quoted(c)})::DOUBLE" for c in values)
    for group in groups:
        row = connection.execute(
            f"SELECT count(*), {sums} FROM {name} WHERE {others} AND ({group})"
        ).fetchone()
        count, *found = row or (0,)
        equal = [
            value
            for value, expected in zip(values.values(), found[::2], strict=True)
            if expected and value and math.isclose(value, expected, rel_tol=_ROUNDED)
        ]
        # One row's value is its own sum: that says something only of a group that is named.
        if equal and 2 * len(equal) >= len(values) and (count > 1 or total.group):
            return True
        if group == "true" and not total.group:
            above = [v for v, most in zip(values.values(), found[1::2], strict=True) if v > most]
            return 2 * len(above) > len(values)
    return False
