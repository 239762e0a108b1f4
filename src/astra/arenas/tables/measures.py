"""How a measured attribute is spoken of: an area is large, a depth is deep, a year is early.

Decided by the words in a column's name and label. What is not recognised is high or low.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from astra.arenas.tables.schema import Kind
from astra.arenas.tables.world import Attribute


class Pair(NamedTuple):
    """A word for each end of a scale."""

    high: str
    low: str

    def of(self, side: str) -> str:
        """The word for "highest" or "above" (the high end), or for anything else."""
        return self.high if side in ("highest", "above", "maximum") else self.low


class Measure(NamedTuple):
    """Words for one kind of measurement."""

    name: str
    pattern: re.Pattern[str]
    en: Pair
    """Superlatives of the attribute: the "largest" area."""
    en_more: str
    en_beyond: Pair
    """What follows "whose area is"."""
    zh: Pair
    zh_more: str
    zh_beyond: Pair
    en_of_row: Pair | None = None
    """Superlatives of the row itself ("the longest river"), when the label is a plain one."""
    zh_of_row: Pair | None = None
    plain: frozenset[str] = frozenset()
    """Labels that may be left out beside `*_of_row`."""


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_TIME = Measure(
    "time",
    _words(r"\byear\b", r"\byears? of\b", "年份", "年代", "年度"),
    Pair("latest", "earliest"),
    "later",
    Pair("after", "before"),
    Pair("最晚", "最早"),
    "晚",
    Pair("晚于", "早于"),
)

_MEASURES = (
    Measure(
        "area",
        _words(r"\barea\b(?! code)", "面积"),
        Pair("largest", "smallest"),
        "larger",
        Pair("larger than", "smaller than"),
        Pair("最大", "最小"),
        "大",
        Pair("大于", "小于"),
        Pair("largest {} by area", "smallest {} by area"),
        Pair("面积最大", "面积最小"),
        frozenset({"area", "面积"}),
    ),
    Measure(
        "depth",
        _words(r"\bdepth\b", "深度"),
        Pair("greatest", "smallest"),
        "greater",
        Pair("greater than", "less than"),
        Pair("最大", "最小"),
        "大",
        Pair("大于", "小于"),
        Pair("deepest {}", "shallowest {}"),
        Pair("最深", "最浅"),
        frozenset({"depth", "maximum depth", "深度", "最大深度"}),
    ),
    Measure(
        "length",
        _words(r"\blength\b", r"\bdistance\b", "长度", "距离"),
        Pair("greatest", "shortest"),
        "greater",
        Pair("greater than", "less than"),
        Pair("最长", "最短"),
        "长",
        Pair("超过", "小于"),
        Pair("longest {}", "shortest {}"),
        Pair("最长", "最短"),
        frozenset({"length", "长度"}),
    ),
    Measure(
        "size",
        _words(
            r"\b(?:population|number|count|total|capacity|volume|size|quantity|stock|amount|seats)\b",
            r"\b(?:floors|pages|employees|students|inhabitants|nations|events)\b",
            "offset|时差|容量|体积|大小",
        ),
        Pair("largest", "smallest"),
        "larger",
        Pair("above", "below"),
        Pair("最大", "最小"),
        "大",
        Pair("大于", "小于"),
    ),
    Measure(
        "weight",
        _words(r"\b(?:weight|mass)\b", "重量|质量|体重"),
        Pair("greatest", "smallest"),
        "greater",
        Pair("greater than", "less than"),
        Pair("最大", "最小"),
        "大",
        Pair("大于", "小于"),
    ),
)

_PEOPLE = Measure(
    "people",
    _words(r"人口|人数|数量|数目|总数|数$|库存"),
    Pair("largest", "smallest"),
    "larger",
    Pair("above", "below"),
    Pair("最多", "最少"),
    "多",
    Pair("超过", "少于"),
)

_ELEVATION = Measure(
    "elevation",
    _words(r"\b(?:elevation|altitude)\b", "海拔"),
    Pair("highest", "lowest"),
    "higher",
    Pair("above", "below"),
    Pair("最高", "最低"),
    "高",
    Pair("高于", "低于"),
    Pair("highest {}", "lowest {}"),
    Pair("海拔最高", "海拔最低"),
    frozenset({"elevation", "altitude", "海拔"}),
)

_DEFAULT = _ELEVATION._replace(name="number", plain=frozenset())


def measure_of(attribute: Attribute) -> Measure:
    """The words for a numeric or date attribute."""
    if attribute.kind is Kind.date:
        return _TIME
    text = f"{attribute.column.replace('_', ' ')} {attribute.label}".casefold()
    found = (m for m in (_TIME, _ELEVATION, _PEOPLE, *_MEASURES) if m.pattern.search(text))
    return next(found, _DEFAULT)


def is_year(attribute: Attribute) -> bool:
    """A number that is a point in time."""
    return attribute.numeric and measure_of(attribute) is _TIME
