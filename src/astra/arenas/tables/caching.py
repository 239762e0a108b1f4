"""A cache for methods that lives and dies with its instance."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def cached_method(
    maxsize: int | None = None,
) -> Callable[[Callable[Concatenate[Any, P], R]], cached_property[Callable[P, R]]]:
    """Cache a method's results per instance; with `maxsize`, only the latest used."""

    def decorate(method: Callable[Concatenate[Any, P], R]) -> cached_property[Callable[P, R]]:
        def cached(instance: Any) -> Callable[P, R]:
            return cast("Callable[P, R]", lru_cache(maxsize)(partial(method, instance)))

        # `functools.cache` on the method itself would keep every instance alive.
        return cached_property(cached)

    return decorate
