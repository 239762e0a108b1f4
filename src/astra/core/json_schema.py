"""JSON Schemas that others wrote, checked against values that others wrote, in bounded time.

The only place that makes validators. No reference is fetched, patterns are matched in linear time
(`astra.core.patterns`), and so are `uniqueItems` and long `enum`s. Patterns that can't be are not
checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from astra.core.patterns import is_fixed, matches
from astra.types import Json, canonical_json

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]
"""Checks one keyword of a schema: validator, the keyword's value, the instance, the schema."""
KEYWORDS = frozenset(
    (
        *Draft202012Validator.VALIDATORS,
        *("title", "description", "default", "examples", "format", "deprecated", "readOnly"),
        *("writeOnly", "definitions", "then", "else", "contentEncoding", "contentMediaType"),
        *("nullable", "example", "discriminator", "xml", "externalDocs"),  # of OpenAPI 3.0
    )
)
"""Names that mean something in a schema, today's and older drafts' and OpenAPI's."""
_SHOWN = 300
_LONG_ENUM = 32
"""Values from which an enum is looked up and not searched."""
_MOST_ENUMS = 1024
"""Long enums whose spellings are kept."""
_BROKEN = (SchemaError, Unresolvable, RecursionError, re.error, ValueError, TypeError)
"""What a schema that is not one raises, when it is read or later when a value is checked."""


class UnusableSchema(ValueError):
    """A schema that is not valid JSON Schema, or whose references lead nowhere."""


class SchemaViolation(NamedTuple):
    """What of a value does not fit a schema."""

    path: str
    """Where in the value, e.g. `items/0/price`. Empty for the whole value."""
    message: str


def fits(value: Json, schema: Mapping[str, Json]) -> bool:
    """Whether a schema allows a value. `UnusableSchema` for a schema that can't say."""
    try:
        return validator(canonical_json(schema)).is_valid(value)
    except _BROKEN as error:
        raise _unusable(error) from error


def violation(value: Json, schema: Mapping[str, Json]) -> SchemaViolation | None:
    """The most telling violation of a schema. None if the value fits. Raises as `fits`."""
    try:
        error = best_match(validator(canonical_json(schema)).iter_errors(value))
    except _BROKEN as broken:
        raise _unusable(broken) from broken
    if error is None:
        return None
    return SchemaViolation("/".join(map(str, error.absolute_path)), error.message)


def check_schema(schema: Mapping[str, Json]) -> None:
    """Raise `UnusableSchema` for what is not a JSON Schema."""
    try:
        validator(canonical_json(schema))
    except _BROKEN as error:
        raise _unusable(error) from error


def has_json_type(value: Json, kind: str) -> bool:
    """Whether a value is of a type as JSON Schema names it; 1.0 is an integer, True is not."""
    # Asked of every value of every call: the library takes ten times as long.
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return (
                value.is_integer()
                if isinstance(value, float)
                else isinstance(value, int) and not isinstance(value, bool)
            )
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "null":
            return value is None
        case _:
            pass
    return Draft202012Validator.TYPE_CHECKER.is_type(value, kind)


def _unusable(error: Exception) -> UnusableSchema:
    if isinstance(error, SchemaError):
        where = "/".join(map(str, error.absolute_path))
        return UnusableSchema(f"{where}: {error.message}" if where else error.message)
    return UnusableSchema(str(error) or type(error).__name__)


@lru_cache(maxsize=4096)
def validator(schema: str, *, checked: bool = False) -> Validator:
    """The validator of a schema in canonical JSON; `SchemaError` for what is not one.

    `checked`: the caller knows that it is one. Checking is slow, and many schemas share a form.
    """
    loaded: dict[str, Any] = json.loads(schema)
    kind = validator_for(loaded, default=Draft202012Validator)
    if not checked:
        kind.check_schema(loaded)
    # An empty registry: the default one would fetch references over the network.
    return _bounded(kind)(loaded, registry=Registry())


@lru_cache(maxsize=32)
def _bounded(kind: type[Validator]) -> type[Validator]:
    """A draft's class of validators with this module's keywords. Making one takes a while."""
    keywords: dict[str, Keyword] = {
        "uniqueItems": _unique,
        "enum": _enum(kind.VALIDATORS["enum"]),
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
    }
    for name in ("additionalProperties", "unevaluatedProperties"):
        if name in kind.VALIDATORS:
            keywords[name] = _unless_patterns(kind.VALIDATORS[name])
    return extend(kind, keywords)


# --- keywords --------------------------------------------------------------------------------


def _unique(_validator: Any, wanted: Json, value: Json, _schema: Json) -> Iterator[ValidationError]:
    # The library compares all pairs, which takes minutes for long lists.
    if wanted is True and isinstance(value, list):
        seen = {canonical_json(_one_spelling(item)) for item in value}
        if len(seen) < len(value):
            yield ValidationError(f"{_short(value)} has non-unique elements")


def _enum(original: Keyword) -> Keyword:
    """`enum` that looks a value up. The library compares it with every entry of the list."""
    # By identity. The list is kept with its spellings, so that no other one can get its identity.
    spellings: dict[int, tuple[list[Json], frozenset[str]]] = {}

    def keyword(
        validator: Any, wanted: Json, value: Json, schema: Json
    ) -> Iterator[ValidationError]:
        if not isinstance(wanted, list) or len(wanted) < _LONG_ENUM:
            yield from original(validator, wanted, value, schema) or ()
            return
        if id(wanted) not in spellings:
            if len(spellings) >= _MOST_ENUMS:
                spellings.clear()
            values = frozenset(canonical_json(_one_spelling(v)) for v in wanted)
            spellings[id(wanted)] = (wanted, values)
        if canonical_json(_one_spelling(value)) not in spellings[id(wanted)][1]:
            yield ValidationError(f"{_short(value)} is not one of {_short(wanted)}")

    return keyword


def _one_spelling(value: Json) -> Json:
    """1.0 as 1: JSON Schema has numbers only."""
    if isinstance(value, dict):
        return {name: _one_spelling(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_one_spelling(child) for child in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pattern(
    _validator: Any, wanted: Json, value: Json, _schema: Json
) -> Iterator[ValidationError]:
    if isinstance(value, str) and matches(wanted, value) is False:
        yield ValidationError(f"{_short(value)} does not match {_short(wanted)}")


def _pattern_properties(
    validator: Any, wanted: Json, value: Json, _schema: Json
) -> Iterator[ValidationError]:
    for pattern, schema in wanted.items() if isinstance(value, dict) else ():
        for name, child in value.items():
            if matches(pattern, name):
                yield from validator.descend(child, schema, path=name, schema_path=pattern)


def _unless_patterns(original: Keyword) -> Keyword:
    """A keyword that matches `patternProperties` with Python's engine: not run if that may hang."""

    def keyword(
        validator: Any, wanted: Json, value: Json, schema: Json
    ) -> Iterator[ValidationError]:
        if all(map(is_fixed, schema.get("patternProperties", {}))):
            yield from original(validator, wanted, value, schema) or ()

    return keyword


def _short(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
