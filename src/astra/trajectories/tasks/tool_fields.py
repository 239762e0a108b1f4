"""The parameters of a tool, and the fields that its result is known to have.

A field is known if the output schema documents it, if an observed result has it, or, weakest, if
the tool's description says that it returns something of that name. Schemas are untrusted: they are
read to a bounded depth, and no reference leads out of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from astra.core.references import resolve
from astra.trajectories.records import CollectedTool
from astra.trajectories.tasks.result_paths import MAX_DEPTH, leaves
from astra.types import Json

MOST_FIELDS = 200
"""Fields of one result that are read."""

FieldKind = Literal["string", "number", "boolean", "array", "object", "any"]
KINDS: Mapping[str, FieldKind] = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
}
"""Types of JSON Schema, and kinds themselves."""
_RETURNS = re.compile(
    r"[^.。\n]*(?:\breturn(?:s|ing|ed)?\b|\bgives?\b|返回)[^.。\n]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ResultField:
    """A field of a tool's result."""

    path: str
    """Dotted; a list is represented by its first item."""
    kind: FieldKind
    description: str = ""


@dataclass(frozen=True, slots=True)
class InputField:
    """A parameter of a tool."""

    name: str
    kind: FieldKind
    required: bool
    schema: Mapping[str, Json]

    @property
    def description(self) -> str:
        return str(self.schema.get("description", ""))


def parameters_of(schema: Mapping[str, Json]) -> tuple[InputField, ...]:
    """The parameters of a tool, in the order of its document."""
    whole = resolved_schema(schema, schema)
    properties = whole.get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    required = whole.get("required")
    needed = [n for n in required if isinstance(n, str)] if isinstance(required, list) else []
    fields: list[InputField] = []
    for name in dict.fromkeys([*known, *needed]):
        value = known.get(name, {})
        own = resolved_schema(value if isinstance(value, Mapping) else {}, schema)
        fields.append(InputField(str(name), kind_of_schema(own), name in needed, own))
    return tuple(fields)


def fields_of(tool: CollectedTool, observed: Sequence[Json] = ()) -> tuple[ResultField, ...]:
    """The fields that the output schema documents or observed results have, each path once."""
    fields: dict[str, ResultField] = {}
    schema = tool.output_schema
    if schema is not None:
        for field in _documented(schema, "", schema, MAX_DEPTH):
            fields.setdefault(field.path, field)
            if len(fields) >= MOST_FIELDS:
                break
    for result in observed:
        for path, value in leaves(result):
            if len(fields) < MOST_FIELDS:
                fields.setdefault(path, ResultField(path, kind_of_value(value)))
    return tuple(fields.values())


def find_field(tool: CollectedTool, path: str, observed: Sequence[Json] = ()) -> ResultField | None:
    """The field of a path. None: nothing says that the result has it."""
    wanted = _general(path)
    for field in fields_of(tool, observed):
        if _general(field.path) == wanted:
            return field
    returned = " ".join(match[0] for match in _RETURNS.finditer(tool.document.description)).lower()
    last = words_of(path)[-1:] if tool.output_schema is None else []
    if last and re.search(rf"(?<![a-z]){re.escape(last[0])}s?(?![a-z])", returned):
        return ResultField(path, "any")
    return None


def _general(path: str) -> str:
    """The path with every list position replaced by the first."""
    return ".".join("0" if part.isdecimal() else part for part in path.split("."))


def words_of(name: str) -> list[str]:
    """The words of a name or a path, in lower case and singular: `eventIds` is event, id."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W\d_]+", spaced.lower())
    return [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in words]


# --- schemas -----------------------------------------------------------------------------------


def resolved_schema(
    schema: Mapping[str, Json], root: Mapping[str, Json], depth: int = MAX_DEPTH
) -> dict[str, Json]:
    """The schema with its local `$ref` followed and its `allOf` merged in; its own keys win."""
    merged = dict(schema)
    reference = merged.pop("$ref", None)
    parts = merged.pop("allOf", None)
    if depth <= 0:
        return merged
    inner: list[Any] = list(parts) if isinstance(parts, list) else []
    if reference is not None:
        with suppress(ValueError):
            inner.insert(0, resolve(root, reference))
    for part in inner:
        if not isinstance(part, Mapping):
            continue
        low, high = resolved_schema(part, root, depth - 1), merged
        merged = {**low, **high}
        for key in ("properties", "$defs"):
            if isinstance(low.get(key), dict) and isinstance(high.get(key), dict):
                merged[key] = {**low[key], **high[key]}
        if isinstance(low.get("required"), list) and isinstance(high.get("required"), list):
            merged["required"] = list(dict.fromkeys([*low["required"], *high["required"]]))
    return merged


def kind_of_schema(schema: Mapping[str, Json]) -> FieldKind:
    """The kind of value that a schema allows; `any` if it allows several."""
    kinds = schema.get("type")
    named = kinds if isinstance(kinds, list) else [kinds]
    allowed: set[FieldKind] = {KINDS.get(str(kind), "any") for kind in named if kind != "null"}
    if len(allowed) == 1 and allowed != {"any"}:
        return allowed.pop()
    values = schema.get("enum")
    if kinds is None and isinstance(values, list) and values:
        listed: set[FieldKind] = {kind_of_value(value) for value in values}
        return listed.pop() if len(listed) == 1 else "any"
    return "object" if kinds is None and "properties" in schema else "any"


def kind_of_value(value: Json) -> FieldKind:
    """The kind of a value."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "any"


def _documented(
    value: Json, path: str, root: Mapping[str, Json], depth: int
) -> Iterator[ResultField]:
    if not isinstance(value, Mapping) or depth < 0:
        return
    schema = resolved_schema(value, root)
    kind = kind_of_schema(schema)
    if path:
        yield ResultField(path, kind, str(schema.get("description", "")))
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        yield from _documented(inner, f"{path}.{name}" if path else str(name), root, depth - 1)
    if "items" in schema:
        yield from _documented(schema["items"], f"{path}.0" if path else "0", root, depth - 1)
    for union in ("anyOf", "oneOf"):
        options = schema.get(union)
        for option in options if isinstance(options, list) else ():
            yield from (f for f in _documented(option, path, root, depth - 1) if f.path != path)
