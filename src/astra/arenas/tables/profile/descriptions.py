"""Describes a schema, read and guessed, in lines for the user's terminal."""

from __future__ import annotations

from astra.arenas.tables.schema import Column, ColumnKind, Schema

_ORIGINS = {
    "declared": "declared in the file",
    "options": "given in the options",
    "inclusion": "found by values and names",
}
_NOTES = 8
"""Notes of one table that are shown; the schema holds all."""


def describe(schema: Schema) -> list[str]:
    """Lines of plain text: per table its key, names, relations, units, and what was doubtful."""
    lines: list[str] = []
    for table in schema.tables:
        one, many = table.singular, table.plural
        naming = " and ".join(name for name in (table.given_name, table.naming) if name)
        lines += [
            f"{table.name}: {table.rows} rows from {_plain(table.source)}",
            "  called: " + "; ".join(f"{one[lang]} / {many[lang]}" for lang in one),
            f"  key: {table.key or 'none'}; rows named by: {naming or 'none'}",
        ]
        for key in table.foreign_keys:
            lines.append(f"  {key.column} -> {key.table}.{key.references} ({_ORIGINS[key.origin]})")
        columns: list[str] = []
        for column in table.columns:
            if column.kind is not ColumnKind.other and column.variant_of is None:
                facts = [column.kind.value, *([column.unit] if column.unit else [])]
                facts += ["not a quantity"] if _coded(column) else []
                facts += [f"{column.nulls} missing"] if column.nulls else []
                facts += [f"{language}: {name}" for language, name in column.variants.items()]
                columns.append(f"{column.name} ({', '.join(facts)})")
        if columns:
            lines.append("  columns: " + ", ".join(columns))
        if excluded := [c.name for c in table.columns if c.kind is ColumnKind.other]:
            lines.append(f"  not asked about: {', '.join(excluded)}")
        # Without a terminal only the notes are shown, so each of them names its file and table.
        place = _plain(table.source)
        lines += [f"  note: {place}: {_plain(note)}" for note in table.notes[:_NOTES]]
        if len(table.notes) > _NOTES:
            lines.append(f"  note: {place}: and {len(table.notes) - _NOTES} more")
    return lines + [f"note: {_plain(note)}" for note in schema.notes]


def _coded(column: Column) -> bool:
    """Whether a column looks like a quantity and is not one."""
    return column.kind in (ColumnKind.integer, ColumnKind.number) and not column.quantity


def _plain(text: str) -> str:
    """A text of the user's files without what could steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
