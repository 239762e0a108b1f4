"""One language's view of a user's tables: rows to ask about by name, by value and by group.

Foreign keys show the name of the row they point to. Whatever could make a question ambiguous is
left out: names that occur twice, values that differ only in case, groups too large for a tool.
All data stay in DuckDB; only row numbers, group values and group members are held in memory.
"""

from __future__ import annotations

import hashlib
import random

import duckdb

from astra.arenas.tables.caching import cached_method
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.sql import askable, fold, folded, quoted
from astra.arenas.tables.view_tables import BLOCK_COLUMNS, create_view, long_columns, view_name
from astra.arenas.tables.views import ArenaSplit, Attribute, RowEntity, RowGroup, table_view
from astra.types import Json, Language, Scalar

MAX_ENTITIES = 20_000
"""Rows per table that can be asked about by name; more would add memory, not variety."""
MAX_GROUPS = 5_000
BLOCK_ROWS = 256


class World:
    """All views of one language, and DuckDB's answers about them.

    `max_rows`: most rows of one group that is asked about; a tool holds at most twice as many.
    `test_share`: share of entity clusters that only test arenas may ask about.
    """

    def __init__(
        self,
        tables: Tables,
        schema: Schema,
        language: Language,
        *,
        seed: int,
        test_share: float,
        max_rows: int,
    ) -> None:
        self.schema = schema
        self.language: Language = language
        self.seed = seed
        self.test_share = test_share
        self.max_rows = max_rows
        # Temporary tables belong to a cursor, so two worlds over the same tables don't meet.
        self._db: duckdb.DuckDBPyConnection = tables.connection.cursor()
        self._parents = _parents(schema)
        self.views = {
            table.name: table_view(table, schema, language, long_columns(self._db, table, language))
            for table in schema.tables
        }
        self.entities: dict[str, dict[ArenaSplit, list[int]]] = {}
        self.groups: dict[tuple[str, str], dict[ArenaSplit, list[RowGroup]]] = {}
        for view in self.views.values():
            create_view(self._db, view, schema, language)
        self._shared_names = self._read_shared_names()
        for view in self.views.values():
            table = view.table.name
            rows = self._db.execute(
                f"SELECT __row FROM {self.quoted(table)} WHERE __named ORDER BY __row "
                f"LIMIT {MAX_ENTITIES}"
            ).fetchall()
            self.entities[table] = {"train": [], "test": []}
            for (row,) in rows:
                self.entities[table][self.split_of(self.cluster(table, row))].append(row)
            for attribute in view.attributes:
                if attribute.groups:
                    self.groups[table, attribute.name] = self._read_groups(table, attribute)

    # --- building ----------------------------------------------------------------------------

    def _read_groups(self, table: str, attribute: Attribute) -> dict[ArenaSplit, list[RowGroup]]:
        column, name = quoted(attribute.name), self.quoted(table)
        same_value = folded(self._db, name, column)
        reference = (
            f"min({quoted('__ref_' + attribute.name)})" if attribute.references else "NULL::BIGINT"
        )
        homonyms = self._homonyms(table, attribute)
        records = self._db.execute(
            f"SELECT {column}, list(__row ORDER BY __row), {reference} FROM {name} "
            f"WHERE {column} IS NOT NULL {homonyms} GROUP BY {same_value}, {column} "
            f"QUALIFY count(*) OVER (PARTITION BY {same_value}) = 1 "
            f"AND count(*) BETWEEN 2 AND {self.max_rows} AND {askable(column)} "
            f"ORDER BY min(__row) LIMIT {MAX_GROUPS}"
        ).fetchall()
        groups: dict[ArenaSplit, list[RowGroup]] = {"train": [], "test": []}
        for value, rows, row in records:
            subject = f"{table}.{attribute.name}:{rows[0]}"
            if attribute.references is not None:
                if row is None or not self.row(attribute.references, row)["__named"]:
                    continue
                subject = self.cluster(attribute.references, row)
            group = RowGroup(table, attribute.name, value, tuple(rows), row, subject)
            groups[self.split_of(subject)].append(group)
        return groups

    def _homonyms(self, table: str, attribute: Attribute) -> str:
        """SQL condition that leaves out values which stand with several wider places."""
        wider = self.schema.table(table).column(attribute.column).within
        if not wider or attribute.references is not None:
            return ""
        # A place that is missing may be any: Paris beside Texas, and Paris beside nothing.
        several = " OR ".join(
            f"count(DISTINCT coalesce(lower(CAST(b.{quoted(place)} AS VARCHAR)), '')) > 1"
            for place in wider
        )
        column = quoted(attribute.name)
        return (
            f"AND {column} NOT IN (SELECT v.{column} FROM {self.quoted(table)} v "
            f"JOIN {quoted(table)} b USING (__row) WHERE v.{column} IS NOT NULL "
            f"GROUP BY v.{column} HAVING {several})"
        )

    # --- split -------------------------------------------------------------------------------

    @cached_method(65_536)
    def split_of(self, subject: str) -> ArenaSplit:
        """train or test, decided by a hash of the seed and the subject alone."""
        # A hash, not a draw: an entity has one split in all languages and resumed runs.
        digest = hashlib.sha256(f"{self.seed}\0{subject}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        return "test" if share < self.test_share else "train"

    def cluster(self, table: str, row: int) -> str:
        """The entity at the root of the row's foreign keys: a country's cities share its split."""
        return self._clusters(table).get(row, f"{table}:{row}")

    @cached_method()
    def _clusters(self, table: str) -> dict[int, str]:
        """Row -> root entity, for rows whose keys lead to one."""
        chain: list[tuple[str, str]] = []
        root_table = table
        while root_table in self._parents:
            column, parent = self._parents[root_table]
            attribute = next(
                (a.name for a in self.views[root_table].attributes if a.column == column), None
            )
            if attribute is None:
                break
            chain.append((root_table, attribute))
            root_table = parent
        if not chain:
            return {}
        root, joins, alias = "", "", "t"
        for number, (_, attribute) in enumerate(chain):
            root = f"{alias}.{quoted('__ref_' + attribute)}"
            if number + 1 < len(chain):
                alias = f"j{number}"
                other = self.quoted(chain[number + 1][0])
                joins += f" LEFT JOIN {other} {alias} ON {root} = {alias}.__row"
        rows = self._db.execute(
            f"SELECT t.__row, {root} FROM {self.quoted(table)} t {joins} ORDER BY t.__row "
            f"LIMIT {MAX_ENTITIES * 2}"
        ).fetchall()
        return {row: f"{root_table}:{entity}" for row, entity in rows if entity is not None}

    # --- rows and entities ---------------------------------------------------------------------

    def row(self, table: str, row: int) -> dict[str, Json]:
        """All fields of one row: `__row`, `__name`, `__named`, attributes, `__ref_*`."""
        return self._block(table, row // BLOCK_ROWS)[row % BLOCK_ROWS]

    @cached_method(256)
    def _block(self, table: str, number: int) -> list[dict[str, Json]]:
        # Rows are read by the block: a query for each would cost more than everything else.
        start = number * BLOCK_ROWS
        cursor = self._db.execute(
            f"SELECT * FROM {self.quoted(table)} WHERE __row BETWEEN ? AND ? ORDER BY __row",
            [start, start + BLOCK_ROWS - 1],
        )
        names = [column[0] for column in cursor.description or []]
        return [
            {name: _as_json(value) for name, value in zip(names, values, strict=True)}
            for values in cursor.fetchall()
        ]

    def row_with(self, table: str, attribute: str, value: str) -> int | None:
        """The one row with that value. None if there is none, or more than one."""
        return self._unique_values(table, attribute).get(value)

    @cached_method(256)
    def _unique_values(self, table: str, attribute: str) -> dict[str, int]:
        name, column = self.quoted(table), quoted(attribute)
        cursor = self._db.execute(
            f"SELECT any_value({column}), min(__row) FROM {name} WHERE {column} IS NOT NULL "
            f"GROUP BY {folded(self._db, name, column)} HAVING count(*) = 1 ORDER BY 2 "
            f"LIMIT {MAX_ENTITIES}"
        )
        return dict(cursor.fetchall())

    def entity(self, table: str, row: int) -> RowEntity | None:
        """The row as an entity. None if its name does not identify it."""
        fields = self.row(table, row)
        return RowEntity(table, row, fields["__name"]) if fields["__named"] else None

    def random_entity(self, rng: random.Random, table: str, split: ArenaSplit) -> RowEntity | None:
        """A named row of the split. None if there is none."""
        rows = self.entities[table][split]
        return self.entity(table, rng.choice(rows)) if rows else None

    def shares_name(self, entity: RowEntity) -> bool:
        """Whether a row of another table has the same name."""
        return fold(entity.name) in self._shared_names

    def _read_shared_names(self) -> frozenset[str]:
        """Names, folded, that occur in more than one table."""
        earlier: set[str] = set()
        shared: set[str] = set()
        for view in self.views.values():
            records = self._db.execute(
                f"SELECT __name FROM {self.quoted(view.table.name)} WHERE __named ORDER BY __row "
                f"LIMIT {MAX_ENTITIES}"
            ).fetchall()
            names = {fold(name) for (name,) in records}
            shared |= names & earlier
            earlier |= names
        return frozenset(shared)

    # --- groups --------------------------------------------------------------------------------

    def group_of(
        self, table: str, attribute: str, value: str, split: ArenaSplit
    ) -> RowGroup | None:
        """The group of that value. None if it can't be asked about in this split."""
        return self._groups_by_value(table, attribute, split).get(value)

    @cached_method()
    def _groups_by_value(
        self, table: str, attribute: str, split: ArenaSplit
    ) -> dict[str, RowGroup]:
        return {group.value: group for group in self.groups[table, attribute][split]}

    def members(self, group: RowGroup) -> list[dict[str, Json]]:
        """All rows of a group, in file order."""
        return [self.row(group.table, row) for row in group.rows]

    @cached_method(16_384)
    def member_names(self, group: RowGroup) -> tuple[str, ...] | None:
        """Names of a group's rows. None unless every row has a name and all names differ."""
        names = [row["__name"] for row in self.members(group)]
        if any(name is None for name in names):
            return None
        return tuple(names) if len({fold(name) for name in names}) == len(names) else None

    def _groups_by(self, table: str, by: str) -> tuple[str, list[str]]:
        """SQL that keeps the rows of groups that are asked about, and the groups' values."""
        values = [g.value for groups in self.groups[table, by].values() for g in groups]
        sql = (
            f"FROM {self.quoted(table)} SEMI JOIN (SELECT unnest(?::VARCHAR[]) AS __value) "
            f"ON {quoted(by)} = __value GROUP BY 1"
        )
        return sql, values

    def extreme(self, group: RowGroup, attribute: str, order: str) -> int | None:
        """The one row of a group with the highest or lowest value. None for ties and nulls."""
        names = [a.name for a in self.views[group.table].rankable]
        block = names.index(attribute) // BLOCK_COLUMNS
        extremes = self._extremes(group.table, group.attribute, block)
        return extremes.get((group.value, attribute, order))

    @cached_method(1024)
    def _extremes(self, table: str, by: str, block: int) -> dict[tuple[str, str, str], int]:
        # All groups and many attributes at once: nearly as quick as the query for one group.
        names = [a.name for a in self.views[table].rankable]
        names = names[block * BLOCK_COLUMNS : (block + 1) * BLOCK_COLUMNS]
        columns = "".join(
            f", count(*) - count({a}), arg_max(__row, {a}), max({a}, 2), arg_min(__row, {a}), "
            f"min({a}, 2)"
            for a in map(quoted, names)
        )
        source, values = self._groups_by(table, by)
        records = self._db.execute(f"SELECT {quoted(by)}{columns} {source}", [values]).fetchall()
        extremes: dict[tuple[str, str, str], int] = {}
        for group, *fields in records:
            for number, name in enumerate(names):
                nulls, highest, top, lowest, bottom = fields[5 * number : 5 * number + 5]
                for order, row, two in (("highest", highest, top), ("lowest", lowest, bottom)):
                    if not nulls and (len(two) < 2 or two[0] != two[1]):
                        extremes[group, name, order] = row
        return extremes

    def aggregate(self, group: RowGroup, attribute: str, function: str) -> Json:
        """The value of an SQL aggregate function, such as `sum` or `avg`, over a group."""
        return self._aggregates(group.table, group.attribute, attribute, function)[group.value]

    @cached_method(1024)
    def _aggregates(self, table: str, by: str, attribute: str, function: str) -> dict[str, Json]:
        if not function.isidentifier():
            raise ValueError(f"{function!r} is not the name of an SQL function")
        source, values = self._groups_by(table, by)
        records = self._db.execute(
            f"SELECT {quoted(by)}, {function}({quoted(attribute)}) {source}", [values]
        ).fetchall()
        return {group: _as_json(value) for group, value in records}

    # --- SQL -----------------------------------------------------------------------------------

    def quoted(self, table: str) -> str:
        """The view's quoted name in SQL, for `query`."""
        return view_name(table, self.language)

    @cached_method(16_384)
    def query(self, sql: str, parameters: tuple[Scalar, ...]) -> list[tuple[Json, ...]]:
        """The rows of a query over views, whose names `quoted` gives."""
        records = self._db.execute(sql, list(parameters)).fetchall()
        return [tuple(_as_json(value) for value in row) for row in records]


def _parents(schema: Schema) -> dict[str, tuple[str, str]]:
    """Table -> (foreign-key column, parent): the first key to a smaller table, so no cycles."""
    parents: dict[str, tuple[str, str]] = {}
    for table in schema.tables:
        for key in table.foreign_keys:
            other = schema.table(key.table)
            if other.naming is not None and other.rows < table.rows:
                parents[table.name] = (key.column, other.name)
                break
    return parents


def _as_json(value: Json) -> Json:
    """DuckDB's Python value as a JSON scalar: dates as ISO text."""
    return value.isoformat() if hasattr(value, "isoformat") else value
