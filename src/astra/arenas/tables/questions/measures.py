"""How a measured attribute is spoken of: an area is large, a depth is deep, a year is early.

Decided by the words in a column's name and label, as `measures.toml` lists them. Everything else
is high or low.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.views import Attribute


class ScaleWords(NamedTuple):
    """A word for each end of a scale."""

    high: str
    low: str

    def of(self, side: str) -> str:
        """The word for "highest", "above" or "maximum", or for their opposites."""
        return self.high if side in ("highest", "above", "maximum") else self.low


class MeasureWords(NamedTuple):
    """Words for one kind of measurement. `measures.toml` explains the fields."""

    name: str
    pattern: str
    en: ScaleWords
    en_more: str
    en_beyond: ScaleWords
    zh: ScaleWords
    zh_more: str
    zh_beyond: ScaleWords
    en_of_row: ScaleWords | None = None
    zh_of_row: ScaleWords | None = None
    plain: frozenset[str] = frozenset()


@cache
def _measures() -> tuple[MeasureWords, ...]:
    content = tomllib.loads(Path(__file__).with_name("measures.toml").read_text("utf-8"))
    measures: list[MeasureWords] = []
    for row in content["measures"]:
        fields: dict[str, Any] = {
            name: ScaleWords(*value) if isinstance(value, list) and name != "plain" else value
            for name, value in row.items()
        }
        fields["plain"] = frozenset(row.get("plain", ()))
        measures.append(MeasureWords(**fields))
    return tuple(measures)


@lru_cache(maxsize=4096)
def measure_of(attribute: Attribute) -> MeasureWords:
    """The words for a numeric or date attribute."""
    measures = _measures()
    if attribute.kind is ColumnKind.date:
        return next(measure for measure in measures if measure.name == "time")
    text = f"{attribute.column.replace('_', ' ')} {attribute.label}".casefold()
    # The last entry has an empty pattern, which fits everything.
    return next(measure for measure in measures if re.search(measure.pattern, text))


def is_year(attribute: Attribute) -> bool:
    """Whether the attribute is a number that is a point in time."""
    return attribute.numeric and measure_of(attribute).name == "time"
