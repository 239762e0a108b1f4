"""Copies of gold episodes with other names in them, for more training rows than there are arenas.

The names in a call's arguments (Portugal, Oslo Airport, 2014) are replaced everywhere in the
episode, so that question, calls and results agree. A model then cannot learn the answers by heart;
it has to read them. Words that many names share (University, Airport) stay, because they say what
kind of thing a name is. For training rows only: a renamed episode belongs to no arena any more.
"""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator

from astra.types import Json

_WORD = re.compile(r"[^\W_]+")
_SHARED = 4
"""A word of at least this many names stays."""
_ACRONYM = 4
"""Longest word of capitals that is taken for a code."""
_FIXED_KEYS = ("role", "id", "type", "name", "tool_call_id")
"""Keys of a message whose texts are not words: names of tools, ids of calls."""


class Renamer:
    """Replaces names in rows by invented ones of the same look, built from pieces of real ones."""

    def __init__(self, rows: Iterable[Json]) -> None:
        """`rows`: those to rename, for the words that their names share."""
        names = {name for row in rows for name in _names(row)}
        counts = Counter(word for name in names for word in set(_WORD.findall(name)))
        self._own = {w for w, n in counts.items() if n < _SHARED and not w.islower()}
        # Sorted: a set has another order in each process, and pieces are drawn by their index.
        plain = (w for w in sorted(self._own) if w.isalpha() and w.istitle() and len(w) > 3)
        self._pieces = [piece for word in plain for piece in _pieces(word.lower())]

    def __call__(self, row: Json, rng: random.Random) -> Json:
        """The row with other names; the same row and generator give the same names."""
        words = {
            word: self._invented(word, rng)
            for name in _names(row)
            for word in _WORD.findall(name)
            if word in self._own
        }
        if not words:
            return row
        # Longest first, so that a word that begins another does not cut it in two.
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        pattern = re.compile(rf"(?<![^\W_])({'|'.join(map(re.escape, longest_first))})(?![^\W_])")
        messages = [
            m if m["role"] == "system" else _replaced(m, pattern, words) for m in row["messages"]
        ]
        return {**row, "messages": messages}

    def _invented(self, word: str, rng: random.Random) -> str:
        """A word in place of another: digits for digits, capitals for a code, else syllables."""
        if word.isdecimal():
            # No leading zero: a year stays a number of four digits.
            return "".join(
                rng.choice("123456789" if not i else string.digits) for i in range(len(word))
            )
        if (word.isupper() and len(word) <= _ACRONYM) or not self._pieces:
            return "".join(rng.choice(string.ascii_uppercase) for _ in word)
        return "".join(rng.choices(self._pieces, k=rng.choice((1, 2, 2, 3)))).capitalize()


def _pieces(word: str) -> Iterator[str]:
    """The word cut into pieces of two and three letters in turn."""
    start = 0
    while start < len(word) - 1:
        length = 2 + (start % 2)
        yield word[start : start + length]
        start += length


def _names(row: Json) -> list[str]:
    """Text arguments of the row's calls that no tool lists among its choices, each once."""
    # A choice (metric, imperial) is fixed by the tool: renamed, the call would not fit it.
    choices = {
        choice
        for tool in row["tools"]
        for schema in tool["function"]["parameters"].get("properties", {}).values()
        for choice in schema.get("enum", ())
        if isinstance(choice, str)
    }
    # A dictionary keeps the order of the first occurrence, which decides what is drawn.
    names: dict[str, None] = {}
    for message in row["messages"]:
        for call in message.get("tool_calls", ()):
            texts = _texts(call["function"]["arguments"])
            names.update((text, None) for text in texts if text not in choices)
    return list(names)


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
        return {
            k: v if k in _FIXED_KEYS and isinstance(v, str) else _replaced(v, pattern, words)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_replaced(inner, pattern, words) for inner in value]
    if isinstance(value, str):
        return pattern.sub(lambda match: words[match.group(1)], value)
    return value
