"""One language's view of a user's tables: what can be asked by name, by code and by group.

Foreign keys show the name of the row they point to. Whatever could make a question ambiguous is
marked here: names that stand twice, values that differ only in case, groups too large for a tool.
All data stay in DuckDB; only row numbers, names of groups and their sizes are held in memory.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import duckdb

from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Column, ColumnKind, ForeignKey, Schema, Table
from astra.core.text import normalise
from astra.types import Json, Language, Scalar

ArenaSplit = Literal["train", "test"]

_NOT_AVERAGEABLE = re.compile(
    r"(?:^|[_ ])(?:year|offset|latitude|longitude|lat|lon|rank|index|id|code)(?:[_ ]|$)"
    r"|年份|年度|编号|名次|排名|时差|纬度|经度"
)
_NOT_ADDITIVE = re.compile(
    r"(?:^|[_ ])(?:rate|ratio|pct|percent|percentage|share|price|score|rating|age|temperature"
    r"|elevation|altitude|height|depth|density|average|mean|median|min|max|maximum|minimum)"
    r"(?:[_ ]|$)|海拔|高度|深度|温度|价格|单价|评分|年龄|密度|比例|百分|平均|最高|最低|最大|最小"
    r"|率$"
)
_IDENTIFIER = re.compile(
    r"(?:^|_)(?:id|ids|no|nr|code|key|zip|zipcode|postcode|phone|telephone|fax|isbn|ean|sku|uuid"
    r"|serial|index|idx)$|_number$|编号|代码|编码|邮编|电话|手机|工号|学号|证号|号码|序号"
)
_SAYS_DATE = re.compile(
    r"\b(?:date|day|time|birthday|deadline|timestamp|since|until)\b|日|时|期", re.IGNORECASE
)
_PLAIN = "[A-Za-z0-9_.:/()&-]+( [A-Za-z0-9_.:/()&-]+)*"
"""Values that `fold` only turns into lower case."""
_KEY_SUFFIX = re.compile(r"_(code|id|key|no|name|iso2|iso3|iata|icao)$")

LONGEST_VALUE = 60
"""Characters; a longer cell is never put into a question or asked for."""
MOST_ENTITIES = 20_000
"""Rows per table that can be asked about by name; more would add memory, not variety."""
MOST_GROUPS = 5_000
BLOCK_ROWS = 256
BLOCK_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column as tools and questions speak of it."""

    name: str
    """Identifier in tools: the column's name, `_code`, `_id` … cut off foreign keys."""
    column: str
    kind: ColumnKind
    label: str
    unit: str | None
    references: str | None
    """Table that a foreign key points to."""
    unique: bool
    """Every value stands for one row: can be looked up in reverse."""
    groups: bool
    """Values are shared by several rows: can be grouped by."""

    @property
    def numeric(self) -> bool:
        return self.kind in (ColumnKind.integer, ColumnKind.number)

    @property
    def averageable(self) -> bool:
        """Means of it mean something; those of years do not."""
        return self.numeric and not _NOT_AVERAGEABLE.search(f"{self.column} {self.label}")

    @property
    def additive(self) -> bool:
        """Sums of it mean something; those of elevations do not."""
        return self.averageable and not _NOT_ADDITIVE.search(f"{self.column} {self.label}")


@dataclass(frozen=True, slots=True)
class RowGroup:
    """All rows of a table with one value of one attribute."""

    table: str
    attribute: str
    value: str
    rows: tuple[int, ...]
    """Its rows, in file order."""
    row: int | None
    """Row of the referenced table, for a foreign key."""
    subject: str
    """What the train/test split is decided on."""

    @property
    def size(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class RowEntity:
    """A row that has a name of its own."""

    table: str
    row: int
    name: str


class TableView:
    """One table in one language."""

    def __init__(self, table: Table, attributes: tuple[Attribute, ...]) -> None:
        self.table = table
        self.attributes = attributes
        self.by_name = {attribute.name: attribute for attribute in attributes}

    @property
    def named(self) -> bool:
        return self.table.naming is not None


class World:
    """All views of one language, and the questions DuckDB answers about them.

    `max_rows`: most rows of one tool's slice of data, and so the largest group that is asked
    about. `test_share`: share of entity clusters that only test arenas may ask about.
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
        # A cursor of its own: temporary tables of two worlds over the same tables don't meet.
        self._db: duckdb.DuckDBPyConnection = tables.connection.cursor()
        self._parents = _parents(schema)
        self._block = lru_cache(maxsize=256)(self._read_block)
        self._extremes = lru_cache(maxsize=1024)(self._find_extremes)
        self._able = lru_cache(maxsize=None)(self._find_able)
        self._aggregates = lru_cache(maxsize=1024)(self._find_aggregates)
        self.split_of = lru_cache(maxsize=65_536)(self._find_split)
        self._asked = lru_cache(maxsize=16_384)(self._ask)
        self._unique = lru_cache(maxsize=256)(self._find_unique)
        self.views = {table.name: self._view(table) for table in schema.tables}
        self._maps: dict[str, dict[int, str]] = {}
        self._group_indices: dict[tuple[str, str, str], dict[str, RowGroup]] = {}
        self.entities: dict[str, dict[ArenaSplit, list[int]]] = {}
        self.groups: dict[tuple[str, str], dict[ArenaSplit, list[RowGroup]]] = {}
        for view in self.views.values():
            self._materialise(view)
        self._shared = self._find_shared()
        for view in self.views.values():
            self._index(view)

    # --- building ----------------------------------------------------------------------------

    def _view(self, table: Table) -> TableView:
        attributes: list[Attribute] = []
        keys = {key.column: key for key in table.foreign_keys}
        for column in table.columns:
            if column.variant_of or column.name == table.naming or column.kind is ColumnKind.other:
                continue
            if column.kind is ColumnKind.boolean or column.distinct == 0:
                continue
            attribute = self._attribute(table, column, keys.get(column.name), attributes)
            if attribute is not None:
                attributes.append(attribute)
        return TableView(table, tuple(attributes))

    def _attribute(
        self, table: Table, column: Column, key: ForeignKey | None, taken: Sequence[Attribute]
    ) -> Attribute | None:
        label = column.labels.get(self.language) or column.name
        if column.kind is ColumnKind.date and not _SAYS_DATE.search(label):
            label += "日期" if self.language == "zh" else " date"
        references = None
        if key is not None and self.schema.table(key.table).naming is not None:
            references = key.table
        if references is None and self._too_long(table, column):
            return None
        named = references is not None or _is_identifier(column, key)
        kind = ColumnKind.text if named else column.kind
        filled = table.rows - column.nulls
        unique = kind is ColumnKind.text and column.distinct == filled and filled > 1
        groups = kind is ColumnKind.text and 1 < column.distinct <= filled / 2
        name = _KEY_SUFFIX.sub("", column.name) if references else column.name
        if any(other.name == name for other in taken) or (
            name != column.name and any(other.name == name for other in table.columns)
        ):
            name = column.name
        return Attribute(name, column.name, kind, label, column.unit, references, unique, groups)

    def _too_long(self, table: Table, column: Column) -> bool:
        """Free text is no attribute: its values can't be asked for exactly."""
        if column.kind is not ColumnKind.text:
            return False
        source = column.variants.get(self.language, column.name)
        found = self._db.execute(
            f"SELECT quantile_cont(length({quote(source)}), 0.9) FROM {quote(table.name)}"
        ).fetchone()
        return found is None or found[0] is None or found[0] > LONGEST_VALUE

    def _name(self, table: str) -> str:
        return quote(f"{self.language}:{table}")

    def _source(self, column: Column) -> str:
        return column.variants.get(self.language, column.name)

    def _materialise(self, view: TableView) -> None:
        """Create the language's table: names, attributes, referenced rows, cluster."""
        table = view.table
        keys = {key.column: key for key in table.foreign_keys}
        select = ["t.__row"]
        joins: list[str] = []
        if table.naming is not None:
            select.append(f"t.{quote(self._source(table.column(table.naming)))} AS __name")
        else:
            select.append("NULL::VARCHAR AS __name")
        for number, attribute in enumerate(view.attributes):
            column = table.column(attribute.column)
            if attribute.references is None:
                source = f"t.{quote(self._source(column))}"
                if attribute.kind is ColumnKind.text:
                    source = f"CAST({source} AS VARCHAR)"
                select.append(f"{source} AS {quote(attribute.name)}")
                continue
            key, other = keys[attribute.column], self.schema.table(attribute.references)
            assert other.naming is not None
            alias = f"r{number}"
            name = self._source(other.column(other.naming))
            select.append(f"{alias}.{quote(name)} AS {quote(attribute.name)}")
            select.append(f"{alias}.__row AS {quote('__ref_' + attribute.name)}")
            joins.append(
                f"LEFT JOIN (SELECT min(__row) AS __row, {quote(key.references)} AS __key, "
                f"any_value({quote(name)} ORDER BY __row) AS {quote(name)} "
                f"FROM {quote(other.name)} GROUP BY __key) {alias} "
                f"ON t.{quote(key.column)} = {alias}.__key"
            )
        self._db.execute(
            f"CREATE TEMP TABLE {self._name(table.name)} AS SELECT {', '.join(select)} "
            f"FROM {quote(table.name)} t {' '.join(joins)} ORDER BY t.__row"
        )
        self._mark_names(table.name)

    def _mark_names(self, table: str) -> None:
        """`__named`: the name is clean and, as tools and rewards compare names, nobody else's."""
        name = self._name(table)
        fold = self._folded(name, "__name")
        self._db.execute(f"ALTER TABLE {name} ADD COLUMN __named BOOLEAN")
        self._db.execute(
            f"UPDATE {name} SET __named = ok.__row IS NOT NULL FROM "
            f"(SELECT t.__row AS all_row, u.__row FROM {name} t LEFT JOIN (SELECT min(__row) AS "
            f"__row FROM {name} WHERE __name IS NOT NULL GROUP BY {fold} "
            f"HAVING count(*) = 1 AND {_clean('any_value(__name)')}) u ON t.__row = u.__row) ok "
            f"WHERE {name}.__row = ok.all_row"
        )

    def _folded(self, name: str, column: str) -> str:
        """SQL for `fold` of a column. Plain values are folded by DuckDB, the others here."""
        found = self._db.execute(
            f"SELECT DISTINCT {column} FROM {name} "
            f"WHERE {column} IS NOT NULL AND NOT regexp_full_match({column}, '{_PLAIN}')"
        ).fetchall()
        values = [value for (value,) in found]
        self._db.execute(
            "CREATE OR REPLACE TEMP TABLE __folds AS "
            "SELECT unnest(?::VARCHAR[]) AS value, unnest(?::VARCHAR[]) AS folded",
            [values, [fold(value) for value in values]],
        )
        return (
            f"coalesce((SELECT any_value(folded) FROM __folds WHERE value = {column}), "
            f"lower({column}))"
        )

    def _index(self, view: TableView) -> None:
        """Row numbers of entities and lists of groups, by split."""
        table = view.table.name
        rows = self._db.execute(
            f"SELECT __row FROM {self._name(table)} WHERE __named ORDER BY __row "
            f"LIMIT {MOST_ENTITIES}"
        ).fetchall()
        clusters = self._clusters(table)
        by_split: dict[ArenaSplit, list[int]] = {"train": [], "test": []}
        for (row,) in rows:
            by_split[self.split_of(clusters.get(row, f"{table}:{row}"))].append(row)
        self.entities[table] = by_split
        for attribute in view.attributes:
            if attribute.groups:
                self.groups[table, attribute.name] = self._groups(table, attribute)

    def _groups(self, table: str, attribute: Attribute) -> dict[ArenaSplit, list[RowGroup]]:
        column = quote(attribute.name)
        fold = self._folded(self._name(table), column)
        reference = (
            f"min({quote('__ref_' + attribute.name)})" if attribute.references else "NULL::BIGINT"
        )
        found = self._db.execute(
            f"SELECT {column}, list(__row ORDER BY __row), {reference} FROM {self._name(table)} "
            f"WHERE {column} IS NOT NULL GROUP BY {fold}, {column} "
            f"QUALIFY count(*) OVER (PARTITION BY {fold}) = 1 "
            f"AND count(*) BETWEEN 2 AND {self.max_rows} AND {_clean(column)} "
            f"ORDER BY min(__row) LIMIT {MOST_GROUPS}"
        ).fetchall()
        groups: dict[ArenaSplit, list[RowGroup]] = {"train": [], "test": []}
        for value, rows, row in found:
            if attribute.references is not None:
                if row is None or not self.is_named(attribute.references, row):
                    continue
                subject = self.cluster(attribute.references, row)
            else:
                subject = f"{table}.{attribute.name}:{rows[0]}"
            group = RowGroup(table, attribute.name, value, tuple(rows), row, subject)
            groups[self.split_of(subject)].append(group)
        return groups

    # --- split -------------------------------------------------------------------------------

    def _find_split(self, subject: str) -> ArenaSplit:
        """train or test, decided by a hash of the seed and the subject alone."""
        digest = hashlib.sha256(f"{self.seed}\0{subject}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        return "test" if share < self.test_share else "train"

    def _clusters(self, table: str) -> dict[int, str]:
        """Row -> the root entity it belongs to, so that a country's cities share its split."""
        chain: list[tuple[str, str]] = []
        at = table
        while at in self._parents:
            column, parent = self._parents[at]
            attribute = next(
                (a.name for a in self.views[at].attributes if a.column == column), None
            )
            if attribute is None:
                break
            chain.append((at, attribute))
            at = parent
        if not chain:
            return {}
        name = self._name(table)
        select, joins, last = "", "", "t"
        for number, (_, attribute) in enumerate(chain):
            column = f"{last}.{quote('__ref_' + attribute)}"
            select = column
            if number + 1 < len(chain):
                joins += f" LEFT JOIN {self._name(chain[number + 1][0])} j{number}"
                joins += f" ON {column} = j{number}.__row"
                last = f"j{number}"
        rows = self._db.execute(
            f"SELECT t.__row, {select} FROM {name} t {joins} ORDER BY t.__row "
            f"LIMIT {MOST_ENTITIES * 2}"
        ).fetchall()
        return {row: f"{at}:{root}" for row, root in rows if root is not None}

    def cluster(self, table: str, row: int) -> str:
        """The split subject of one entity."""
        return self._cluster_map(table).get(row, f"{table}:{row}")

    def _cluster_map(self, table: str) -> dict[int, str]:
        if table not in self._maps:
            self._maps[table] = self._clusters(table)
        return self._maps[table]

    # --- asking ------------------------------------------------------------------------------

    def _read_block(self, table: str, number: int) -> list[dict[str, Json]]:
        """Rows are read by the block: one query each would cost more than all the rest."""
        start = number * BLOCK_ROWS
        cursor = self._db.execute(
            f"SELECT * FROM {self._name(table)} WHERE __row BETWEEN ? AND ? ORDER BY __row",
            [start, start + BLOCK_ROWS - 1],
        )
        names = [column[0] for column in cursor.description or []]
        return [
            {name: _plain(value) for name, value in zip(names, values, strict=True)}
            for values in cursor.fetchall()
        ]

    def _find_unique(self, table: str, attribute: str) -> dict[str, int]:
        column = quote(attribute)
        folded = self._folded(self._name(table), column)
        found = self._db.execute(
            f"SELECT any_value({column}), min(__row) FROM {self._name(table)} "
            f"WHERE {column} IS NOT NULL GROUP BY {folded} HAVING count(*) = 1 ORDER BY 2 "
            f"LIMIT {MOST_ENTITIES}"
        )
        return dict(found.fetchall())

    def row_with(self, table: str, attribute: str, value: str) -> int | None:
        """The one row with that value; None when there is none, or more than one."""
        return self._unique(table, attribute).get(value)

    def row(self, table: str, row: int) -> dict[str, Json]:
        """All fields of one row: `__name`, `__named`, attributes, `__ref_*`."""
        return self._block(table, row // BLOCK_ROWS)[row % BLOCK_ROWS]

    def is_named(self, table: str, row: int) -> bool:
        """Whether a row can be asked about by its name."""
        return bool(self.row(table, row)["__named"])

    def random_entity(self, rng: random.Random, table: str, split: ArenaSplit) -> RowEntity | None:
        """A named row of the split; None when there is none."""
        rows = self.entities[table][split]
        return self.entity(table, rng.choice(rows)) if rows else None

    def entity(self, table: str, row: int) -> RowEntity | None:
        """The row as an entity; None when its name is not its own."""
        fields = self.row(table, row)
        return RowEntity(table, row, fields["__name"]) if fields["__named"] else None

    def shares_name(self, entity: RowEntity) -> bool:
        """Whether a row of another table has the same name."""
        return fold(entity.name) in self._shared

    def _find_shared(self) -> frozenset[str]:
        """Names, folded, that stand in more than one table."""
        tables = [view.table.name for view in self.views.values() if view.named]
        if len(tables) < 2:
            return frozenset()
        seen: set[str] = set()
        shared: set[str] = set()
        for table in tables:
            found = self._db.execute(
                f"SELECT __name FROM {self._name(table)} WHERE __named ORDER BY __row "
                f"LIMIT {MOST_ENTITIES}"
            ).fetchall()
            names = {fold(name) for (name,) in found}
            shared |= names & seen
            seen |= names
        return frozenset(shared)

    def group_of(
        self, table: str, attribute: str, value: str, split: ArenaSplit
    ) -> RowGroup | None:
        """The group of that value; None when it can't be asked about in this split."""
        return self._group_index(table, attribute, split).get(value)

    def _group_index(self, table: str, attribute: str, split: ArenaSplit) -> dict[str, RowGroup]:
        key = (table, attribute, split)
        if key not in self._group_indices:
            groups = self.groups[table, attribute][split]
            self._group_indices[key] = {group.value: group for group in groups}
        return self._group_indices[key]

    def members(self, group: RowGroup) -> list[dict[str, Json]]:
        """All rows of a group, in file order."""
        return [self.row(group.table, row) for row in group.rows]

    def extreme(self, group: RowGroup, attribute: str, order: str) -> int | None:
        """The one row of a group with the highest or lowest value; None for ties and nulls."""
        able = self._able(group.table)
        block = able.index(attribute) // BLOCK_COLUMNS
        found = self._extremes(group.table, group.attribute, block)
        return found.get((group.value, attribute, order))

    def _find_able(self, table: str) -> list[str]:
        """Attributes that rows can be ranked by."""
        attributes = self.views[table].attributes
        return [a.name for a in attributes if a.numeric or a.kind is ColumnKind.date]

    def _find_extremes(self, table: str, by: str, block: int) -> dict[tuple[str, str, str], int]:
        """All groups, many attributes at once: one query is nearly as quick as one group's."""
        kept = [g.value for groups in self.groups[table, by].values() for g in groups]
        able = self._able(table)[block * BLOCK_COLUMNS : (block + 1) * BLOCK_COLUMNS]
        columns = "".join(
            f", count(*) - count({a}), arg_max(__row, {a}), max({a}, 2), arg_min(__row, {a}), "
            f"min({a}, 2)"
            for a in map(quote, able)
        )
        rows = self._db.execute(
            f"SELECT {quote(by)}{columns} FROM {self._name(table)} "
            f"SEMI JOIN (SELECT unnest(?::VARCHAR[]) AS __value) ON {quote(by)} = __value "
            "GROUP BY 1",
            [kept],
        ).fetchall()
        found: dict[tuple[str, str, str], int] = {}
        for group, *fields in rows:
            for number, name in enumerate(able):
                nulls, highest, top, lowest, bottom = fields[5 * number : 5 * number + 5]
                for order, row, two in (("highest", highest, top), ("lowest", lowest, bottom)):
                    if not nulls and (len(two) < 2 or two[0] != two[1]):
                        found[group, name, order] = row
        return found

    def aggregate(self, group: RowGroup, attribute: str, function: str) -> Json:
        """`sum`, `avg`, `min` or `max` of a group's values."""
        return self._aggregates(group.table, group.attribute, attribute, function)[group.value]

    def _find_aggregates(
        self, table: str, by: str, attribute: str, function: str
    ) -> dict[str, Json]:
        if function not in ("sum", "avg", "min", "max"):
            raise ValueError(function)
        kept = [g.value for groups in self.groups[table, by].values() for g in groups]
        found = self._db.execute(
            f"SELECT {quote(by)}, {function}({quote(attribute)}) FROM {self._name(table)} "
            f"SEMI JOIN (SELECT unnest(?::VARCHAR[]) AS __value) ON {quote(by)} = __value "
            "GROUP BY 1",
            [kept],
        ).fetchall()
        return {group: _plain(value) for group, value in found}

    def ask(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[tuple[Json, ...]]:
        """The rows of a query on the views, whose names `quoted` gives."""
        return self._asked(sql, tuple(parameters))

    def _ask(self, sql: str, parameters: tuple[Scalar, ...]) -> list[tuple[Json, ...]]:
        found = self._db.execute(sql, list(parameters)).fetchall()
        return [tuple(_plain(value) for value in row) for row in found]

    def quoted(self, table: str) -> str:
        """The view's quoted name, for `ask`."""
        return self._name(table)


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


def _is_identifier(column: Column, key: ForeignKey | None) -> bool:
    """Whether whole numbers stand for things, so that the highest of them means nothing."""
    return column.kind is ColumnKind.integer and (
        key is not None or _IDENTIFIER.search(column.name) is not None
    )


def fold(text: str) -> str:
    """A text as tools look names up (NFKC, case folded, spaces collapsed) and rewards compare."""
    return normalise(" ".join(unicodedata.normalize("NFKC", text).casefold().split()))


def _clean(column: str) -> str:
    """SQL: short, not empty, no control characters, not a bare number."""
    return (
        f"(length(trim({column})) BETWEEN 1 AND {LONGEST_VALUE} "
        f"AND NOT regexp_matches({column}, '[\\x00-\\x1f\\x7f]') "
        f"AND NOT regexp_full_match(trim({column}), '[-+0-9.,eE\\s]+'))"
    )


def quote(identifier: str) -> str:
    """An SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def _plain(value: Json) -> Json:
    """DuckDB's Python values as JSON scalars: dates as ISO text, whole floats stay floats."""
    return value.isoformat() if hasattr(value, "isoformat") else value
