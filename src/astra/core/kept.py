"""Results that are kept for objects that have no hash, such as records that hold JSON."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Value = TypeVar("Value")
Result = TypeVar("Result")


def kept_by_identity(
    maxsize: int,
) -> Callable[[Callable[[Value], Result]], Callable[[Value], Result]]:
    """As `functools.lru_cache`, for a function of one object that never changes.

    Equal objects that are not the same one have results of their own. An object is kept alive with
    its result; the oldest goes when there are more than `maxsize`.
    """

    def decorate(function: Callable[[Value], Result]) -> Callable[[Value], Result]:
        # What is kept alive keeps its identity: no other object can have it meanwhile.
        kept: dict[int, tuple[Value, Result]] = {}

        @wraps(function)
        def keeping(value: Value) -> Result:
            entry = kept.get(id(value))
            if entry is None:
                entry = kept[id(value)] = (value, function(value))
                if len(kept) > maxsize:
                    kept.pop(next(iter(kept)), None)
            return entry[1]

        return keeping

    return decorate
