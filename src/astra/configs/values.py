"""What a value of an option may be, and how a value becomes the one that an option class holds.

All layers (Python keywords, TOML files, the command line) go through `ValueType.accept`, so that a
value means the same whichever way it came.
"""

import difflib
import math
import operator
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, SupportsIndex

from astra.configs.endpoints import check_address, check_variable

Kind = Literal[
    "flag",
    "integer",
    "number",
    "choice",
    "text",
    "address",
    "variable",
    "path",
    "list",
    "paths",
    "weights",
    "mapping",
]
"""`address`: of a service. `variable`: the name of an environment variable, which holds a key."""
SEVERAL: tuple[Kind, ...] = ("list", "paths", "weights", "mapping")
"""Kinds that hold several values, which may be given one by one."""
_WORDS = {"≥": "at least", "≤": "at most", ">": "above", "<": "below"}


@dataclass(frozen=True, slots=True)
class Limit:
    """One end of a number's range."""

    sign: Literal["≥", "≤", ">", "<"]
    number: float

    def holds(self, value: float) -> bool:
        """Whether a value keeps to the limit."""
        compared = {
            "≥": value >= self.number,
            "≤": value <= self.number,
            ">": value > self.number,
            "<": value < self.number,
        }
        return compared[self.sign]


def at_least(number: float) -> Limit:
    """Smallest allowed value."""
    return Limit("≥", number)


def at_most(number: float) -> Limit:
    """Largest allowed value."""
    return Limit("≤", number)


def above(number: float) -> Limit:
    """Exclusive lower end."""
    return Limit(">", number)


def below(number: float) -> Limit:
    """Exclusive upper end."""
    return Limit("<", number)


@dataclass(frozen=True, kw_only=True)
class ValueType:
    """Type of an option's values: the kind, and what of that kind is allowed."""

    kind: Kind
    choices: tuple[str, ...] = ()
    open_choices: bool = False
    """Other texts than `choices` are allowed, too."""
    limits: tuple[Limit, ...] = ()
    item_is_number: bool = False
    """Values of a mapping are numbers."""
    optional: bool = False
    """None is allowed."""
    accepts_objects: bool = False
    """Python objects are allowed, e.g. a function as the reward."""

    def accept(self, value: Any) -> Any:
        """The value as the option class holds it. ValueError says what is wrong with it."""
        if value is None:
            if self.optional:
                return None
            raise ValueError("a value is needed")
        if self.accepts_objects and not isinstance(value, str | Path | int | float | list | dict):
            return value
        match self.kind:
            case "flag":
                if not isinstance(value, bool):
                    raise ValueError("write true or false")
                return value
            case "integer":
                # Integers of numpy and torch, too; to Python, True is one.
                if isinstance(value, bool) or not isinstance(value, SupportsIndex):
                    raise ValueError("write a whole number")
                return self._in_range(operator.index(value))
            case "number":
                return self._in_range(_finite(value))
            case "text" | "path":
                if not isinstance(value, str | Path):
                    raise ValueError(f"write a {self.kind}")
                return str(value) if self.kind == "text" else Path(value)
            case "address" | "variable":
                if not isinstance(value, str):
                    raise ValueError("write a text")
                (check_address if self.kind == "address" else check_variable)(value)
                return value
            case "choice":
                if value in self.choices or (self.open_choices and isinstance(value, str | Path)):
                    return str(value)
                near = difflib.get_close_matches(str(value), self.choices, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise ValueError(f"choose among {', '.join(self.choices)}{hint}")
            case "list":
                return self._list(value)
            case "paths":
                items = [value] if isinstance(value, str | Path) else value
                if not isinstance(items, Sequence) or not all(
                    isinstance(item, str | Path) for item in items
                ):
                    raise ValueError("write paths")
                if not items:
                    raise ValueError("write at least one path")
                return tuple(map(Path, items))
            case "weights":
                return self._weights(value)
            case "mapping":
                if isinstance(value, str):
                    pairs = _pairs(value)
                    if bare := next((name for name, text in pairs.items() if not text), None):
                        raise ValueError(f"{bare!r} has no value: write NAME=VALUE,...")
                    value = {name: _toml_value(text) for name, text in pairs.items()}
                if not isinstance(value, Mapping):
                    raise ValueError("write NAME=VALUE,...")
                return {
                    str(name): _finite(item) if self.item_is_number else item
                    for name, item in value.items()
                }

    def shown(self, value: Any) -> str:
        """A refused value in an error. Where a key may stand by mistake, it is not shown."""
        hidden = self.kind == "variable" or (
            self.kind == "address" and any(mark in str(value) for mark in "@?#")
        )
        return "***" if hidden else f"{value!r:.200}"

    def parse(self, texts: Sequence[str]) -> Any:
        """The value of what was typed, once or repeatedly. ValueError as `accept`."""
        match self.kind:
            case "paths":
                return self.accept(list(texts))  # a path may hold a comma
            case "list" | "weights" | "mapping":
                return self.accept(",".join(texts))
            case "integer" | "number":
                whole = self.kind == "integer"
                try:
                    number = int(texts[-1]) if whole else float(texts[-1])
                except ValueError:
                    raise ValueError(f"write a {'whole ' if whole else ''}number") from None
                return self.accept(number)
            case _:
                return self.accept(texts[-1])

    def _in_range(self, number: Any) -> Any:
        for limit in self.limits:
            if not limit.holds(number):
                raise ValueError(f"must be {_WORDS[limit.sign]} {limit.number:g}")
        return number

    def _require_known(self, names: Sequence[Any]) -> None:
        for name in names:
            if self.choices and name not in self.choices:
                raise ValueError(f"{name!r} is unknown: choose among {', '.join(self.choices)}")

    def _list(self, value: Any) -> tuple[Any, ...]:
        items = _split(value) if isinstance(value, str) else value
        if isinstance(items, Mapping) or not isinstance(items, Sequence | set | frozenset):
            raise ValueError("write a list, or names separated by commas")
        if not all(isinstance(item, str) for item in items):
            raise ValueError("write texts")
        self._require_known(list(items))
        # Sets have no order of their own, and the order is part of a run's identity.
        return tuple(sorted(items) if isinstance(items, set | frozenset) else items)

    def _weights(self, value: Any) -> dict[str, float]:
        """Names with weights; a name without one has weight 1, one with weight 0 is left out."""
        if isinstance(value, str):
            value = {name: weight or "1" for name, weight in _pairs(value).items()}
        elif not isinstance(value, Mapping):
            value = dict.fromkeys(self._list(value), 1.0)
        self._require_known(list(value))
        weights: dict[str, float] = {}
        for name, weight in value.items():
            try:
                weights[name] = float(weight)
            except (TypeError, ValueError):
                raise ValueError(f"the weight {weight!r} of {name!r} is not a number") from None
            if not 0 <= weights[name] < math.inf:
                raise ValueError(
                    f"the weight {weight!r} of {name!r} must be 0 or above, and finite"
                )
        if not any(weights.values()):
            raise ValueError("name at least one with a weight above 0")
        return {name: weight for name, weight in weights.items() if weight}


def _split(text: str) -> list[str]:
    return [item for item in (piece.strip() for piece in text.split(",")) if item]


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ValueError("write a number")
    if not math.isfinite(number := float(value)):
        raise ValueError("write a finite number")
    return number


def _pairs(text: str) -> dict[str, str]:
    """`a=1,b` as a dict; a name without a value has an empty one."""
    return {
        name.strip(): value.strip()
        for name, _, value in (item.partition("=") for item in _split(text))
    }


def _toml_value(text: str) -> Any:
    """`0.95`, `true` and `"x"` as TOML reads them; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
