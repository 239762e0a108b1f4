"""Profiles loaded tables: keys, names, relations, units and labels, as a `Schema`.

The user's options win everywhere. What is guessed is guessed from names and values alone, and
`descriptions` shows it, so that a wrong guess can be put right in `tables.toml`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from astra.arenas.tables.load.options import merge, resolve
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.profile.keys import choose_key, choose_naming, composite_key, variants
from astra.arenas.tables.profile.labels import (
    column_labels,
    is_german,
    row_labels,
    spoken_labels,
    table_labels,
)
from astra.arenas.tables.profile.places import wider_places
from astra.arenas.tables.profile.quantities import not_a_quantity
from astra.arenas.tables.profile.relations import ProfiledTable, foreign_keys, split_suffix
from astra.arenas.tables.profile.statistics import ColumnStats, measure
from astra.arenas.tables.profile.words import humanised, unit_in, words_of
from astra.arenas.tables.schema import (
    Column,
    ColumnKind,
    ColumnOptions,
    ForeignKey,
    Schema,
    Table,
    TableOptions,
    TablesOptions,
)
from astra.arenas.tables.units import unit_name
from astra.types import Language


def profile(tables: Tables, options: TablesOptions | None = None) -> Schema:
    """The schema of loaded tables. `options` win over those the tables were loaded with.

    Raises ConfigError for options that do not fit the tables.
    """
    merged = tables.options
    if options is not None:
        merged = merge(merged, resolve(options, tables.columns_of))
    profiled: dict[str, ProfiledTable] = {}
    for table in tables.tables:
        own = merged.tables.get(table.name, TableOptions())
        stats, notes = measure(table, tables.connection), list(table.notes)
        key = choose_key(table, stats, own, notes)
        if key is None and (columns := composite_key(table, stats, tables.connection)):
            notes.append(
                f"no column is a key; {', '.join(columns)} together are, and such keys are not used"
            )
        profiled[table.name] = ProfiledTable(table, stats, key, variants(stats), own, notes)
    keys = foreign_keys(profiled, tables.connection)
    identifying = {(key.table, key.references) for own in keys.values() for key in own}
    identifying |= {(t.name, t.key) for t in tables.tables if t.key is not None}
    described = [
        _table(entry, keys[entry.name], {c for name, c in identifying if name == entry.name})
        for entry in profiled.values()
    ]
    return Schema(
        tables=tuple(_called_after_names(described, merged)),
        notes=tables.notes,
        option_files=merged.files,
    )


def _called_after_names(tables: list[Table], options: TablesOptions) -> list[Table]:
    """The tables, with rows called after the columns that name them where that says more."""
    nouns = Counter(table.singular["en"] for table in tables)
    labels = {
        table.name: row_labels(
            table.name,
            None if table.given_name else table.naming,
            german=is_german((table.name, *_own_columns(table))),
        )
        for table in tables
        if not options.tables.get(table.name, TableOptions()).singular
    }
    nouns.update(called[0]["en"] for called in labels.values() if called)
    renamed: list[Table] = []
    for table in tables:
        called = labels.get(table.name)
        # Two tables of companies must not be called the same.
        if called is not None and nouns[called[0]["en"]] == 1:
            one, many = called
            own = options.tables.get(table.name, TableOptions())
            table = table.model_copy(update={"singular": one, "plural": {**many, **own.plural}})
        renamed.append(table)
    return renamed


def _own_columns(table: Table) -> list[str]:
    pointing = {key.column for key in table.foreign_keys}
    return [column.name for column in table.columns if column.name not in pointing]


def _table(
    profiled: ProfiledTable, keys: tuple[ForeignKey, ...], identifying: AbstractSet[str]
) -> Table:
    """`identifying`: columns that are a declared key, or that foreign keys point to."""
    table, options = profiled.table, profiled.options
    pointing = {key.column: key.table for key in keys}
    naming = choose_naming(
        table,
        profiled.stats,
        [*pointing, *profiled.variants, *options.ignore],
        options,
        profiled.key,
    )
    if naming.naming is None:
        profiled.notes.append("no column names its rows; they are not asked about by name")
    german = is_german((table.name, *profiled.stats))
    # A column that is called after a German table does not make German words of the others.
    itself_german = is_german((table.name, *(c for c in profiled.stats if c not in pointing)))
    one, many = table_labels(table.name, german=itself_german)
    wider = wider_places(profiled.stats)
    labels_taken: dict[Language, set[str]] = {"en": set(), "zh": set()}
    return Table(
        name=table.name,
        source=table.source,
        rows=table.rows,
        columns=tuple(
            _column(
                profiled,
                stats,
                pointing=pointing.get(name),
                identifies=name in identifying,
                taken=labels_taken,
                within=wider.get(name, ()),
                german=german if name in pointing else itself_german,
            )
            for name, stats in profiled.stats.items()
        ),
        key=profiled.key,
        naming=naming.naming,
        given_name=naming.given_name,
        foreign_keys=keys,
        domain=options.domain or table.name,
        singular={**one, **options.singular},
        plural={**many, **options.plural},
        notes=tuple(profiled.notes),
        write=options.write,
    )


_SHARED_SIGNS = ("$", "¥", "kr")
"""Signs of several currencies."""

# --- columns ---------------------------------------------------------------------------------


def _column(
    profiled: ProfiledTable,
    stats: ColumnStats,
    *,
    pointing: str | None,
    identifies: bool,
    taken: dict[Language, set[str]],
    within: tuple[str, ...],
    german: bool,
) -> Column:
    """One column. `pointing`: the table that it points to, if it does."""
    name = stats.name
    options = profiled.options.columns.get(name, ColumnOptions())
    variant = profiled.variants.get(name)
    versions: dict[Language, str] = {
        v.language: other for other, v in profiled.variants.items() if v.base == name
    }
    base, unit, said_unit = name, None, None
    if stats.kind is ColumnKind.text and pointing is None and 0 < stats.filled < 2 * stats.figures:
        # Numbers that are not read, because they may mean two things, have their unit all the same.
        base, said_unit = unit_in(stats.column.original, name)
    elif stats.kind in (ColumnKind.integer, ColumnKind.number) and pointing is None:
        base, unit = unit_in(stats.column.original, name)
        written = stats.column.unit
        # `price_cad` with "$" in its cells is in Canadian dollars.
        if written is not None and (unit is None or written not in _SHARED_SIGNS):
            if unit not in (None, written):
                base = name
                profiled.notes.append(
                    f"column {stats.column.original!r}: its name says {unit}, its values "
                    f"{written}; taken as {written}"
                )
            unit = written
    elif pointing:
        base = split_suffix(name)[0]
    elif "zh" in versions:
        # Where there is `name_zh`, `name_en` is the name.
        base = re.sub(r"^(en|english)_|_(en|eng|english)$", "", name)
    named_unit, unit = unit, unit if options.unit is None else options.unit or None
    # What the user calls a number is one.
    other = None
    if not pointing and options.kind is None:
        other = not_a_quantity(stats, unit, identifies=identifies)
    one = table_labels(pointing)[0]["en"] if pointing else None
    # The product of an order is its product, also where the column is called after its code.
    coded = one is not None and base in words_of("codes")
    labels = column_labels(one.replace(" ", "_") if coded and one else base, one, german=german)
    if said_unit is not None:
        labels["en"] += f" in {unit_name(said_unit, 'en')}"
        labels["zh"] += f"（{unit_name(said_unit, 'zh')}）"
    elif pointing is None and variant is None:
        labels = spoken_labels(
            labels,
            stats.column.original,
            quantity=stats.kind in (ColumnKind.integer, ColumnKind.number) and other is None,
            whole=stats.kind is ColumnKind.integer,
            unit=unit,
        )
    labels |= options.labels
    if variant is None:
        labels = _distinct(labels, options.labels, name, named_unit, taken)
    ignored = name in profiled.options.ignore
    if other is not None and other.advice:
        profiled.notes.append(
            f"column {stats.column.original!r}: seems to hold {other.what}; {other.advice}"
        )
    return Column(
        name=name,
        kind=ColumnKind.other if ignored else stats.kind,
        nulls=stats.nulls,
        distinct=stats.distinct,
        unit=unit,
        labels=labels,
        variants=versions,
        variant_of=variant.base if variant else None,
        quantity=other is None and not pointing,
        within=within,
        ignored=ignored,
        derived=options.derived,
    )


def _distinct(
    labels: Mapping[Language, str],
    chosen: Mapping[Language, str],
    name: str,
    unit: str | None,
    taken: dict[Language, set[str]],
) -> dict[Language, str]:
    """Labels that no other column of the table has: "the area" must mean one column."""
    distinct: dict[Language, str] = {}
    for language, label in labels.items():
        choices = [label, f"{label} ({unit})" if unit else label, humanised(name)]
        if language not in chosen:
            label = next((c for c in choices if c not in taken[language]), f"{label} ({name})")
        taken[language].add(label)
        distinct[language] = label
    return distinct
