"""Identifiers that a table's rows get in the names of tools and parameters."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Container

from astra.arenas.tables.schema import Schema, Table

LONGEST_NOUN = 32
"""Characters of a table's name within the names of tools and parameters."""

# Local names, parameters and result fields of the tool templates.
_RESERVED = frozenset(
    "absolute answer attribute by comparison count data datetime day days decimals details "
    "difference each end error factors fields first fold format from_unit function group held "
    "inclusive items label language limit match_case math minuend number numeric one order own "
    "parameter parameters position problem query result row rows second start subtrahend text "
    "threshold to_unit two unicodedata unit units value values wanted".split()
)


def ascii_identifier(text: str) -> str:
    """The text in ASCII snake case. Empty if it has no ASCII letter or digit."""
    spaced = "".join(c if c.isascii() and c.isalnum() else " " for c in text.lower())
    name = "_".join(spaced.split())
    return f"t_{name}" if name[:1].isdigit() else name


def row_noun(schema: Schema, table: Table) -> str:
    """An ASCII identifier for one row of the table, different for each table."""
    name = ascii_identifier(table.singular.get("en", "")) or ascii_identifier(table.name)
    if name:
        return name[:LONGEST_NOUN].rstrip("_")
    # Letters in place of digits: no digit in a tool's document may look like a leaked answer.
    number = schema.tables.index(table)
    return "record_" + "".join(chr(ord("a") + int(digit)) for digit in str(number))


def row_parameter(noun: str, attributes: Container[str]) -> str:
    """The parameter that names a row: the noun, unless Python, a template or a column uses it."""
    name = noun
    if noun in _RESERVED or keyword.iskeyword(noun) or hasattr(builtins, noun):
        name += "_name"
    while name in attributes:
        name += "_name"
    return name
