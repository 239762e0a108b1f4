"""Identifiers for tables and columns, made from whatever names a user's files carry.

An identifier is lower case, starts with a letter, and consists of letters, digits and `_`.
Letters of any script stay (`人口` is an identifier); names of files lose Latin accents.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})|(?<=[a-z])(?=[A-Z]+$)")

LONGEST = 60
"""Characters of an identifier; the rest is cut off."""


def identifier(name: str, *, fallback: str, ascii_letters: bool = False) -> str:
    """The identifier form of a name; `fallback` where no letter or digit is left.

    `ascii_letters` takes the accents off Latin letters. Words in camel case are set apart.
    """
    spaced = _CAMEL.sub("_", unicodedata.normalize("NFKC", name))
    text = spaced.casefold()
    if ascii_letters:
        decomposed = unicodedata.normalize("NFKD", text)
        bare = "".join(c for c in decomposed if not unicodedata.combining(c))
        text = bare if bare.isascii() else text
    text = unicodedata.normalize("NFKC", text)
    words = "".join(c if f"a{c}".isidentifier() else "_" for c in text)
    joined = "_".join(part for part in words.split("_") if part)[:LONGEST].strip("_")
    if not joined:
        return fallback
    return joined if joined.isidentifier() else f"{fallback.split('_')[0]}_{joined}"


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, or the name with the first free number from 2 behind it."""
    taken = set(taken)
    number, candidate = 2, name
    while candidate in taken:
        candidate = f"{name}_{number}"
        number += 1
    return candidate


def column_identifiers(names: Sequence[str]) -> list[str]:
    """One identifier per column name, all different, in order; empty names get their position."""
    identifiers: list[str] = []
    for position, name in enumerate(names, start=1):
        column = identifier(name, fallback=f"column_{position}")
        identifiers.append(unique(column, identifiers))
    return identifiers
