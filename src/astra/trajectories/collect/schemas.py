"""Converts the schemas of sources to JSON Schema 2020-12 that a validator can use safely.

Older drafts, OpenAPI 3.0 and Python-like type names are translated. References stay inside the
schema: one that leads elsewhere is rejected, never fetched. Patterns that can't be read, or could
take exponential time, move from the schema into the description.

What this does not guarantee: that a schema says what its service accepts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from astra.core.json_schema import UnusableSchema, fits
from astra.core.patterns import is_matchable
from astra.core.references import target
from astra.core.untrusted import JSON_DEPTH, JsonTooDeep, check_json
from astra.errors import Rejected
from astra.trajectories.collect.type_names import named_type, union_of
from astra.types import Json, canonical_json

CHARACTERS = 100_000
"""Longest schema, as canonical JSON."""
SCHEMA_DEPTH = JSON_DEPTH - 4
"""Levels of nested objects and lists: room for the records in which a schema stands."""
MOST_WAYS = 10_000
"""Schemas that one value may be checked against, through references and alternatives."""

# Keywords without meaning once the dialect is fixed and all references are local.
_DROPPED = ("$schema", "$id", "id", "$anchor", "$comment", "$vocabulary", "$dynamicAnchor", "xml")
# Dropped after they were read.
_DROPPED_TOO = ("discriminator", "externalDocs", "readOnly", "writeOnly", "deprecated", "nullable")
_SCHEMAS = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then")
_SCHEMA = (*_SCHEMAS, "else", "unevaluatedProperties", "unevaluatedItems")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
# Keywords whose schemas check the same value, not a part of it.
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
# We match in linear time; who trains on an exported document may not. A repeated group with a
# repetition in it is the usual way to exponential time in a backtracking engine.
_SLOW = re.compile(r"\((?:[^()\\]|\\.)*[+*{](?:[^()\\]|\\.)*\)\s*[+*{]")
_LONGEST_PATTERN = 300


class ConvertedSchema(NamedTuple):
    """A schema that a validator can use, and notes on changes that matter."""

    schema: dict[str, Json]
    notes: list[str]


def parameters(schema: Json) -> ConvertedSchema:
    """A schema of arguments: `type: object`, valid, self-contained. Raises Rejected."""
    if schema is None or schema is True or schema == {}:
        return ConvertedSchema({"type": "object", "properties": {}}, [])
    converted = any_schema(schema)
    kinds = converted.schema.get("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        raise Rejected("schema", f"arguments must be an object, and these are {kinds!r}")
    # Type and properties first, as people write them: models read the schema as text.
    properties = converted.schema.get("properties", {})
    whole = {"type": "object", "properties": properties} | converted.schema | {"type": "object"}
    missing = [name for name in whole.get("required", []) if name not in properties]
    if missing and not any(key in whole for key in (*_IN_PLACE, "$ref")):
        raise Rejected("schema", f"requires {missing[0]!r}, which is not one of its properties")
    return ConvertedSchema(whole, converted.notes)


def any_schema(schema: Json) -> ConvertedSchema:
    """A schema of any type, e.g. of a result. Raises Rejected."""
    if not isinstance(schema, dict):
        raise Rejected("schema", f"a schema is an object, not {schema!r:.60}")
    if (size := characters(schema)) > CHARACTERS:
        raise Rejected("size", f"a schema of {size} characters; the most is {CHARACTERS}")
    notes: list[str] = []
    converted = _converted(schema, notes)
    nodes = list(_schemas(converted))
    for node in nodes:
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            if key in node:
                target(converted, node[key])
    ways: dict[int, int] = {}
    for node in nodes:
        _count_ways(converted, node, ways)
    try:
        fits({}, converted)  # some faults show only when a value is checked
    except UnusableSchema as error:
        raise Rejected("schema", f"not a JSON Schema: {error!s:.200}") from error
    return ConvertedSchema(converted, notes)


def accepts(schema: Mapping[str, Json], value: Json) -> bool:
    """Whether a converted schema allows a value."""
    return fits(value, schema)


def characters(value: Json) -> int:
    """Length of a value as JSON. Raises Rejected if it nests too deep or is not JSON (NaN)."""
    try:
        check_json(value, SCHEMA_DEPTH)
        return len(canonical_json(value))
    except JsonTooDeep as error:
        raise Rejected("size", f"a schema of which {error}") from error
    except (TypeError, ValueError) as error:
        raise Rejected("schema", f"not JSON: {error!s:.200}") from error


# --- converting -------------------------------------------------------------------------------


def _converted(schema: Json, notes: list[str]) -> Json:
    """One schema, and all schemas inside it, in JSON Schema 2020-12."""
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise Rejected("schema", f"a schema is an object, not {schema!r:.60}")
    new = {k: v for k, v in schema.items() if k not in _DROPPED and not k.startswith("x-")}
    _convert_type(new, schema.get("nullable") is True)
    # `exclusiveMinimum: true` of draft 4 and OpenAPI 3.0.
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(new.get(exclusive), bool) and new.pop(exclusive) and limit in new:
            new[exclusive] = new.pop(limit)
    pattern = new.get("pattern")
    if isinstance(pattern, str) and not _is_safe(pattern):
        new.pop("pattern")
        description = new.get("description") or ""
        new["description"] = f"{description} (as the pattern {pattern[:200]})".strip()
        notes.append(f"the pattern {pattern[:80]!r} is told in words: it can't be checked safely")
    if isinstance(new.get("patternProperties"), dict):
        unsafe = [key for key in new["patternProperties"] if not _is_safe(key)]
        if unsafe:
            raise Rejected("schema", f"patternProperties {unsafe[0]!r:.80} can't be checked safely")
    if isinstance(new.get("items"), list):
        new["prefixItems"] = new.pop("items")
    if "example" in new:
        example = new.pop("example")
        new.setdefault("examples", [example])
    if not isinstance(new.get("examples", []), list):
        new.pop("examples")
    if isinstance(new.get("required"), bool):
        new.pop("required")  # of draft 3: the schema around this one reads it, below
    for name in _DROPPED_TOO:
        new.pop(name, None)
    for key in _SCHEMA:
        if key in new:
            new[key] = _converted(new[key], notes)
    for key in _LISTS:
        if key in new:
            if not isinstance(new[key], list):
                raise Rejected("schema", f"{key} is not a list")
            new[key] = [_converted(item, notes) for item in new[key]]
    for key in _MAPS:
        if key in new:
            if not isinstance(new[key], dict):
                raise Rejected("schema", f"{key} is not an object")
            new[key] = {name: _converted(item, notes) for name, item in new[key].items()}
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = new.pop("required", [])
        if not isinstance(required, list):
            raise Rejected("schema", f"required is {required!r:.60}, not a list of names")
        # Draft 3 marks each required property instead of listing the names.
        marked = [
            name
            for name, child in properties.items()
            if isinstance(child, dict) and child.get("required") is True
        ]
        names = dict.fromkeys(n for n in (*required, *marked) if isinstance(n, str))
        if names:
            new["required"] = list(names)
    return new


def _convert_type(new: dict[str, Json], nullable: bool) -> None:
    """Translate the names of types, and `nullable` of OpenAPI 3.0, in place."""
    kind = new.get("type")
    if kind is None:
        if "properties" in new:
            new["type"] = "object"
    else:
        said: list[dict[str, Json]] = []
        for each in kind if isinstance(kind, list) else [kind]:
            if not isinstance(each, str):
                raise Rejected("schema", f"{each!r:.60} is not a type of JSON Schema")
            try:
                said.append(named_type(each).schema)
            except ValueError as error:
                raise Rejected("schema", str(error)) from error
        new.pop("type")
        # One type that means anything makes the whole list mean anything: no `type` at all.
        if {} not in said and said:
            for name, value in union_of(said).items():
                new.setdefault(name, value)
    if nullable and isinstance(new.get("type"), str) and new["type"] != "null":
        new["type"] = [new["type"], "null"]
        if isinstance(new.get("enum"), list) and None not in new["enum"]:
            new["enum"] = [*new["enum"], None]


def _is_safe(pattern: str) -> bool:
    short = len(pattern) <= _LONGEST_PATTERN
    return short and not _SLOW.search(pattern) and is_matchable(pattern)


# --- references -------------------------------------------------------------------------------


def _schemas(schema: Json) -> Iterator[dict[str, Json]]:
    """A schema and all schemas inside it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key in _SCHEMA:
        yield from _schemas(schema.get(key))
    for key in _LISTS:
        for item in schema.get(key) or []:
            yield from _schemas(item)
    for key in _MAPS:
        for item in (schema.get(key) or {}).values():
            yield from _schemas(item)


def _count_ways(root: dict[str, Json], node: Json, ways: dict[int, int]) -> int:
    """How many schemas one value is checked against, with all references followed.

    Rejects references that lead back without descending into the value, which would never end, and
    references that double at every step, which would take exponential time.
    """
    if not isinstance(node, dict):
        return 1
    if id(node) in ways:
        if not ways[id(node)]:
            raise Rejected("cycle", "a schema that refers to itself without end")
        return ways[id(node)]
    ways[id(node)] = 0  # being counted: meeting it again is a cycle
    count = 1
    if "$ref" in node:
        count += _count_ways(root, target(root, node["$ref"]), ways)
    for key in _IN_PLACE:
        below = node.get(key)
        for item in below if isinstance(below, list) else [below]:
            count += _count_ways(root, item, ways)
    if count > MOST_WAYS:
        raise Rejected("size", f"a value would be checked against over {MOST_WAYS} schemas")
    ways[id(node)] = count
    return count
