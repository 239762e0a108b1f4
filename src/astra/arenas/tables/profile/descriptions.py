"""What was read and guessed, in lines for the user's terminal."""

from __future__ import annotations

from collections.abc import Iterator

from astra.arenas.tables.schema import Column, ColumnKind, Schema, Table

_FOUND = {
    "declared": "declared in the file",
    "given": "given in the options",
    "inclusion": "found by values and names",
}
_NOTES = 8
"""Notes of one table that are shown; the schema holds all."""


def describe(schema: Schema) -> list[str]:
    """Lines of plain text: per table its key, names, relations, units, and what was doubtful."""
    lines: list[str] = []
    for table in schema.tables:
        lines += _table(table)
    return lines + [f"note: {_plain(note)}" for note in schema.notes]


def _table(table: Table) -> Iterator[str]:
    one, many = table.singular, table.plural
    yield f"{table.name}: {table.rows} rows from {_plain(table.source)}"
    yield "  called: " + "; ".join(f"{one[lang]} / {many[lang]}" for lang in one)
    yield f"  key: {table.key or 'none'}; rows named by: {table.naming or 'none'}"
    for key in table.foreign_keys:
        yield f"  {key.column} -> {key.table}.{key.references} ({_FOUND[key.found]})"
    asked = [c for c in table.columns if c.kind is not ColumnKind.other and c.variant_of is None]
    if asked:
        yield "  columns: " + ", ".join(map(_column, asked))
    if left := [c.name for c in table.columns if c.kind is ColumnKind.other]:
        yield f"  not asked about: {', '.join(left)}"
    for note in table.notes[:_NOTES]:
        yield f"  note: {_plain(note)}"
    if len(table.notes) > _NOTES:
        yield f"  note: and {len(table.notes) - _NOTES} more"


def _column(column: Column) -> str:
    about = [column.kind.value]
    if column.unit:
        about.append(column.unit)
    if column.nulls:
        about.append(f"{column.nulls} missing")
    about += [f"{language}: {name}" for language, name in column.variants.items()]
    return f"{column.name} ({', '.join(about)})"


def _plain(text: str) -> str:
    """A text of the user's files without what could steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
