"""Identifiers for tables and columns, made from whatever names a user's files carry.

An identifier is lower case, starts with a letter, and consists of letters, digits and `_`.
Letters of any script stay (`人口` is an identifier); names of files lose Latin accents.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})|(?<=[a-z])(?=[A-Z]+s?$)")

_GLUED_ID = re.compile(r"(?<=[a-z])(ID|UUID|URL|ISO)(?=[A-Z][a-z]|[a-z]{2})")
"""An abbreviation between two words: `teamIDwinner`."""

LONGEST = 60
"""Characters of an identifier; the rest is cut off."""
_LONGEST_START = 24
"""Characters that are left of what long names have in common."""


def identifier(name: str, *, fallback: str, ascii_letters: bool = False) -> str:
    """The identifier form of a name; `fallback` where no letter or digit is left.

    `ascii_letters` takes the accents off Latin letters. Words in camel case are set apart.
    """
    return _cut(_whole_identifier(name, fallback, ascii_letters))


def _whole_identifier(name: str, fallback: str, ascii_letters: bool = False) -> str:
    """The identifier form of a name, however long."""
    spaced = _GLUED_ID.sub(r"_\1_", unicodedata.normalize("NFKC", name))
    text = _CAMEL.sub("_", spaced).casefold()
    if ascii_letters:
        decomposed = unicodedata.normalize("NFKD", text)
        bare = "".join(c for c in decomposed if not unicodedata.combining(c))
        text = bare if bare.isascii() else text
    text = unicodedata.normalize("NFKC", text)
    words = "".join(c if f"a{c}".isidentifier() else "_" for c in text)
    joined = "_".join(part for part in words.split("_") if part)
    if not joined:
        return fallback
    return joined if joined.isidentifier() else f"{fallback.split('_')[0]}_{joined}"


def _cut(identifier: str) -> str:
    return identifier[:LONGEST].strip("_")


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, or the name with the first free number from 2 behind it."""
    taken = set(taken)
    number, candidate = 2, name
    while candidate in taken:
        candidate = f"{name}_{number}"
        number += 1
    return candidate


def column_identifiers(names: Sequence[str]) -> list[str]:
    """One identifier per column name, all different, in order; empty names get their position.

    Of names that begin alike and are too long, such as the questions of a survey, the end stays,
    where they differ.
    """
    whole = [_whole_identifier(name, f"column_{n}") for n, name in enumerate(names, start=1)]
    beginnings: dict[str, list[str]] = {}
    for name in whole:
        if len(name) > LONGEST:
            beginnings.setdefault(_cut(name), []).append(name)
    identifiers: list[str] = []
    for name in whole:
        alike = beginnings.get(_cut(name), ()) if len(name) > LONGEST else ()
        if len(set(alike)) > 1:
            # Whole words only: a common "pr" of "price" and "product" belongs to the end.
            parts = zip(*(name.split("_") for name in alike), strict=False)
            common = "_".join(
                words[0] for words in takewhile(lambda words: len(set(words)) == 1, parts)
            )
            start = common[:_LONGEST_START].rpartition("_")[0] or common[:_LONGEST_START]
            name = f"{start}_{name[len(common) :].strip('_')}".strip("_")
        identifiers.append(unique(_cut(name), identifiers))
    return identifiers
