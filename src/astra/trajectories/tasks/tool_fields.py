"""What a tool takes and what its result is known to have, from its schemas and from results seen.

A field is known when the output schema documents it, when a result was seen to have it, or,
weakest, when the tool's description says that it returns it by name. Schemas are untrusted: they
are read to a bounded depth, references outside of them are not followed, and nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from astra.core.references import resolve
from astra.trajectories.records import CollectedTool
from astra.trajectories.tasks.result_paths import DEEPEST, leaves
from astra.types import Json

MOST_FIELDS = 200
"""Fields of one result that are looked at."""

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
    """Something that stands in a tool's result."""

    path: str
    """Dotted; of a list, the first item."""
    kind: FieldKind
    description: str = ""


@dataclass(frozen=True, slots=True)
class InputField:
    """Something that a tool takes."""

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
    needed = (
        [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    )
    names = dict.fromkeys([*known, *needed])
    return tuple(_parameter(name, known.get(name, {}), name in needed, schema) for name in names)


def _parameter(name: str, value: Json, required: bool, root: Mapping[str, Json]) -> InputField:
    schema = resolved_schema(value if isinstance(value, Mapping) else {}, root)
    return InputField(str(name), kind_of_schema(schema), required, schema)


def fields_of(tool: CollectedTool, observed: Sequence[Json] = ()) -> tuple[ResultField, ...]:
    """The fields that are documented by schema or were seen in results, each path once."""
    found: dict[str, ResultField] = {}
    schema = tool.output_schema
    if schema is not None:
        for field in _documented(schema, "", schema, DEEPEST):
            found.setdefault(field.path, field)
            if len(found) >= MOST_FIELDS:
                break
    for result in observed:
        for path, value in leaves(result):
            if len(found) < MOST_FIELDS:
                found.setdefault(path, ResultField(path, kind_of_value(value)))
    return tuple(found.values())


def find_field(tool: CollectedTool, path: str, observed: Sequence[Json] = ()) -> ResultField | None:
    """The field of a path; None when nothing says that the result has it."""
    wanted = _general(path)
    for field in fields_of(tool, observed):
        if _general(field.path) == wanted:
            return field
    told = " ".join(match[0] for match in _RETURNS.finditer(tool.document.description)).lower()
    last = words_of(path)[-1:] if tool.output_schema is None else []
    if last and re.search(rf"(?<![a-z]){re.escape(last[0])}s?(?![a-z])", told):
        return ResultField(path, "any")
    return None


def _general(path: str) -> str:
    """The path with every position in a list as the first."""
    return ".".join("0" if part.isdecimal() else part for part in path.split("."))


def words_of(name: str) -> list[str]:
    """The words of a name or a path, lower case, plurals cut: `eventIds` is event, id."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W\d_]+", spaced.lower())
    return [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in words]


# --- schemas -----------------------------------------------------------------------------------


def resolved_schema(
    schema: Mapping[str, Json], root: Mapping[str, Json], depth: int = DEEPEST
) -> dict[str, Json]:
    """The schema with its own local `$ref` followed and its `allOf` merged in."""
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
        if isinstance(part, Mapping):
            merged = _joined(resolved_schema(part, root, depth - 1), merged)
    return merged


def _joined(low: dict[str, Json], high: dict[str, Json]) -> dict[str, Json]:
    """Two schemas that both hold; what `high` says goes first."""
    joined = {**low, **high}
    for key in ("properties", "$defs"):
        if isinstance(low.get(key), dict) and isinstance(high.get(key), dict):
            joined[key] = {**low[key], **high[key]}
    if isinstance(low.get("required"), list) and isinstance(high.get("required"), list):
        joined["required"] = list(dict.fromkeys([*low["required"], *high["required"]]))
    return joined


def kind_of_schema(schema: Mapping[str, Json]) -> FieldKind:
    """The kind of value that a schema asks for; `any` where it allows several."""
    kinds = schema.get("type")
    named = kinds if isinstance(kinds, list) else [kinds]
    found: set[FieldKind] = {KINDS.get(str(kind), "any") for kind in named if kind != "null"}
    if len(found) == 1 and found != {"any"}:
        return found.pop()
    values = schema.get("enum")
    if kinds is None and isinstance(values, list) and values:
        seen: set[FieldKind] = {kind_of_value(value) for value in values}
        return seen.pop() if len(seen) == 1 else "any"
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
