"""Foreign keys: declared by a database, set by the user, or found by values and names.

What this does not guarantee: that a key found by inclusion was meant as one. It is shown to the
user with how it was found, and one line of TOML switches it off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from astra.arenas.tables.load.tables import LoadedTable
from astra.arenas.tables.profile.keys import LanguageVariant
from astra.arenas.tables.profile.statistics import ColumnStats
from astra.arenas.tables.profile.words import chinese, english, has_han, singular_name
from astra.arenas.tables.schema import ColumnKind, ForeignKey, TableOptions
from astra.arenas.tables.sql import quoted
from astra.errors import ConfigError

INCLUDED = 0.99
"""Share of a text column's rows whose values must be in the other column; of integers, all."""
ENOUGH = {ColumnKind.text: 2, ColumnKind.integer: 3}
"""Distinct values from which inclusion says something (all of a smaller table's will do)."""
CODED_INCLUDED = 0.8
"""As `INCLUDED`, of codes: flights name aeroplanes that a register does not have."""
TELLING = 8
"""Distinct texts from which inclusion says enough without any name."""

_CHUNK = 50
"""Columns that one query looks at."""
_SUFFIXES = ("id", "code", "key", "name", "no", "number", "ref", "iso", "iso2", "iso3", "iata",
             "icao", "uuid", "编号", "代码", "名称")  # fmt: skip
_GENERIC = frozenset("id name code key title label number no rank year type status date".split())
_STEM = 4
"""Letters of a word that begins the name of a table."""
_LINKS = frozenset("via by to of from for in at".split())
"""Last words of columns that point somewhere: `ship_via`."""
_OWN = frozenset(
    "reports_to report_to manager boss supervisor superior parent mentor head chief lead leader "
    "predecessor successor replaced_by replaces part_of belongs_to spouse partner father mother "
    "vorgesetzter elternteil chef padre madre jefe superieur responsable 上级 经理 父级".split()
)
"""What columns are called that point to rows of their own table."""
_SYNONYMS = {"nation": "country", "capital": "city", "hometown": "city", "birthplace": "city"}


@dataclass(frozen=True, slots=True)
class ProfiledTable:
    """A table on its way to the schema."""

    table: LoadedTable
    stats: Mapping[str, ColumnStats]
    key: str | None
    variants: Mapping[str, LanguageVariant]
    options: TableOptions
    notes: list[str]

    @property
    def name(self) -> str:
        return self.table.name


def foreign_keys(
    profiled: Mapping[str, ProfiledTable], connection: duckdb.DuckDBPyConnection
) -> dict[str, tuple[ForeignKey, ...]]:
    """The foreign keys of every table, in the order of its columns."""
    keys: dict[str, tuple[ForeignKey, ...]] = {}
    for name, table in profiled.items():
        found = {
            column: key
            for column in table.stats
            if (key := _foreign_key(table, column, profiled, connection)) is not None
        }
        by_values = _keys_by_values(table, found, profiled, connection)
        keys[name] = tuple(
            key for c in table.stats if (key := found.get(c) or by_values.get(c)) is not None
        )
    return keys


def _foreign_key(
    table: ProfiledTable,
    column: str,
    profiled: Mapping[str, ProfiledTable],
    connection: duckdb.DuckDBPyConnection,
) -> ForeignKey | None:
    target = table.options.foreign_keys.get(column)
    if target == "":
        return None
    if target is not None:
        where = f"options, tables.{table.name}.foreign_keys.{column}"
        name, _, references = target.partition(".")
        if name not in profiled:
            raise ConfigError(f"{where}: table {name!r} has no rows and was left out")
        if not _joins(table, column, profiled[name], references):
            own, other = table.stats[column], profiled[name].stats[references]
            raise ConfigError(
                f"{where}: {target!r} is of kind {other.kind.value!r} with {other.distinct} "
                f"distinct values in {other.filled}, {column!r} of kind {own.kind.value!r}; "
                "name a unique column of the same kind"
            )
        return ForeignKey(column=column, table=name, references=references, origin="options")
    for declared in table.table.foreign_keys:
        if declared.column == column:
            if _joins(table, column, profiled[declared.table], declared.references):
                return ForeignKey(
                    column=column,
                    table=declared.table,
                    references=declared.references,
                    origin="declared",
                )
            table.notes.append(
                f"declared foreign key {column!r}: {declared.table}.{declared.references} is not "
                "unique or of another kind; not used"
            )
    return _key_by_inclusion(table, column, profiled, connection)


def _joins(table: ProfiledTable, column: str, other: ProfiledTable, references: str) -> bool:
    """Whether each value of the column can mean one row of the other table."""
    target = other.stats[references]
    return target.unique and target.kind is table.stats[column].kind


# --- by values and names ---------------------------------------------------------------------


def _key_by_inclusion(
    table: ProfiledTable,
    column: str,
    profiled: Mapping[str, ProfiledTable],
    connection: duckdb.DuckDBPyConnection,
) -> ForeignKey | None:
    """The best-named unique column of another table that holds the column's values."""
    stats = table.stats[column]
    if stats.kind not in ENOUGH or column in table.variants or column in table.options.ignore:
        return None
    candidates = sorted(
        # Of several tables that have `player_id` once in each row, the one with most players is
        # that of the players.
        (rank, -other.stats[references].distinct, position, other.name, references)
        for position, other in enumerate(profiled.values())
        for rank, references in (
            _fitting(table, column, other)
            if other.name != table.name
            else _fitting_own(table, column)
        )
    )
    for *_, name, references in candidates:
        other = profiled[name]
        if stats.distinct < min(ENOUGH[stats.kind], other.stats[references].distinct):
            continue
        if not _joins(table, column, other, references):
            continue
        # Numbers that are not in the other column rule it out; texts come with typing errors.
        included = 1.0
        if stats.kind is ColumnKind.text:
            coded = stats.codes >= 0.9 * stats.filled and stats.distinct >= TELLING
            included = CODED_INCLUDED if coded else INCLUDED
        if _includes(table, column, other, references, included, connection):
            return ForeignKey(column=column, table=name, references=references, origin="inclusion")
    return None


def _includes(
    table: ProfiledTable,
    column: str,
    other: ProfiledTable,
    references: str,
    share: float,
    connection: duckdb.DuckDBPyConnection,
) -> bool:
    """Whether so many of a column's rows have values of the other column; notes what is missing."""
    row = connection.execute(
        f"SELECT count(*) FROM {quoted(table.name)} t WHERE t.{quoted(column)} IS NOT NULL "
        f"AND NOT EXISTS (SELECT 1 FROM {quoted(other.name)} o "
        f"WHERE o.{quoted(references)} = t.{quoted(column)})"
    ).fetchone()
    missing = row[0] if row else 0
    if missing > table.stats[column].filled * (1 - share):
        return False
    if missing:
        table.notes.append(f"column {column!r}: {missing} values are not in {other.name!r}")
    return True


def _fitting_own(table: ProfiledTable, column: str) -> Iterator[tuple[int, str]]:
    """The own key of a table, if the column's name says that it points to other rows of it."""
    key = table.key
    base, _ = split_suffix(column)
    if key is None or key == column or table.stats[column].unique:
        return
    if base in _OWN or column in _OWN or _distance(base, table.name) == 1:
        yield 40_000, key


def _keys_by_values(
    table: ProfiledTable,
    named: Mapping[str, ForeignKey],
    profiled: Mapping[str, ProfiledTable],
    connection: duckdb.DuckDBPyConnection,
) -> dict[str, ForeignKey]:
    """Keys that no name tells: texts that are all values of one other table's only column."""
    found: dict[str, ForeignKey] = {}
    few: list[str] = []
    for column, stats in table.stats.items():
        if (
            column in named
            or column in table.variants
            or column in table.options.ignore
            or column in table.options.foreign_keys
            or stats.kind is not ColumnKind.text
            or stats.unique
            or stats.distinct < ENOUGH[ColumnKind.text]
            or stats.mean_length < 2
        ):
            continue
        if stats.distinct < TELLING:
            few.append(column)
            continue
        coded = stats.codes >= 0.9 * stats.filled
        targets = [
            (other, references)
            for other in profiled.values()
            if other.name != table.name
            for references, target in other.stats.items()
            if target.unique
            and target.kind is ColumnKind.text
            and references not in (*other.variants, *other.options.ignore)
            and target.distinct >= stats.distinct * CODED_INCLUDED
            and (target.codes >= 0.9 * target.filled) == coded
        ]
        targets = _overlapping(table, column, targets, connection)
        # Where two would do, nothing says which is meant.
        if len(targets) == 1 and _includes(table, column, *targets[0], 0.95, connection):
            other, references = targets[0]
            found[column] = ForeignKey(
                column=column, table=other.name, references=references, origin="inclusion"
            )
    # Few values say enough beside a column that points to the same: origin beside destination.
    for column in few:
        stats = table.stats[column]
        for key in list(found.values()):
            other, beside = profiled[key.table], table.stats[key.column]
            alike = stats.codes == stats.filled and beside.codes >= 0.9 * beside.filled
            if alike and _includes(table, column, other, key.references, 1.0, connection):
                found[column] = key.model_copy(update={"column": column})
                break
    return found


def _overlapping(
    table: ProfiledTable,
    column: str,
    targets: Sequence[tuple[ProfiledTable, str]],
    connection: duckdb.DuckDBPyConnection,
) -> list[tuple[ProfiledTable, str]]:
    """The unique columns that hold the first rows' values: a look before all rows are read."""
    overlapping: list[tuple[ProfiledTable, str]] = []
    first = (
        f"(SELECT DISTINCT {quoted(column)} AS v FROM (SELECT {quoted(column)} FROM "
        f"{quoted(table.name)} LIMIT 1000) WHERE {quoted(column)} IS NOT NULL)"
    )
    for start in range(0, len(targets), _CHUNK):
        part = targets[start : start + _CHUNK]
        held = " UNION ALL ".join(
            f"SELECT {number} AS target, {quoted(references)} AS v FROM {quoted(other.name)}"
            for number, (other, references) in enumerate(part)
        )
        rows = connection.execute(
            f"WITH first AS MATERIALIZED {first} SELECT -1, count(*) FROM first UNION ALL "
            f"SELECT target, count(*) FROM ({held}) JOIN first USING (v) GROUP BY target"
        ).fetchall()
        found = dict(rows)
        overlapping += [
            target
            for number, target in enumerate(part)
            if found.get(number, 0) >= found[-1] * CODED_INCLUDED
        ]
    return overlapping


def _fitting(table: ProfiledTable, column: str, other: ProfiledTable) -> Iterator[tuple[int, str]]:
    """Unique columns of another table that the column's name may mean, with a rank."""
    base, suffix = split_suffix(column)
    distance = _distance(base, other.name)
    for number, (references, stats) in enumerate(other.stats.items()):
        if not stats.unique or references in other.variants or references in other.options.ignore:
            continue
        if distance is not None:
            # Ranks in bands: how near the table's name is, then which column, then its place.
            named = suffix and (references == suffix or references.endswith(f"_{suffix}"))
            order = 0 if named else 1 if references == other.key else 2
            yield 10_000 * distance + 1_000 * order + number, references
        elif (
            # The same name in both tables says less than a column that names the table.
            references == column
            and column not in _GENERIC
            and stats.key
            and (stats.kind is ColumnKind.text or column == other.key)
            # Awards that nobody got twice have each player once, too, but not all of them.
            and (
                not table.stats[column].unique
                or (suffix and stats.distinct > table.stats[column].distinct)
            )
        ):
            yield 50_000, references
        elif (
            # `ship_via` and `shippers`.
            stats.kind is ColumnKind.integer
            and references == other.key
            and column.split("_")[-1] in _LINKS
            and any(
                len(word) >= _STEM and singular_name(other.name).startswith(word)
                for word in column.split("_")[:-1]
            )
        ):
            yield 60_000 + number, references


def split_suffix(column: str) -> tuple[str, str]:
    """`country_code` -> ("country", "code"); `birth_country` -> ("birth_country", "")."""
    for suffix in _SUFFIXES:
        mark = suffix if has_han(suffix) else f"_{suffix}"
        if column.endswith(mark) and len(column) > len(mark):
            return column.removesuffix(mark), suffix
    return column, ""


def _distance(base: str, table: str) -> int | None:
    """How far a column's name is from a table's: 0 the same, 1 at its end, None another."""
    one, own = singular_name(table), singular_name(base)
    own = _SYNONYMS.get(own, own)
    if own == one or base == table:
        return 0
    if base.endswith((f"_{one}", f"_{table}")) or _SYNONYMS.get(base.split("_")[-1]) == one:
        return 1
    if has_han(base) != has_han(one):
        return 0 if (english(base) or chinese(base)) in (one, table) else None
    return 1 if has_han(one) and base.endswith(one) else None
