"""Cuts a small database out of a user's tables: some rows, whatever they refer to, their parts.

The cut is the truth of its arenas: whoever plays sees nothing else. So nothing in it has to be
complete, but every reference leads somewhere.
"""

from __future__ import annotations

import datetime
import hashlib
import random
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import duckdb

from astra.arenas.stateful.roles import WritableColumn, WritableTable
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.sql import fold, quoted
from astra.arenas.tables.views import ArenaSplit
from astra.databases import Cell, Database, DatabaseColumn, DatabaseTable
from astra.types import Language

MAX_ROWS = 200
"""Rows of all tables together."""
_ANCHORS = 10
"""Rows of each table that are drawn before others are added."""
_MAX_PARTS = 10
_STATE_TYPES = {
    ColumnKind.text: "text",
    ColumnKind.integer: "integer",
    ColumnKind.number: "decimal",
    ColumnKind.date: "date",
    ColumnKind.boolean: "boolean",
}
Row = dict[str, Cell]


def split_of(seed: int, table: str, key: Cell, test_share: float) -> ArenaSplit:
    """The split of a row, decided by a hash: requests of the other split never change it."""
    digest = hashlib.sha256(f"{seed}\0{table}\0{key}".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") / 2**64 < test_share else "train"


@dataclass(frozen=True, slots=True)
class Cut:
    """A database, and which of its rows requests may be about."""

    database: Database
    split: ArenaSplit
    now: str
    targets: dict[str, tuple[Cell, ...]]
    """Table -> keys of rows of the split."""
    spare: dict[tuple[str, str], tuple[Cell, ...]]
    """Table and column -> values that no row of the database has, from rows outside."""


class TableRows:
    """All rows of some tables in one language, as a database stores them."""

    def __init__(
        self,
        tables: Sequence[WritableTable],
        rows: dict[str, dict[Cell, Row]],
        now: str | None = None,
    ) -> None:
        """`rows`: table -> key -> row. `now`: None: in the morning after the last row came."""
        self.tables = {table.name: table for table in tables}
        self.rows = rows
        self.children: dict[str, list[tuple[WritableTable, str]]] = {
            table.name: [
                (child, column)
                for child in tables
                for column, parent in child.references.items()
                if parent == table.name
            ]
            for table in tables
        }
        self._by_parent: dict[tuple[str, str], dict[Cell, list[Cell]]] = {}
        self.now = _after_all(self) if now is None else now

    @classmethod
    def read(
        cls, db: duckdb.DuckDBPyConnection, tables: Sequence[WritableTable], language: Language
    ) -> Self:
        """The rows of a user's tables, in a language where columns have it."""
        return cls(tables, {table.name: _read(db, table, language) for table in tables})

    def of_parent(self, child: str, column: str, parent: Cell) -> list[Cell]:
        """Keys of a table's rows that refer to a parent."""
        index = self._by_parent.get((child, column))
        if index is None:
            index = self._by_parent[child, column] = {}
            for key, row in self.rows[child].items():
                index.setdefault(row[column], []).append(key)
        return index.get(parent, [])

    def cut(self, rng: random.Random, split: ArenaSplit, seed: int, test_share: float) -> Cut:
        """A database around rows of the split."""
        own = {
            name: [key for key in rows if split_of(seed, name, key, test_share) == split]
            for name, rows in self.rows.items()
        }
        kept: dict[str, set[Cell]] = {name: set() for name in self.rows}
        names = [name for name in self.rows if own[name]]
        for size in range(_ANCHORS):
            for name in rng.sample(names, len(names)):
                before = {table: set(keys) for table, keys in kept.items()}
                key = rng.choice(own[name])
                self._add(kept, name, key, parts=True)
                if size % 2:
                    self._add_namesake(kept, name, key, rng)
                if sum(map(len, kept.values())) > MAX_ROWS:
                    kept = before
        database = Database(tables=tuple(self._table(t, kept) for t in self.tables.values()))
        return Cut(
            database,
            split,
            self.now,
            {name: tuple(k for k in own[name] if k in kept[name]) for name in self.rows},
            self._spare(kept, rng),
        )

    def _add(self, kept: dict[str, set[Cell]], name: str, key: Cell, *, parts: bool) -> None:
        """Keep a row, the rows it refers to, and the rows that are parts of it."""
        if key in kept[name]:
            return
        kept[name].add(key)
        table = self.tables[name]
        row = self.rows[name][key]
        for column, parent in table.references.items():
            if row[column] is not None:
                self._add(kept, parent, row[column], parts=False)
        for child, column in self.children[name]:
            # Lines that add up to a total of their order stay with it.
            if not parts and not (child.locked and table.locked):
                continue
            found = self.of_parent(child.name, column, key)
            if len(found) <= _MAX_PARTS:
                for part in found:
                    self._add(kept, child.name, part, parts=False)

    def _add_namesake(
        self, kept: dict[str, set[Cell]], name: str, key: Cell, rng: random.Random
    ) -> None:
        """Keep a row whose name begins as another's, so that half a name is not enough."""
        naming = self.tables[name].naming
        if naming is None:
            return
        start = fold(str(self.rows[name][key][naming])).split()[:1]
        alike = [
            other
            for other, row in self.rows[name].items()
            if other != key and fold(str(row[naming])).split()[:1] == start
        ]
        if alike:
            self._add(kept, name, rng.choice(alike), parts=False)

    def _table(self, table: WritableTable, kept: dict[str, set[Cell]]) -> DatabaseTable:
        names = [column.name for column in table.columns]
        rows = [row for key, row in self.rows[table.name].items() if key in kept[table.name]]
        rows.sort(key=lambda row: (isinstance(row[table.key], str), row[table.key]))
        return DatabaseTable(
            name=table.name,
            key=table.key,
            columns=tuple(_definition(table, column) for column in table.columns),
            references=table.references,
            rows=tuple(tuple(row[name] for name in names) for row in rows),
        )

    def _spare(
        self, kept: dict[str, set[Cell]], rng: random.Random
    ) -> dict[tuple[str, str], tuple[Cell, ...]]:
        spare: dict[tuple[str, str], tuple[Cell, ...]] = {}
        for table in self.tables.values():
            rows = self.rows[table.name]
            for column in table.columns:
                given = table.new_row is not None and column.name in table.new_row.given
                if column.role not in ("text", "number", "date") and not given:
                    continue
                held = {rows[key][column.name] for key in kept[table.name]}
                others = {row[column.name]: None for row in rows.values()}
                values = [value for value in others if value is not None and value not in held]
                spare[table.name, column.name] = tuple(rng.sample(values, min(40, len(values))))
        return spare


def _definition(table: WritableTable, column: WritableColumn) -> DatabaseColumn:
    kind = _STATE_TYPES[column.column.kind]
    if column.column.kind is ColumnKind.number and column.scale == 0:
        kind = "integer"
    return DatabaseColumn(
        name=column.name,
        type=kind,  # pyright: ignore[reportArgumentType] # one of the values above
        required=column.column.nulls == 0,
        unique=column.unique and column.role != "key",
        scale=column.scale,
        minimum=0 if column.name == table.stock else None,
        choices=column.choices,
    )


def _read(
    db: duckdb.DuckDBPyConnection, table: WritableTable, language: Language
) -> dict[Cell, Row]:
    selected = [
        f"{quoted(c.column.variants.get(language, c.source))} AS {quoted(c.name)}"
        for c in table.columns
    ]
    records = db.execute(
        f"SELECT {', '.join(selected)} FROM {quoted(table.name)} ORDER BY __row"
    ).fetchall()
    rows: dict[Cell, Row] = {}
    for values in records:
        row = {
            column.name: stored(value, column)
            for column, value in zip(table.columns, values, strict=True)
        }
        rows[row[table.key]] = row
    return rows


def stored(value: object, column: WritableColumn) -> Cell:
    """A value of a user's table as a database stores it."""
    match value:
        case None:
            return None
        case bool():
            return int(value)
        case datetime.datetime():
            return value.date().isoformat()
        case datetime.date():
            return value.isoformat()
        case int():
            return value * 10**column.scale
        case float():
            return round(value * 10**column.scale)
        case str():
            return unicodedata.normalize("NFC", value)
        case _:
            return round(float(str(value)) * 10**column.scale)


def _after_all(rows: TableRows) -> str:
    """Nine in the morning after the last day on which a row came to be."""
    days = [
        str(row[column.name])[:10]
        for table in rows.tables.values()
        for column in table.columns
        if column.system_date
        for row in rows.rows[table.name].values()
    ]
    last = datetime.date.fromisoformat(max(days, default="2026-01-01"))
    return f"{last + datetime.timedelta(days=1)} 09:00"


def rows_of(database: Database, table: str) -> Iterable[Row]:
    """The first rows of a table."""
    return database.table(table).rows_by_key.values()
