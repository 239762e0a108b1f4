"""Words in the names of columns and tables: singulars, plurals, translations, units."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple


@cache
def _words() -> dict[str, Any]:
    """The content of `words.toml`, with the reverse of some of its tables."""
    words = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))
    words["irregular_singulars"] = {many: one for one, many in words["irregular_plurals"].items()}
    # Of several English words for a Chinese one the first counts.
    back = {chinese: english for english, chinese in reversed(words["chinese"].items())}
    words["english"] = back | words["english"]
    words["units"] = {
        spelling: unit
        for unit, spellings in words["unit_spellings"].items()
        for spelling in spellings.split()
    }
    return words


def words_of(name: str) -> frozenset[str]:
    """One of the word lists of `words.toml`."""
    return frozenset(_words()[name])


# --- English ---------------------------------------------------------------------------------


def singular(word: str) -> str:
    """The singular of an English noun in lower case. A singular comes back as it is."""
    words = _words()
    if word in words["irregular_singulars"]:
        return words["irregular_singulars"][word]
    if word in words["uncountable"] or word in words["irregular_plurals"]:
        return word
    if re.search(r"(ss|us|is|ics)$", word):
        return word
    if re.search(r"[^aeiou]ies$", word):
        return word[:-3] + "y"
    if re.search(r"(ss|sh|ch|x|zz|[^aeo]us)es$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and len(word) > 2 else word


def singular_name(name: str) -> str:
    """The identifier with its last word in the singular."""
    *words, last = name.split("_")
    return "_".join([*words, singular(last)])


def plural(word: str) -> str:
    """The plural of an English noun in lower case."""
    words = _words()
    if word in words["irregular_plurals"]:
        return words["irregular_plurals"][word]
    if word in words["uncountable"] or word in words["irregular_singulars"]:
        return word
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|sh|ch|x|z)$", word) else "s")


_NAME_PART = re.compile(r"(name)_(first|last|middle|given|family|full|short|long)")
_ID_OF = re.compile(r"([a-z]+_id)_([a-z]+)")
"""`team_id_winner`: the winner's team ID."""


def humanised(name: str) -> str:
    """An identifier as English words: `gdp_per_capita` -> "GDP per capita"."""
    abbreviations, acronyms = _words()["abbreviations"], _words()["acronyms"]
    if name in abbreviations:
        return abbreviations[name]
    # "name first" is how files sort their columns, not how people speak.
    if match := _NAME_PART.fullmatch(name) or _ID_OF.fullmatch(name):
        name = "_".join(reversed(match.groups()))
    return " ".join(
        word.upper() if word in acronyms else abbreviations.get(word, word)
        for word in name.split("_")
    )


# --- Chinese ---------------------------------------------------------------------------------


def has_han(text: str) -> bool:
    """Whether the text contains a Chinese character."""
    return any("\u3400" <= c <= "\u9fff" for c in text)


def chinese(name: str) -> str | None:
    """Chinese for an English identifier: as a whole, else word for word. None if unknown."""
    known: dict[str, str] = _words()["chinese"]
    identifier = name.replace(" ", "_")
    expanded = humanised(identifier).replace(" ", "_")
    for spelling in (name, singular_name(identifier), expanded):
        if spelling in known:
            return known[spelling]
    parts = [known.get(word) for word in expanded.split("_")]
    return "".join(part for part in parts if part) if all(parts) and len(parts) < 4 else None


def english(name: str) -> str | None:
    """The English identifier for a Chinese name: as a whole, else of two words. None if unknown."""
    known: dict[str, str] = _words()["english"]
    if name in known:
        return known[name]
    # Words of one character mean too many things within others.
    for cut in range(len(name) - 2, 1, -1):
        first, last = known.get(name[:cut]), known.get(name[cut:])
        if first and last:
            return f"{first}_{last}"
    return None


# --- units -----------------------------------------------------------------------------------


class ColumnName(NamedTuple):
    """A column's name without its unit."""

    base: str
    """Identifier without the unit; the whole one if there is none."""
    unit: str | None


_BRACKETED = re.compile(r"^(.*?)\s*[(\[（【]\s*([^)\]）】]{1,30}?)\s*[)\]）】]\s*(.*)$")


def unit_in(original: str, name: str) -> ColumnName:
    """The unit in a column's name: "Area (km²)", `area_km2`, `elevation_m`."""
    units: dict[str, str] = _words()["units"]
    parts = name.split("_")
    if bracketed := _BRACKETED.match(original):
        before, inside, behind = bracketed.groups()
        unit = units.get(re.sub(r"[\s_]+", "_", inside.strip().lower()))
        if unit is not None and not behind and before.strip():
            bracket = [part for part in re.split(r"[\W_]+", inside) if part]
            return ColumnName("_".join(parts[: len(parts) - len(bracket)]) or name, unit)
    for count in (3, 2, 1):
        base, suffix = parts[:-count], "_".join(parts[-count:])
        if not base or suffix not in units:
            continue
        # `m` may stand for months or millions: a short unit needs a name that fits it.
        if suffix == "m":
            fits = not set(_words()["not_lengths"]) & set(base)
        else:
            quantities = _words()["short_units"].get(suffix)
            fits = quantities is None or bool(set(quantities.split()) & set(base))
        if fits:
            return ColumnName("_".join(base), units[suffix])
    return ColumnName(name, None)
