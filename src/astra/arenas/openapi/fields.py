"""The properties of a resource's schema as fields that a table can hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from astra.errors import Rejected
from astra.types import Json

FieldKind = Literal["text", "integer", "decimal", "date", "time", "flag", "choice", "reference"]
MAX_CHOICES = 12
_SCALE = 2
"""Digits after the point of a number, where nothing says more."""
_MAX_SCALE = 4
_LONGEST_TEXT = 200


def snake_case(name: str) -> str:
    """A name of a property or path as words with underscores: `dueDate` -> `due_date`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"\W+|_+", "_", spaced).strip("_").lower()


def same_name(first: str, second: str) -> bool:
    """Whether two names are one but for their spelling: `memberId` and `member_id`."""
    return snake_case(first).replace("_", "") == snake_case(second).replace("_", "")


@dataclass(frozen=True, slots=True)
class ApiField:
    """A property of a resource."""

    name: str
    kind: FieldKind
    schema: Mapping[str, Json]
    """Expanded, without null."""
    required: bool = False
    """Whether results always hold it."""
    nullable: bool = False
    read_only: bool = False
    choices: tuple[str, ...] = ()
    scale: int = 0
    refers_to: str = ""
    """Resource whose key it holds."""
    embedded: bool = False
    """Whether results hold the whole row that it refers to in its place."""
    shown: bool = True
    """Whether results hold it. What only a path tells is not shown."""

    @property
    def description(self) -> str:
        return str(self.schema.get("description") or "")

    @property
    def default(self) -> Json:
        return self.schema.get("default")

    @property
    def examples(self) -> list[Json]:
        """What the document gives as examples."""
        several = self.schema.get("examples")
        first = [self.schema["example"]] if "example" in self.schema else []
        return [*first, *(several if isinstance(several, list) else [])]

    def bound(self, name: Literal["minimum", "maximum"]) -> int | None:
        """A bound of a number as it is stored. A bound that is excluded is moved inside."""
        value = self.schema.get(name)
        excluded = self.schema.get(f"exclusive{name.title()}")
        step = 1 if name == "minimum" else -1
        if isinstance(excluded, int | float) and not isinstance(excluded, bool):
            return round(excluded * 10**self.scale) + step
        if not isinstance(value, int | float):
            return None
        return round(value * 10**self.scale) + step * (excluded is True)


def plain_schema(schema: Json) -> tuple[dict[str, Json], bool]:
    """A schema without null, and whether null was in it. Raises Rejected for one of several."""
    if not isinstance(schema, dict):
        return {}, False
    new, nullable = dict(schema), schema.get("nullable") is True
    for key in ("oneOf", "anyOf"):
        if isinstance(options := new.get(key), list):
            others = [o for o in options if not (isinstance(o, dict) and o.get("type") == "null")]
            if len(others) != 1 or not isinstance(others[0], dict):
                raise Rejected("one_of", f"it is one of {len(others)} schemas")
            nullable = nullable or len(others) < len(options)
            new = {**{k: v for k, v in new.items() if k != key}, **others[0]}
    if "allOf" in new:
        raise Rejected("all_of", "its parts (`allOf`) can't be joined to one schema")
    kinds = new.get("type")
    if isinstance(kinds, list):
        nullable = nullable or "null" in kinds
        rest = [kind for kind in kinds if kind != "null"]
        if len(rest) != 1:
            raise Rejected("types", f"it is of several types: {kinds!r}")
        new["type"] = rest[0]
    if isinstance(new.get("enum"), list):
        nullable = nullable or None in new["enum"]
        new["enum"] = [value for value in new["enum"] if value is not None]
    return new, nullable


def read_field(name: str, value: Json, required: bool) -> ApiField:
    """A property as a field. Raises Rejected for what no cell of a table can hold."""
    schema, nullable = plain_schema(value)
    read_only = schema.get("readOnly") is True
    kind, choices, scale = _kind(schema)
    return ApiField(name, kind, schema, required, nullable, read_only, choices, scale)


def _kind(schema: Mapping[str, Json]) -> tuple[FieldKind, tuple[str, ...], int]:
    """Kind, choices and scale of a schema of one type."""
    values = schema.get("enum")
    if isinstance(values, list) and values:
        if not all(isinstance(choice, str) and choice.strip() for choice in values):
            raise Rejected("enum", "its values are not texts")
        if not 2 <= len(values) <= MAX_CHOICES:
            raise Rejected("enum", f"it has {len(values)} values, not 2 to {MAX_CHOICES}")
        return "choice", tuple(values), 0
    match schema.get("type"):
        case "string":
            style = schema.get("format")
            if style in ("binary", "byte", "password"):
                raise Rejected("format", f"{style} is no value that a person gives")
            longest = schema.get("maxLength")
            if isinstance(longest, int) and longest > _LONGEST_TEXT * 20:
                raise Rejected("long", "it is a long text")
            if style == "date-time":
                return "time", (), 0
            return ("date" if style == "date" else "text"), (), 0
        case "integer":
            return "integer", (), 0
        case "number":
            return "decimal", (), _scale(schema)
        case "boolean":
            return "flag", (), 0
        case "array":
            raise Rejected("list", "it is a list")
        case "object":
            raise Rejected("object", "it is an object")
        case other:
            raise Rejected("type", f"its type is {other!r}")


def _scale(schema: Mapping[str, Json]) -> int:
    """Digits after the point that its examples and steps need."""
    told = [schema.get(key) for key in ("multipleOf", "example", "default")]
    numbers = [value for value in told if isinstance(value, int | float)]
    scale = _SCALE
    while scale < _MAX_SCALE and any(
        abs(n * 10**scale - round(n * 10**scale)) > 1e-6 for n in numbers
    ):
        scale += 1
    return scale
