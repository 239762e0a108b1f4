"""Units that tools can convert, read from `units.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

from astra.types import Language


class Unit(NamedTuple):
    """One unit of a quantity."""

    symbol: str
    quantity: str
    factor: float
    """Turns a number into the quantity's base unit."""
    names: dict[Language, str]
    partners: tuple[str, ...]
    """Units that somebody would want a number of this unit in."""


UNITS: dict[str, Unit] = {
    symbol: Unit(
        symbol,
        row["quantity"],
        row["factor"],
        {"en": row["en"], "zh": row["zh"]},
        tuple(row["partners"]),
    )
    for symbol, row in tomllib.loads(
        Path(__file__).with_name("units.toml").read_text("utf-8")
    ).items()
}


def units_like(symbol: str) -> dict[str, float]:
    """Factors of all units of the same quantity as `symbol`, itself included."""
    quantity = UNITS[symbol].quantity
    return {unit.symbol: unit.factor for unit in UNITS.values() if unit.quantity == quantity}


def unit_name(symbol: str | None, language: Language) -> str:
    """The unit's name in a sentence. Unknown symbols stand for themselves; None is empty."""
    return UNITS[symbol].names[language] if symbol in UNITS else symbol or ""
