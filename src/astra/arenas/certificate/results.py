"""What a tool's result says where a goal's answer is looked for, and whether it says anything.

Language models write "not found" in many ways that are not structured errors: null, an empty
text, `{"error": "not found"}`, "unknown" in the answer's place. Not covered: such words in other
languages, unless the tool says them of entities that do not exist, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from astra.arenas.certificate.arena_under_test import is_answered
from astra.arenas.certificate.containment import stands_in
from astra.core.text import as_number, normalise, scalars
from astra.protocols import CallOutcome
from astra.rewards import same_scalar
from astra.types import Json, Target, members_of

_NOTHING_WORDS = frozenset(
    (
        *("", "none", "null", "n/a", "na", "nan", "undefined", "unknown", "missing", "error"),
        *("not found", "not available", "not applicable", "not known", "not specified"),
        *("no data", "no record", "no result", "no results", "no match", "no information"),
        *(
            "tbd",
            "tba",
            "todo",
            "to be determined",
            "not implemented",
            "placeholder",
            "unspecified",
        ),
    )
)
_NOTHING_NUMBERS = frozenset({-1, -99, -999, -9999, 9999, 99_999, 999_999, 9_999_999})
"""Numbers that stand for "no answer", if all other entities have the same one of them."""
_LEAST_DIGITS = 4


def says_nothing(value: Json) -> bool:
    """Whether a value stands for "no answer": null, empty, or a word such as "unknown"."""
    if isinstance(value, str):
        text = normalise(value).strip(" .!?-–—_()[]")
        return text in _NOTHING_WORDS
    return value is None or value == [] or value == {}


def says_one_nothing(values: Sequence[Json]) -> bool:
    """Whether all values are one and the same number that stands for "no answer"."""
    numbers = {as_number(value) for value in values}
    return len(values) > 1 and len(numbers) == 1 and numbers <= _NOTHING_NUMBERS


def is_served(outcome: CallOutcome) -> bool:
    """Whether a call returned something other than an error, in whatever form."""
    value = outcome.value
    if not is_answered(outcome) or says_nothing(value):
        return False
    return not (isinstance(value, dict) and not says_nothing(value.get("error")))


def values_shown(target: Target, outcome: CallOutcome) -> list[Json]:
    """The values where the target looks, beside a key of any entity. Empty if there are none."""
    if not is_served(outcome):
        return []
    if target.field is None:
        text = "\n".join(str(leaf) for leaf in scalars(outcome.value) if leaf is not None)
        return [] if says_nothing(text) else [text]
    return [value for value in _fields(outcome.value, target) if not says_nothing(value)]


def _fields(value: Json, target: Target) -> Iterator[Json]:
    # Without recursion: a result may be nested deeper than Python's stack.
    pending: list[tuple[Json, frozenset[str]]] = [(value, frozenset())]
    while pending:
        node, above = pending.pop()
        if isinstance(node, Mapping):
            above |= {name for name in target.key if node.get(name) is not None}
            if target.field in node and len(above) == len(target.key):
                yield node[target.field]
            pending.extend((child, above) for child in node.values())
        elif isinstance(node, list | tuple):
            pending.extend((child, above) for child in node)


def without_arguments(values: Sequence[Json], arguments: Mapping[str, Json]) -> str:
    """Shown values with the call's arguments cut out, so that one sentence about two entities is
    the same."""
    text = normalise(str(list(values)))
    spellings = {normalise(str(leaf)) for leaf in scalars(dict(arguments)) if leaf is not None}
    for spelling in sorted(spellings - {""}, key=len, reverse=True):
        text = text.replace(spelling, "…")
    return text


@lru_cache(maxsize=4096, typed=True)
def is_distinct(value: Json) -> bool:
    """Whether no other result holds the value by chance: a text of at least three letters, or a
    number of at least four significant digits."""
    number = as_number(value)
    if number is None:
        return isinstance(value, str) and len(normalise(value)) > 2
    digits = f"{abs(number):.12g}".partition("e")[0].replace(".", "").strip("0")
    return len(digits) >= _LEAST_DIGITS or abs(number) >= 10 ** (_LEAST_DIGITS + 1)


def shows_answer(target: Target, value: Json, arguments: Mapping[str, Json]) -> bool:
    """Whether every member of a distinct answer stands somewhere in a value, and is not one of the
    call's own arguments."""
    members = members_of(target.value)
    if not members or any(isinstance(m, bool) or not is_distinct(m) for m in members):
        return False
    leaves = [leaf for leaf in scalars(value) if leaf is not None]
    if not all(stands_among(member, leaves) for member in members):
        return False
    given = [leaf for leaf in scalars(dict(arguments)) if leaf is not None]
    return not any(stands_among(member, given) for member in members)


def stands_among(value: Json, leaves: Sequence[Json]) -> bool:
    """Whether a value is one of these, or stands in a text among them."""
    return any(
        same_scalar(value, leaf) or (isinstance(leaf, str) and stands_in(value, leaf))
        for leaf in leaves
    )


def error_shows(target: Target, outcome: CallOutcome, arguments: Mapping[str, Json]) -> bool:
    """Whether a call ended in an error that shows the answer."""
    if is_served(outcome):
        return False
    text = outcome.failure.message if outcome.failure else outcome.value
    return shows_answer(target, text, arguments)
