"""How a measured attribute is spoken of: an area is large, a depth is deep, a year is early.

Decided by the words in a column's name and label. What is not recognised is high or low.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.world import Attribute


class ScaleWords(NamedTuple):
    """A word for each end of a scale."""

    high: str
    low: str

    def of(self, side: str) -> str:
        """The word for "highest" or "above" (the high end), or for anything else."""
        return self.high if side in ("highest", "above", "maximum") else self.low


class MeasureWords(NamedTuple):
    """Words for one kind of measurement."""

    name: str
    pattern: re.Pattern[str]
    en: ScaleWords
    """Superlatives of the attribute: the "largest" area."""
    en_more: str
    en_beyond: ScaleWords
    """What follows "whose area is"."""
    zh: ScaleWords
    zh_more: str
    zh_beyond: ScaleWords
    en_of_row: ScaleWords | None = None
    """Superlatives of the row itself ("the longest river"), when the label is a plain one."""
    zh_of_row: ScaleWords | None = None
    plain: frozenset[str] = frozenset()
    """Labels that may be left out beside `*_of_row`."""


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_TIME = MeasureWords(
    "time",
    _words(r"\byear\b", r"\byears? of\b", "年份", "年代", "年度"),
    ScaleWords("latest", "earliest"),
    "later",
    ScaleWords("after", "before"),
    ScaleWords("最晚", "最早"),
    "晚",
    ScaleWords("晚于", "早于"),
)

_MEASURES = (
    MeasureWords(
        "area",
        _words(r"\barea\b(?! code)", "面积"),
        ScaleWords("largest", "smallest"),
        "larger",
        ScaleWords("larger than", "smaller than"),
        ScaleWords("最大", "最小"),
        "大",
        ScaleWords("大于", "小于"),
        ScaleWords("largest {} by area", "smallest {} by area"),
        ScaleWords("面积最大", "面积最小"),
        frozenset({"area", "面积"}),
    ),
    MeasureWords(
        "depth",
        _words(r"\bdepth\b", "深度"),
        ScaleWords("greatest", "smallest"),
        "greater",
        ScaleWords("greater than", "less than"),
        ScaleWords("最大", "最小"),
        "大",
        ScaleWords("大于", "小于"),
        ScaleWords("deepest {}", "shallowest {}"),
        ScaleWords("最深", "最浅"),
        frozenset({"depth", "maximum depth", "深度", "最大深度"}),
    ),
    MeasureWords(
        "length",
        _words(r"\blength\b", r"\bdistance\b", "长度", "距离"),
        ScaleWords("greatest", "shortest"),
        "greater",
        ScaleWords("greater than", "less than"),
        ScaleWords("最长", "最短"),
        "长",
        ScaleWords("超过", "小于"),
        ScaleWords("longest {}", "shortest {}"),
        ScaleWords("最长", "最短"),
        frozenset({"length", "长度"}),
    ),
    MeasureWords(
        "size",
        _words(
            r"\b(?:population|number|count|total|capacity|volume|size|quantity|stock|amount|seats)\b",
            r"\b(?:floors|pages|employees|students|inhabitants|nations|events)\b",
            "offset|时差|容量|体积|大小",
        ),
        ScaleWords("largest", "smallest"),
        "larger",
        ScaleWords("above", "below"),
        ScaleWords("最大", "最小"),
        "大",
        ScaleWords("大于", "小于"),
    ),
    MeasureWords(
        "weight",
        _words(r"\b(?:weight|mass)\b", "重量|质量|体重"),
        ScaleWords("greatest", "smallest"),
        "greater",
        ScaleWords("greater than", "less than"),
        ScaleWords("最大", "最小"),
        "大",
        ScaleWords("大于", "小于"),
    ),
)

_PEOPLE = MeasureWords(
    "people",
    _words(r"人口|人数|数量|数目|总数|数$|库存"),
    ScaleWords("largest", "smallest"),
    "larger",
    ScaleWords("above", "below"),
    ScaleWords("最多", "最少"),
    "多",
    ScaleWords("超过", "少于"),
)

_ELEVATION = MeasureWords(
    "elevation",
    _words(r"\b(?:elevation|altitude)\b", "海拔"),
    ScaleWords("highest", "lowest"),
    "higher",
    ScaleWords("above", "below"),
    ScaleWords("最高", "最低"),
    "高",
    ScaleWords("高于", "低于"),
    ScaleWords("highest {}", "lowest {}"),
    ScaleWords("海拔最高", "海拔最低"),
    frozenset({"elevation", "altitude", "海拔"}),
)

_DEFAULT = _ELEVATION._replace(name="number", plain=frozenset())


def measure_of(attribute: Attribute) -> MeasureWords:
    """The words for a numeric or date attribute."""
    if attribute.kind is ColumnKind.date:
        return _TIME
    text = f"{attribute.column.replace('_', ' ')} {attribute.label}".casefold()
    found = (m for m in (_TIME, _ELEVATION, _PEOPLE, *_MEASURES) if m.pattern.search(text))
    return next(found, _DEFAULT)


def is_year(attribute: Attribute) -> bool:
    """A number that is a point in time."""
    return attribute.numeric and measure_of(attribute) is _TIME
