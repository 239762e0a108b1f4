"""Whether a result, or a text, holds the value that a target wants."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from astra.core.text import as_date, as_number, contains_text, dates_in, normalise, numbers_in
from astra.types import Json, Matcher, Scalar, Target, members_of


def same_scalar(a: Json, b: Json) -> bool:
    """Equal as booleans, as normalised texts, or as numbers.

    Two texts are compared as texts ("007" is not "7"); a number equals its text.
    """
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a == b
    if isinstance(a, str) and isinstance(b, str):
        return normalise(a) == normalise(b)
    x, y = as_number(a), as_number(b)
    return x is not None and y is not None and x == y


def same_number(a: Json, b: Json, *, absolute: float, relative: float) -> bool:
    """Equal as finite numbers within a tolerance; numeric texts count as numbers."""
    x, y = as_number(a), as_number(b)
    if x is None or y is None:
        return False
    return x == y or math.isclose(x, y, abs_tol=absolute, rel_tol=relative)


def matches(target: Target, found: Json) -> bool:
    """Whether one value is the target's answer under its matcher."""
    wanted = target.value
    match target.matcher:
        case Matcher.exact:
            return same_scalar(wanted, found)
        case Matcher.number:
            return _same_number(target, wanted, found)
        case Matcher.date:
            day = as_date(wanted)
            return day is not None and day == as_date(found)
        case Matcher.set:
            return (
                isinstance(wanted, tuple)
                and isinstance(found, list | tuple)
                and _same_set(wanted, found)
            )
        case Matcher.text:
            return isinstance(found, str | int | float) and stands_in_text(target, _leaf(found))


def _same_number(target: Target, wanted: Json, found: Json) -> bool:
    return same_number(wanted, found, absolute=target.absolute, relative=target.relative)


def _same_set(wanted: Sequence[Scalar], found: Sequence[Json]) -> bool:
    """Whether the members are the same. An empty set is no answer."""
    numeric = all(_is_number(value) for value in wanted)
    members = [_member(value, numeric=numeric) for value in found]
    return (
        bool(wanted)
        and None not in members
        and set(members) == {_member(value, numeric=numeric) for value in wanted}
    )


def _member(value: Json, *, numeric: bool) -> tuple[str, Json] | None:
    """The comparable form of a set's member. None for a value that no set can have.

    `numeric`: all wanted members are numbers, so texts are read as numbers.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, str) and not numeric:
        return ("text", normalise(value))
    number = as_number(value)
    return None if number is None else ("number", number)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def stands_in_text(target: Target, text: str) -> bool:
    """Whether the answer stands in a text: every member of a set, numbers and dates as such."""
    values = members_of(target.value)
    for value in values:
        if target.matcher is Matcher.date:
            found = as_date(value) in dates_in(text)
        elif target.matcher is Matcher.number or _is_number(value):
            found = any(_same_number(target, value, other) for other in numbers_in(text))
        else:
            found = contains_text(text, str(value))
        if not found:
            return False
    return bool(values)  # an empty set is never an answer


def solves(target: Target, result: Json) -> bool:
    """Whether a call's result holds the answer where the target wants it."""
    if target.field is None:
        return stands_in_text(target, _flat_text(result))
    return any(
        target.field in node
        and all(name in above and same_scalar(above[name], v) for name, v in target.key.items())
        and matches(target, node[target.field])
        for node, above in _nodes(result, target.key.keys())
    )


def _nodes(
    value: Json, names: AbstractSet[str]
) -> Iterator[tuple[Mapping[str, Json], Mapping[str, Json]]]:
    """Every object in a JSON value, with those named fields that it or an object above it has.

    Without recursion: a result may be nested deeper than Python's stack.
    """
    pending: list[tuple[Json, Mapping[str, Json]]] = [(value, {})]
    while pending:
        node, above = pending.pop()
        if isinstance(node, dict):
            own = {name: node[name] for name in names if name in node}
            above = {**above, **own} if own else above
            yield node, above
            pending.extend((child, above) for child in node.values())
        elif isinstance(node, list | tuple):
            pending.extend((child, above) for child in node)


def _flat_text(value: Json) -> str:
    """The leaves of a JSON value, one per line, so that values never run together."""
    lines: list[str] = []
    pending: list[Json] = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending.extend(reversed(node.values()))
        elif isinstance(node, list | tuple):
            pending.extend(reversed(node))
        elif node is not None:
            lines.append(_leaf(node))
    return "\n".join(lines)


def _leaf(value: Scalar) -> str:
    try:
        return str(value)
    except ValueError:  # an integer of more digits than Python prints
        return ""
