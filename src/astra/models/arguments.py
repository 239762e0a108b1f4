"""Random arguments that fit a JSON Schema, for the random policy and for probing tools.

Covers what tool documents use: types, enumerations, bounds, lengths, items, objects, unions and
local references. What it can't make (a pattern, say) it reports, rather than send a wrong value.
"""

from __future__ import annotations

import math
import random
import string
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from astra.core.json_schema import UnusableSchema, check_schema, fits
from astra.core.references import resolve
from astra.types import Json

_DEPTH = 6
"""How deep values are nested before only what is required is made."""
_TRIES = 20
_CONTRADICTIONS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What following a schema that contradicts itself runs into."""


def random_arguments(schema: Mapping[str, Json], rng: random.Random) -> dict[str, Json] | None:
    """Arguments that the schema accepts; None when none were found in a few tries."""
    try:
        check_schema(schema)
    except UnusableSchema:
        return None
    for _ in range(_TRIES):
        try:
            value = _value(schema, rng, schema, 0)
            if isinstance(value, dict) and fits(value, schema):
                return value
        except _CONTRADICTIONS:
            continue  # another branch of the schema may still do
    return None


def random_value(schema: Mapping[str, Json], rng: random.Random, root: Mapping[str, Json]) -> Json:
    """A value for a part of a schema, without the promise that the schema accepts it.

    `root`: the whole, which references look into. Raises ValueError for what contradicts itself.
    """
    try:
        return _value(schema, rng, root, 0)
    except _CONTRADICTIONS as error:
        raise ValueError(f"no value for {str(schema)[:200]!r}: {error}") from error


def _value(schema: Any, rng: random.Random, root: Mapping[str, Json], depth: int) -> Json:
    if not isinstance(schema, Mapping) or not schema:
        return _string({}, rng)
    if "$ref" in schema:
        return _value(resolve(root, schema["$ref"]), rng, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            rest = {k: v for k, v in schema.items() if k != union}
            return _value({**rest, **rng.choice(schema[union])}, rng, root, depth + 1)
    if "allOf" in schema:
        merged = {k: v for k, v in schema.items() if k != "allOf"}
        for part in schema["allOf"]:
            merged.update(part)
        return _value(merged, rng, root, depth + 1)
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    match rng.choice(kinds) if isinstance(kinds, list) else kinds:
        case "object":
            required = schema.get("required", [])
            properties = {name: {} for name in required} | schema.get("properties", {})
            return {
                name: _value(inner, rng, root, depth + 1)
                for name, inner in properties.items()
                if name in required or (depth < _DEPTH and rng.random() < 0.5)
            }
        case "array":
            least = schema.get("minItems", 0)
            # Schemas that contain themselves end here: at the depth only what is required is made.
            most = min(schema.get("maxItems", least + 3), least + 10) if depth < _DEPTH else least
            items = schema.get("items", {})
            return [_value(items, rng, root, depth + 1) for _ in range(rng.randint(least, most))]
        case "integer":
            return _number(schema, rng, whole=True)
        case "number":
            return _number(schema, rng, whole=False)
        case "boolean":
            return rng.random() < 0.5
        case "null":
            return None
        case _:
            return _string(schema, rng)


def _number(schema: Mapping[str, Any], rng: random.Random, *, whole: bool) -> int | float:
    low, high = schema.get("minimum"), schema.get("maximum")
    margin = 1 if whole else 0
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + margin
    if "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - margin
    # An open side gets a bound a hundred away.
    if low is None:
        low = 0 if high is None or high >= 0 else high - 100
    if high is None:
        high = low + 100
    step = schema.get("multipleOf")
    if step:
        return rng.randint(math.ceil(low / step), math.floor(high / step)) * step
    if whole:
        return rng.randint(math.ceil(low), math.floor(high))
    return round(rng.uniform(low, high), 3)


def _string(schema: Mapping[str, Any], rng: random.Random) -> str:
    day = date(2000, 1, 1) + timedelta(days=rng.randrange(9000))
    match schema.get("format"):
        case "date":
            return day.isoformat()
        case "date-time":
            return f"{day.isoformat()}T{rng.randrange(24):02d}:00:00Z"
        case _:
            least = schema.get("minLength", 1)
            most = min(schema.get("maxLength", least + 8), least + 8)
            return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(least, most)))
