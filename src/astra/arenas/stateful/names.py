"""What databases and tools call columns: names that any model's API takes, and no tool's code uses.

A user's columns are called in any script, as words of SQL and Python, or as what our own tools
call their parts.
"""

from __future__ import annotations

import keyword

from astra.arenas.tables.load.names import identifier, unique
from astra.arenas.tables.naming import ascii_identifier
from astra.arenas.tables.profile.words import english
from astra.arenas.tables.schema import Table

_TAKEN = frozenset(
    "abs all bool datetime dict error float included int isinstance len list math new_key now "
    "previous "
    "round skip str unicodedata".split()
)
"""Names that tools use beside their parameters, or fields of their results."""
LONGEST_TOOL = 64
"""Characters of a tool's name, as the APIs of models take it."""


def tool_parameters(table: Table) -> dict[str, str]:
    """Name of a column in the user's table -> its name in databases and tools."""
    row = ascii_identifier(table.singular.get("en", "")) or "row"
    names: dict[str, str] = {}
    for column in table.columns:
        name = identifier(column.name, fallback="", ascii_letters=True)
        if not name.isascii():
            said = english(column.name) or column.labels.get("en", "")
            name = ascii_identifier(said) or "column"
        if keyword.iskeyword(name) or name in _TAKEN:
            name = f"{row}_{name}"
        names[column.name] = unique(name[:LONGEST_TOOL], names.values())
    return names
