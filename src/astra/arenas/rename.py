"""Copies of gold episodes with other names in them, for training on more than there is.

What a call's arguments name (Portugal, Oslo Airport, 2014) is replaced wherever it stands in the
episode: question, calls and results agree. A model can then not learn the answers by heart; it has
to read them. Words that many names share (University, Airport) stay, since they say what a thing
is. Only for training rows: a renamed episode is none of the arena's any more, and has no arena.
"""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from astra.types import Json

_WORD = re.compile(r"[^\W_]+")
_SHARED = 4
"""Names that must hold a word for it to stay."""
_ACRONYM = 4
"""Longest word of capitals that is taken for a code."""


class Renamer:
    """Replaces names in rows by made-up ones of the same look, built from pieces of real ones."""

    def __init__(self, rows: Sequence[Json]) -> None:
        """`rows`: those to rename, for the words that their names share."""
        known = {name for row in rows for name in _names(row)}
        counts = Counter(word for name in known for word in set(_WORD.findall(name)))
        self._own = {w for w, n in counts.items() if n < _SHARED and not w.islower()}
        plain = (w for w in sorted(self._own) if w.isalpha() and w.istitle() and len(w) > 3)
        self._pieces = [piece for word in plain for piece in _pieces(word.lower())]

    def __call__(self, row: Json, rng: random.Random) -> Json:
        """The row with other names; the same row and generator give the same names."""
        words = {w: self._other(w, rng) for n in _names(row) for w in _own_words(n, self._own)}
        if not words:
            return row
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        pattern = re.compile(rf"(?<![^\W_])({'|'.join(map(re.escape, longest_first))})(?![^\W_])")
        messages = [
            m if m["role"] == "system" else _replaced(m, pattern, words) for m in row["messages"]
        ]
        return {**row, "messages": messages}

    def _other(self, word: str, rng: random.Random) -> str:
        if word.isdecimal():
            return "".join(
                rng.choice("123456789" if not i else string.digits) for i in range(len(word))
            )
        if (word.isupper() and len(word) <= _ACRONYM) or not self._pieces:
            return "".join(rng.choice(string.ascii_uppercase) for _ in word)
        return "".join(rng.choices(self._pieces, k=rng.choice((1, 2, 2, 3)))).capitalize()


def _own_words(name: str, own: set[str]) -> list[str]:
    return [word for word in _WORD.findall(name) if word in own]


def _pieces(word: str) -> Iterator[str]:
    """The word cut into pieces of two and three letters in turn."""
    start = 0
    while start < len(word) - 1:
        length = 2 + (start % 2)
        yield word[start : start + length]
        start += length


def _names(row: Json) -> list[str]:
    """Text arguments of the row's calls that no tool lists among its choices, each once."""
    choices = {choice for tool in row["tools"] for choice in _choices(tool["function"])}
    found: dict[str, None] = {}
    for message in row["messages"]:
        for call in message.get("tool_calls", ()):
            for value in _texts(call["function"]["arguments"]):
                if value not in choices:
                    found[value] = None
    return list(found)


def _choices(function: Any) -> Iterator[Json]:
    for schema in function["parameters"].get("properties", {}).values():
        yield from (choice for choice in schema.get("enum", ()) if isinstance(choice, str))


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def _replaced(value: Json, pattern: re.Pattern[str], words: dict[str, str]) -> Json:
    """The JSON value with the words replaced in its texts; keys and names of tools stay."""
    if isinstance(value, dict):
        kept = ("role", "id", "type", "name", "tool_call_id")
        return {
            k: v if k in kept and isinstance(v, str) else _replaced(v, pattern, words)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_replaced(inner, pattern, words) for inner in value]
    if isinstance(value, str):
        return pattern.sub(lambda found: words[found.group(1)], value)
    return value
