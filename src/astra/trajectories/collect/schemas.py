"""From what sources call a schema to JSON Schema (2020-12) that a validator can use safely.

Older drafts, OpenAPI 3.0 and Python-like type names are put into today's words. References stay
inside the schema: one that leads elsewhere is refused, never fetched. Patterns that Python can't
read, or that can take for ever, go from the schema into the description.

What this does not guarantee: that a schema says what its service accepts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from astra.core.json_schema import UnusableSchema, fits
from astra.core.patterns import is_matchable
from astra.core.references import resolve
from astra.errors import Rejected
from astra.types import Json, canonical_json, depth

CHARACTERS = 100_000
"""Longest schema, as canonical JSON."""
DEEPEST = 60
"""Objects and lists inside each other."""
MOST_WAYS = 10_000
"""Schemas that one value is checked against, through references and alternatives."""

_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_OTHER_TYPES = {
    other: kind
    for kind, others in (
        ("string", "str text date datetime file"),
        ("integer", "int long"),
        ("number", "float double"),
        ("boolean", "bool"),
        ("object", "dict map hashmap"),
        ("array", "list tuple set"),
        ("null", "none"),
    )
    for other in others.split()
}
_ANYTHING = ("any", "unknown", "mixed")
_DROPPED = ("$schema", "$id", "id", "$anchor", "$comment", "$vocabulary", "$dynamicAnchor", "xml")
_DROPPED_TOO = ("discriminator", "externalDocs", "readOnly", "writeOnly", "deprecated", "nullable")
_SCHEMAS = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then")
_SCHEMA = (*_SCHEMAS, "else", "unevaluatedProperties", "unevaluatedItems")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
# We match in linear time; who trains on an exported document may not. A repeated group with a
# repetition in it is the usual way to exponential time in a backtracking engine.
_SLOW = re.compile(r"\((?:[^()\\]|\\.)*[+*{](?:[^()\\]|\\.)*\)\s*[+*{]")
_LONGEST_PATTERN = 300


class ConvertedSchema(NamedTuple):
    """A schema that can be used, and what was changed in it that matters."""

    schema: dict[str, Json]
    notes: list[str]


def parameters(schema: Json) -> ConvertedSchema:
    """A schema of arguments: `type: object`, valid, self-contained. Rejected says why not."""
    if schema is None or schema is True or schema == {}:
        return ConvertedSchema({"type": "object", "properties": {}}, [])
    converted = any_schema(schema)
    made = converted.schema
    kinds = made.get("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        raise Rejected("schema", f"arguments must be an object, and these are {kinds!r}")
    ordered: dict[str, Json] = {"type": "object", "properties": made.get("properties", {})}
    whole = {**ordered, **{k: v for k, v in made.items() if k not in ordered}}
    missing = [name for name in whole.get("required", []) if name not in whole["properties"]]
    if missing and not any(key in whole for key in (*_IN_PLACE, "$ref")):
        raise Rejected("schema", f"requires {missing[0]!r}, which is none of its properties")
    return ConvertedSchema(whole, converted.notes)


def any_schema(schema: Json) -> ConvertedSchema:
    """A schema of any type, e.g. of a result; Rejected says why it is none."""
    if not isinstance(schema, dict):
        raise Rejected("schema", f"a schema is an object, not {schema!r:.60}")
    _check_size(schema)
    notes: list[str] = []
    made = _converted(schema, notes)
    _check_references(made)
    try:
        fits({}, made)  # some faults show only when a value is checked
    except UnusableSchema as error:
        raise Rejected("schema", f"not a JSON Schema: {error!s:.200}") from error
    return ConvertedSchema(made, notes)


def accepts(schema: Mapping[str, Json], value: Json) -> bool:
    """Whether a converted schema allows a value."""
    return fits(value, schema)


def _check_size(schema: Json) -> None:
    if (size := characters(schema)) > CHARACTERS:
        raise Rejected("size", f"a schema of {size} characters; the most is {CHARACTERS}")


def characters(value: Json) -> int:
    """Of a value as JSON; Rejected for one that is nested too deep, or no JSON (NaN, Infinity)."""
    if depth(value, DEEPEST) > DEEPEST:
        raise Rejected("size", f"a schema nested more than {DEEPEST} deep")
    try:
        return len(canonical_json(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise Rejected("schema", f"no JSON: {error!s:.200}") from error


# --- converting -------------------------------------------------------------------------------


def _converted(schema: Json, notes: list[str]) -> Json:
    """One schema in today's words."""
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise Rejected("schema", f"a schema is an object, not {schema!r:.60}")
    made = {k: v for k, v in schema.items() if k not in _DROPPED and not k.startswith("x-")}
    _types(made, schema.get("nullable") is True)
    _limits(made)
    _pattern(made, notes)
    if isinstance(made.get("items"), list):
        made["prefixItems"] = made.pop("items")
    if "example" in made:
        example = made.pop("example")
        made.setdefault("examples", [example])
    if not isinstance(made.get("examples", []), list):
        made.pop("examples")
    if isinstance(made.get("required"), bool):
        made.pop("required")  # of draft 3; `_properties` of the schema around it reads it
    for name in _DROPPED_TOO:
        made.pop(name, None)
    _below(made, lambda below: _converted(below, notes))
    if isinstance(schema.get("properties"), dict):
        _required(made, schema["properties"])
    return made


def _below(made: dict[str, Json], change: Callable[[Json], Json]) -> None:
    """Apply a change to every schema inside a schema."""
    for key in _SCHEMA:
        if key in made:
            made[key] = change(made[key])
    for key in _LISTS:
        if key in made:
            if not isinstance(made[key], list):
                raise Rejected("schema", f"{key} is no list")
            made[key] = [change(item) for item in made[key]]
    for key in _MAPS:
        if key in made:
            if not isinstance(made[key], dict):
                raise Rejected("schema", f"{key} is no object")
            made[key] = {name: change(item) for name, item in made[key].items()}


def _types(made: dict[str, Json], nullable: bool) -> None:
    kind = made.get("type")
    if kind is None:
        if "properties" in made:
            made["type"] = "object"
    else:
        kinds = [_type(k) for k in (kind if isinstance(kind, list) else [kind])]
        known = [k for k in dict.fromkeys(kinds) if k is not None]
        made.pop("type")
        if len(known) == len(set(kinds)) and known:
            made["type"] = known[0] if len(known) == 1 else known
    if nullable and isinstance(made.get("type"), str) and made["type"] != "null":
        made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list) and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]


def _type(kind: Json) -> str | None:
    """A type of JSON Schema; None: anything."""
    word = kind.strip().casefold() if isinstance(kind, str) else ""
    word = word.partition("[")[0]
    if word in _TYPES:
        return word
    if word in _ANYTHING:
        return None
    if word in _OTHER_TYPES:
        return _OTHER_TYPES[word]
    raise Rejected("schema", f"{kind!r:.60} is no type of JSON Schema")


def _limits(made: dict[str, Json]) -> None:
    """`exclusiveMinimum: true` of draft 4 and OpenAPI 3.0."""
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and limit in made:
            made[exclusive] = made.pop(limit)


def _pattern(made: dict[str, Json], notes: list[str]) -> None:
    pattern = made.get("pattern")
    if isinstance(pattern, str) and not _is_safe(pattern):
        made.pop("pattern")
        said = made.get("description") or ""
        made["description"] = f"{said} (as the pattern {pattern[:200]})".strip()
        notes.append(f"the pattern {pattern[:80]!r} is told in words: it can't be checked safely")
    if isinstance(made.get("patternProperties"), dict):
        unsafe = [key for key in made["patternProperties"] if not _is_safe(key)]
        if unsafe:
            raise Rejected("schema", f"patternProperties {unsafe[0]!r:.80} can't be checked safely")


def _is_safe(pattern: str) -> bool:
    short = len(pattern) <= _LONGEST_PATTERN
    return short and not _SLOW.search(pattern) and is_matchable(pattern)


def _required(made: dict[str, Json], before: Mapping[str, Json]) -> None:
    """Names that are required by the list, or one by one as in draft 3; each once."""
    listed = made.get("required", [])
    if not isinstance(listed, list):
        raise Rejected("schema", f"required is {listed!r:.60}, no list of names")
    marked = [n for n, p in before.items() if isinstance(p, dict) and p.get("required") is True]
    names = list(dict.fromkeys(n for n in (*listed, *marked) if isinstance(n, str)))
    made.pop("required", None)
    if names:
        made["required"] = names


# --- references -------------------------------------------------------------------------------


def _check_references(schema: dict[str, Json]) -> None:
    """Every `$ref` leads to a schema inside, and none to itself without end."""
    for node in _schemas(schema):
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            if key in node:
                target(schema, node[key])
    ways: dict[int, int] = {}
    for node in _schemas(schema):
        _count_ways(schema, node, ways)


def target(schema: Mapping[str, Json], reference: Json) -> Json:
    """What a local reference leads to; Rejected for every other one."""
    try:
        return resolve(schema, reference)
    except ValueError as error:
        raise Rejected("ref", str(error)) from error


def _schemas(schema: Json) -> Iterator[dict[str, Json]]:
    """A schema and those inside it."""
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
    """How many schemas one value is checked against, all references followed; 0 while counting.

    References that lead back without going down into the value would never end, and ones that
    double at every step would take as long.
    """
    if not isinstance(node, dict):
        return 1
    if id(node) in ways:
        if not ways[id(node)]:
            raise Rejected("cycle", "a schema that refers to itself without end")
        return ways[id(node)]
    ways[id(node)] = 0
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
