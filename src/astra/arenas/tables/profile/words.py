"""Words for columns and tables: labels in two languages, singular and plural, units in names."""

from __future__ import annotations

import re
from typing import NamedTuple

from astra.arenas.tables.profile.chinese import CHINESE
from astra.types import Language

# --- English ---------------------------------------------------------------------------------

_UNCOUNTABLE = frozenset(
    "aircraft data deer equipment fish furniture information knowledge luggage metadata moose news "
    "offspring rice series sheep software spacecraft species staff weather".split()
)
_IRREGULAR = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "mouse": "mice",
    "goose": "geese", "foot": "feet", "tooth": "teeth", "index": "indices", "vertex": "vertices",
    "matrix": "matrices", "analysis": "analyses", "crisis": "crises", "basis": "bases",
    "axis": "axes", "criterion": "criteria", "phenomenon": "phenomena", "leaf": "leaves",
    "wolf": "wolves", "knife": "knives", "life": "lives", "wife": "wives", "shelf": "shelves",
    "half": "halves", "calf": "calves", "loaf": "loaves", "thief": "thieves", "movie": "movies",
    "cookie": "cookies", "calorie": "calories", "tie": "ties", "pie": "pies", "shoe": "shoes",
    "cache": "caches", "hero": "heroes", "potato": "potatoes", "tomato": "tomatoes",
    "volcano": "volcanoes", "tornado": "tornadoes", "echo": "echoes", "quiz": "quizzes",
    "lens": "lenses", "gas": "gases", "bias": "biases", "canvas": "canvases", "atlas": "atlases",
}  # fmt: skip
_SINGULAR = {plural: singular for singular, plural in _IRREGULAR.items()}


def singular(word: str) -> str:
    """The singular of an English noun in lower case; a singular comes back as it is."""
    if word in _SINGULAR:
        return _SINGULAR[word]
    if word in _UNCOUNTABLE or word in _IRREGULAR or re.search(r"(ss|us|is)$", word):
        return word
    if re.search(r"[^aeiou]ies$", word):
        return word[:-3] + "y"
    if re.search(r"(ss|sh|ch|x|zz|[^aeo]us)es$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and len(word) > 2 else word


def plural(word: str) -> str:
    """The plural of an English noun in lower case."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _UNCOUNTABLE or word in _SINGULAR:
        return word
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|sh|ch|x|z)$", word) else "s")


_ACRONYMS = frozenset(
    "id url gdp gnp iso iata icao hdi usa uk eu un ip isbn issn imdb nba nfl uefa fifa dna rna "
    "utc gmt api cpu gpu ram ppp bmi ceo cfo cto vat".split()
)
_EXPANDED = {
    "iso2": "two-letter ISO code",
    "iso3": "three-letter ISO code",
    "iso_a2": "two-letter ISO code",
    "iso_a3": "three-letter ISO code",
    "iata": "IATA code",
    "icao": "ICAO code",
    "lat": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "dob": "date of birth",
    "pop": "population",
    "temp": "temperature",
    "avg": "average",
    "num": "number",
    "qty": "quantity",
    "desc": "description",
    "min": "minimum",
    "max": "maximum",
}


def humanised(name: str) -> str:
    """An identifier as English words: `gdp_per_capita` -> "GDP per capita"."""
    if name in _EXPANDED:
        return _EXPANDED[name]
    words = [
        word.upper() if word in _ACRONYMS else _EXPANDED.get(word, word) for word in name.split("_")
    ]
    return " ".join(words)


# --- Chinese ---------------------------------------------------------------------------------

_ENGLISH = {chinese: english for english, chinese in reversed(CHINESE.items())} | {
    "名字": "name",
    "姓名": "name",
    "中文名": "name",
    "中文名称": "name",
    "英文名": "name",
    "国": "country",
    "省": "province",
    "市": "city",
    "年": "year",
    "海拔高度": "elevation",
}


def has_han(text: str) -> bool:
    """Whether a Chinese character stands in the text."""
    return any("\u3400" <= c <= "\u9fff" for c in text)


def chinese(name: str) -> str | None:
    """Chinese for an English identifier: as a whole, else word for word; None if unknown."""
    if name in CHINESE:
        return CHINESE[name]
    plain = name.replace(" ", "_")
    words = plain.split("_")
    last = "_".join([*words[:-1], singular(words[-1])])
    if last in CHINESE:
        return CHINESE[last]
    expanded = humanised(plain).replace(" ", "_")
    if expanded in CHINESE:
        return CHINESE[expanded]
    words = expanded.split("_")
    parts = [CHINESE.get(word) for word in words]
    return "".join(part for part in parts if part) if all(parts) and len(parts) < 4 else None


def english(name: str) -> str | None:
    """The English identifier for a Chinese name; None if unknown."""
    return _ENGLISH.get(name)


# --- units -----------------------------------------------------------------------------------


class ColumnName(NamedTuple):
    """A column's name without its unit."""

    base: str
    """Identifier without the unit; the whole one when there is none."""
    unit: str | None


_SPELLINGS = {
    "km2": "km2 km² sqkm sq_km sq.km square_kilometres square_kilometers 平方公里 平方千米",
    "m2": "m2 m² sqm sq_m square_metres square_meters 平方米",
    "mi2": "mi2 mi² sqmi sq_mi square_miles 平方英里",
    "ha": "ha hectares hectare 公顷",
    "m3": "m3 m³ cubic_metres cubic_meters 立方米",
    "km3": "km3 km³ cubic_kilometres 立方公里 立方千米",
    "km": "km kms kilometres kilometers 公里 千米",
    "m": "m metres meters 米",
    "cm": "cm centimetres centimeters 厘米",
    "mm": "mm millimetres millimeters 毫米",
    "ft": "ft feet 英尺",
    "mi": "mi miles 英里",
    "kg": "kg kgs kilograms 千克 公斤",
    "g": "g grams 克",
    "t": "t tons tonnes 吨",
    "lb": "lb lbs pounds 磅",
    "s": "s sec secs seconds 秒",
    "min": "min mins minutes 分钟",
    "h": "h hr hrs hours 小时",
    "L": "l litres liters 升",
    "mL": "ml millilitres milliliters 毫升",
    "m3/s": "m3s m3_s m3/s m³/s cumecs 立方米每秒",
    "km/h": "kmh kph km_h km/h 公里每小时",
    "mph": "mph",
    "USD": "usd dollars us$ $ 美元",
    "EUR": "eur euros € 欧元",
    "GBP": "gbp £ 英镑",
    "CNY": "cny rmb 元 人民币",
    "JPY": "jpy 日元",
    "%": "pct percent percentage % 百分比",
    "°C": "c celsius degc °c ℃ 摄氏度",
    "°F": "f fahrenheit degf °f ℉",
    "MW": "mw megawatts 兆瓦",
    "kW": "kw kilowatts 千瓦",
    "kWh": "kwh",
    "GWh": "gwh",
    "TWh": "twh",
}
_UNITS = {spelling: unit for unit, line in _SPELLINGS.items() for spelling in line.split()}
_SHORT = {
    "t": "weight mass payload displacement production load cargo emissions",
    "g": "weight mass protein fat carbs sugar fiber fibre salt",
    "s": "time duration period lap",
    "h": "time duration runtime",
    "min": "time duration runtime length lap",
    "l": "volume capacity displacement engine tank",
    "c": "temp temperature melting boiling point",
    "f": "temp temperature melting boiling point",
}
"""A unit of one letter (or `min`) counts only behind a word of its quantity."""
_NO_LENGTH = frozenset(
    "population people revenue gdp budget sales profit cap users followers views passengers "
    "visitors price cost income debt usd eur gbp cny value capital amount".split()
)
"""Behind these `_m` means millions."""
_BRACKETED = re.compile(r"^(.*?)\s*[(\[（【]\s*([^)\]）】]{1,30}?)\s*[)\]）】]\s*(.*)$")


def unit_in(original: str, name: str) -> ColumnName:
    """The unit in a column's name: "Area (km²)", `area_km2`, `elevation_m`."""
    if bracketed := _BRACKETED.match(original):
        before, inside, behind = bracketed.groups()
        unit = _UNITS.get(re.sub(r"[\s_]+", "_", inside.strip().lower()))
        left = [part for part in name.split("_") if part]
        if unit is not None and not behind and before.strip():
            return ColumnName(_without(left, inside), unit)
    parts = name.split("_")
    for count in (3, 2, 1):
        base, suffix = parts[:-count], "_".join(parts[-count:])
        unit = _UNITS.get(suffix)
        if base and unit is not None and _fits(suffix, base):
            return ColumnName("_".join(base), unit)
    return ColumnName(name, None)


def _without(parts: list[str], inside: str) -> str:
    """An identifier's parts without those that came from the bracket at its end."""
    count = len([part for part in re.split(r"[\W_]+", inside) if part])
    return "_".join(parts[: len(parts) - count]) or "_".join(parts)


def _fits(suffix: str, base: list[str]) -> bool:
    if suffix == "m":
        return _NO_LENGTH.isdisjoint(base)
    words = _SHORT.get(suffix)
    return words is None or not frozenset(words.split()).isdisjoint(base)


# --- labels ----------------------------------------------------------------------------------


def column_labels(base: str) -> dict[Language, str]:
    """How a column is called in a sentence, from its identifier without the unit."""
    if has_han(base):
        translated = english(base)
        return {"en": humanised(translated) if translated else base, "zh": base}
    return {"en": humanised(base), "zh": chinese(base) or humanised(base)}


def table_labels(name: str) -> tuple[dict[Language, str], dict[Language, str]]:
    """What one row of a table is called, and several."""
    words = name.split("_")
    one = "_".join([*words[:-1], singular(words[-1])])
    labels = column_labels(one)
    last = labels["en"].split(" ")
    many = " ".join([*last[:-1], plural(last[-1])]) if labels["en"].isascii() else labels["en"]
    return labels, {"en": many, "zh": labels["zh"]}
