"""Units that tools can convert, their factors and how they are called.

Factors are exact by definition (international yard and pound, 1959; nautical mile, 1929).
"""

from __future__ import annotations

from typing import NamedTuple

from astra.types import Language


class Unit(NamedTuple):
    """One unit of a quantity; `factor` turns it into the quantity's base unit."""

    symbol: str
    quantity: str
    factor: float
    names: dict[Language, str]


_UNITS = (
    Unit("m", "length", 1.0, {"en": "metres", "zh": "米"}),
    Unit("km", "length", 1000.0, {"en": "kilometres", "zh": "公里"}),
    Unit("cm", "length", 0.01, {"en": "centimetres", "zh": "厘米"}),
    Unit("mm", "length", 0.001, {"en": "millimetres", "zh": "毫米"}),
    Unit("ft", "length", 0.3048, {"en": "feet", "zh": "英尺"}),
    Unit("mi", "length", 1609.344, {"en": "miles", "zh": "英里"}),
    Unit("km2", "area", 1e6, {"en": "square kilometres", "zh": "平方公里"}),
    Unit("m2", "area", 1.0, {"en": "square metres", "zh": "平方米"}),
    Unit("ha", "area", 1e4, {"en": "hectares", "zh": "公顷"}),
    Unit("mi2", "area", 2589988.110336, {"en": "square miles", "zh": "平方英里"}),
    Unit("kg", "mass", 1.0, {"en": "kilograms", "zh": "千克"}),
    Unit("g", "mass", 0.001, {"en": "grams", "zh": "克"}),
    Unit("t", "mass", 1000.0, {"en": "tonnes", "zh": "吨"}),
    Unit("lb", "mass", 0.45359237, {"en": "pounds", "zh": "磅"}),
    Unit("s", "time", 1.0, {"en": "seconds", "zh": "秒"}),
    Unit("min", "time", 60.0, {"en": "minutes", "zh": "分钟"}),
    Unit("h", "time", 3600.0, {"en": "hours", "zh": "小时"}),
    Unit("L", "volume", 1.0, {"en": "litres", "zh": "升"}),
    Unit("mL", "volume", 0.001, {"en": "millilitres", "zh": "毫升"}),
    Unit("m3", "volume", 1000.0, {"en": "cubic metres", "zh": "立方米"}),
    Unit("km3", "volume", 1e12, {"en": "cubic kilometres", "zh": "立方公里"}),
)

UNITS: dict[str, Unit] = {unit.symbol: unit for unit in _UNITS}

# Everyday partners, so that a question asks for a unit somebody would want.
PARTNERS: dict[str, tuple[str, ...]] = {
    "m": ("ft", "km"),
    "km": ("mi", "m"),
    "cm": ("m",),
    "mm": ("cm",),
    "ft": ("m",),
    "mi": ("km",),
    "km2": ("mi2", "ha"),
    "m2": ("ha",),
    "ha": ("km2",),
    "mi2": ("km2",),
    "kg": ("lb", "t"),
    "g": ("kg",),
    "t": ("kg",),
    "lb": ("kg",),
    "s": ("min",),
    "min": ("h",),
    "h": ("min",),
    "L": ("m3",),
    "mL": ("L",),
    "m3": ("L",),
    "km3": ("m3",),
}


def of_quantity(symbol: str) -> dict[str, float]:
    """Factors of all units of the same quantity as `symbol`."""
    quantity = UNITS[symbol].quantity
    return {unit.symbol: unit.factor for unit in _UNITS if unit.quantity == quantity}


def unit_name(symbol: str | None, language: Language) -> str:
    """How a unit is called in a sentence; the symbol itself when it is not a known one."""
    if symbol is None:
        return ""
    return UNITS[symbol].names[language] if symbol in UNITS else symbol
