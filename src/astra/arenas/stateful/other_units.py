"""The dial of other units: tools give and take whole numbers of a smaller unit than requests name.

A column of prices in EUR becomes one in cents: what is stored is the same, so that every value is
exact, and documents say how many cents there are to the EUR.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from astra.arenas.stateful.roles import OtherUnit, WritableColumn, WritableTable

_CENTS = ("cents", "分", 100)
_SMALLER: Mapping[str, tuple[str, str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("EUR", "USD", "CHF", "CAD", "AUD", "CNY"), _CENTS),
        "GBP": ("pence", "便士", 100),
        "t": ("kg", "kg", 1000),
        "kg": ("g", "g", 1000),
        "km": ("m", "m", 1000),
        "m": ("cm", "cm", 100),
        "l": ("ml", "ml", 1000),
        "L": ("ml", "ml", 1000),
        "h": ("min", "min", 60),
        "min": ("s", "s", 60),
    }
)
"""Unit -> a smaller one in English and Chinese, and how many of these it is."""


def in_other_units(tables: Iterable[WritableTable]) -> list[WritableTable]:
    """The tables with the columns that a smaller unit holds exactly shown in it."""
    return [
        replace(table, columns=tuple(_in_other_unit(column) for column in table.columns))
        for table in tables
    ]


def _in_other_unit(column: WritableColumn) -> WritableColumn:
    smaller = _SMALLER.get(column.column.unit or "")
    if column.role != "number" or smaller is None or smaller[2] % 10**column.scale:
        return column
    english, chinese, each = smaller
    unit = OtherUnit({"en": english, "zh": chinese}, each, each // 10**column.scale)
    return replace(column, other_unit=unit)
