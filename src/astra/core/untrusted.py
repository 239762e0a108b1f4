"""Characters that have no place in a question, an answer, a document or a source.

Control characters, characters that reorder text on a screen, invisible ones, and lone surrogates.
Not covered: look-alike letters inside plain text; in names only ASCII is allowed elsewhere.
"""

from __future__ import annotations

import re

from astra.types import Json, canonical_json

MOST_DEPTH = 16
"""Objects and arrays inside each other."""
_BAD = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


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


def json_problem(what: str, value: Json, most: int) -> str:
    """Why a JSON value can't be used: too deep, too large, odd characters; "" if it can.

    Without recursion, for a teacher may nest deeper than Python's stack.
    """
    pending: list[tuple[Json, int]] = [(value, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > MOST_DEPTH:
            return f"{what} nests deeper than {MOST_DEPTH}: make it flatter"
        children: list[Json] = []
        if isinstance(node, dict):
            children = [*node, *node.values()]
        elif isinstance(node, list | tuple):
            children = list(node)
        elif isinstance(node, str) and (odd := odd_character(node)):
            return f"{what} holds the character {odd}, which has no place in it"
        pending.extend((child, depth + 1) for child in children)
    try:
        size = len(canonical_json(value))
    except (ValueError, TypeError) as error:
        return f"{what} is no plain JSON: {error!s:.200}"
    if size > most:
        return f"{what} has {size} characters; at most {most} are allowed"
    return ""
