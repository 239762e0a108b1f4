"""The dial of other units: tools give and take whole numbers of a smaller unit than requests name.

A column of prices in EUR becomes one in cents: what is stored is the same, so that every value is
exact, and documents say how many cents there are to the EUR.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from astra.types import Language


@dataclass(frozen=True, slots=True)
class OtherUnit:
    """A smaller unit than the one that a column is said to be in."""

    names: Mapping[Language, str]
    each: int
    """How many of it are one of the column's own unit."""
    steps: int
    """How many of it are 1 as it is stored."""


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


def smaller_unit(unit: str | None, scale: int) -> OtherUnit | None:
    """The smaller unit of numbers of so many decimals. None if it does not hold them exactly."""
    smaller = _SMALLER.get(unit or "")
    if smaller is None or smaller[2] % 10**scale:
        return None
    english, chinese, each = smaller
    return OtherUnit({"en": english, "zh": chinese}, each, each // 10**scale)
