"""Untrusted text and JSON: what models, tools, servers and files may hand us.

Texts are searched for control characters, characters that reorder text on a screen, invisible ones
and lone surrogates. JSON is bounded in length before it is parsed, and in depth after; whatever is
beyond the bounds is a ValueError, so that no text hangs the program or ends its stack.
Not covered: look-alike letters inside plain text; in names only ASCII is allowed elsewhere.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from typing import NoReturn

from astra.types import Json, canonical_json

JSON_DEPTH = 64
"""Lists and objects inside each other. Far below the thousand or so at which Python's own stack
ends in a parser, a validator or an encoder: that would look like a failure of ours."""
FLAT_DEPTH = 16
"""The same, of what a teacher writes for an arena: documents, arguments and answers."""
REPLY_CHARACTERS = 2**20
"""Longest reply of a model that is parsed. No answer needs more."""
_BAD = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_LARGEST = sys.float_info.max


# --- texts -----------------------------------------------------------------------------------


def odd_character(text: str) -> str:
    """The first character that has no place in a text, as U+XXXX; "" if there is none."""
    found = _BAD.search(text)
    return f"U+{ord(found[0]):04X}" if found else ""


def text_problem(what: str, text: str, most: int) -> str:
    """Why a text can't be used: empty, too long, or with odd characters; "" if it can."""
    if not text.strip():
        return f"{what} is empty"
    if len(text) > most:
        return f"{what} has {len(text)} characters; at most {most} are allowed"
    if odd := odd_character(text):
        return f"{what} holds the character {odd}, which has no place in it"
    return ""


# --- JSON ------------------------------------------------------------------------------------


class JsonTooDeep(ValueError):
    """Lists and objects are nested beyond a bound."""


def read_json(text: str, *, most: int | None = None, unique_keys: bool = False) -> Json:
    """The value of a JSON text of at most `most` characters, within the bounds of `check_json`.

    `unique_keys`: refuse a key that stands twice in one object. Raises ValueError.
    """
    if most is not None and len(text) > most:
        raise ValueError(f"{len(text)} characters; at most {most} are allowed")
    try:
        value = (_UNIQUE if unique_keys else _PLAIN).decode(text)
    except RecursionError:
        raise _too_deep(JSON_DEPTH) from None
    check_json(value)
    return value


def read_json_at(text: str, start: int) -> tuple[Json, int]:
    """The value that begins at an index of a model's text, and the index of its end.

    Keys are unique, line breaks inside strings allowed. Raises ValueError.
    """
    try:
        value, end = _WRITTEN.raw_decode(text, start)
    except RecursionError:
        raise _too_deep(JSON_DEPTH) from None
    check_json(value)
    return value, end


def check_json(value: Json, depth: int = JSON_DEPTH) -> None:
    """Raise ValueError for a value that can't be stored, sent or checked safely.

    Refused are nesting of more than `depth` levels (a scalar is one), numbers beyond a float, lone
    surrogates, and what is no JSON at all. Without recursion: the value may be deeper than the
    stack.
    """
    level: list[Json] = [value]
    for _ in range(depth):
        below: list[Json] = []
        for node in level:
            if isinstance(node, dict):
                below.extend(node)
                below.extend(node.values())
            elif isinstance(node, list | tuple):
                below.extend(node)
            elif isinstance(node, str):
                if not node.isascii() and _SURROGATE.search(node):
                    raise ValueError("a text contains half a surrogate pair")
            elif isinstance(node, int | float):
                # Longer integers are valid JSON, but most readers make floats of all numbers.
                if not -_LARGEST <= node <= _LARGEST:
                    raise ValueError("a number is too large (beyond 1.8e308), or not a number")
            elif node is not None:
                raise ValueError(f"{node!r:.100} is not a JSON value")
        if not below:
            return
        level = below
    raise _too_deep(depth)


def json_problem(what: str, value: Json, most: int) -> str:
    """Why a teacher's JSON can't be used: too deep, too large, odd characters; "" if it can."""
    try:
        check_json(value, FLAT_DEPTH + 1)
    except ValueError as error:
        return f"{what} can't be used: {error}; make it plain and flat"
    pending: list[Json] = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending.extend(node)
            pending.extend(node.values())
        elif isinstance(node, list | tuple):
            pending.extend(node)
        elif isinstance(node, str) and (odd := odd_character(node)):
            return f"{what} holds the character {odd}, which has no place in it"
    size = len(canonical_json(value))
    if size > most:
        return f"{what} has {size} characters; at most {most} are allowed"
    return ""


def _too_deep(depth: int) -> JsonTooDeep:
    return JsonTooDeep(f"lists and objects are nested deeper than {depth} levels")


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the JSON has the key {twice[:80]!r} twice in one object")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


_PLAIN = json.JSONDecoder(parse_constant=_constant)
_UNIQUE = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)
# Not strict: models write line breaks inside texts, and there is only one way to read them.
_WRITTEN = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, strict=False)
