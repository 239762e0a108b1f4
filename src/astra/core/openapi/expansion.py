"""Expands the references of an OpenAPI document, so that each tool's schema is self-contained.

A part inside itself is cut where it recurs, with a note. Parts joined by `allOf` are merged if the
merged schema means the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from astra.core.references import target
from astra.errors import Rejected
from astra.types import Json

PARTS = 20_000
"""Values of one tool's schema, with references expanded."""

_WORDS = ("description", "title", "example", "examples")
"""Keywords of which the later one is kept."""


@dataclass(slots=True)
class SchemaExpander:
    """Expands the schemas of one tool; notes what it cut."""

    document: Mapping[str, Json]
    direction: Literal["request", "response"] = "request"
    """Read-only properties are left out of requests, write-only ones of responses."""
    notes: list[str] = field(default_factory=list[str])
    most_references: int | None = None
    """References inside one another that are followed. None: all."""
    _parts: int = 0

    def resolve(self, value: Json) -> Json:
        """The value, or what its chain of references leads to."""
        seen: list[str] = []
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            if value["$ref"] in seen:
                raise Rejected("cycle", f"$ref {seen[0][:200]!r} leads to itself")
            seen.append(value["$ref"])
            value = target(self.document, value["$ref"])
        return value

    def schema(self, schema: Json) -> Json:
        """The expanded schema. Raises Rejected for remote references, and if it is too large."""
        return self._expanded(schema, ())

    def _expanded(self, node: Json, path: tuple[str, ...]) -> Json:
        self._parts += 1
        if self._parts > PARTS:
            raise Rejected("size", f"a schema of over {PARTS} parts, with references expanded")
        if isinstance(node, list):
            return [self._expanded(item, path) for item in node]
        if not isinstance(node, dict):
            return node
        if isinstance(reference := node.get("$ref"), str):
            part = target(self.document, reference)
            if reference in path or len(path) == self.most_references:
                name = reference.rpartition("/")[2]
                description = f"Of the kind {name}; not described further."
                if reference in path:
                    self.notes.append(f"{name!r} occurs inside itself: cut where it recurs")
                    description = f"Again of the kind {name}; not described further."
                kind = part.get("type", "object") if isinstance(part, dict) else "object"
                return {"type": kind, "description": description}
            expanded = self._expanded(part, (*path, reference))
            own = {k: v for k, v in node.items() if k in ("description", "title", "default")}
            return {**expanded, **own} if isinstance(expanded, dict) else expanded
        new: dict[str, Json] = {}
        for name, child in node.items():
            if name == "properties" and isinstance(child, dict):
                new[name] = self._properties(child, path)
            elif name in ("example", "examples", "default", "enum", "const"):
                new[name] = child  # data, in which `$ref` would be a plain key
            else:
                new[name] = self._expanded(child, path)
        if isinstance(node.get("properties"), dict) and isinstance(new.get("required"), list):
            hidden = set(node["properties"]) - set(new["properties"])
            new["required"] = [name for name in new["required"] if name not in hidden]
        return merged(new)

    def _properties(self, properties: dict[str, Json], path: tuple[str, ...]) -> dict[str, Json]:
        """The properties without those of the other direction."""
        hidden = "readOnly" if self.direction == "request" else "writeOnly"
        visible: dict[str, Json] = {}
        for name, child in properties.items():
            whole = self.resolve(child)
            if not (isinstance(whole, dict) and whole.get(hidden) is True):
                visible[name] = self._expanded(child, path)
        return visible


def merged(schema: dict[str, Json]) -> dict[str, Json]:
    """The schema with its `allOf` merged into it, where the merged schema says the same."""
    parts = schema.get("allOf")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return schema
    own = {k: v for k, v in schema.items() if k != "allOf"}
    # A single part is a reference with a description: what OpenAPI 3.0 has instead of siblings.
    if len(parts) == 1 and not set(parts[0]) & (set(own) - {"description", "title"}):
        return {**parts[0], **own}
    whole: dict[str, Json] | None = {}
    for part in (*parts, own):
        whole = both(whole, part)
        if whole is None:
            return schema
    if isinstance(whole.get("properties"), dict):
        whole = {"type": "object", **whole}
    return whole


def both(first: Mapping[str, Json], second: Mapping[str, Json]) -> dict[str, Json] | None:
    """What fits both schemas, as one. None: it can't be written without `allOf`."""
    if not first or not second:
        return dict(first or second)
    kinds = {part["type"] for part in (first, second) if isinstance(part.get("type"), str)}
    if any(not isinstance(part.get("type", ""), str) for part in (first, second)):
        if first.get("type") != second.get("type"):
            return None
    elif len(kinds) > 1:
        return None
    new: dict[str, Any] = dict(first)
    for key, value in second.items():
        earlier = first.get(key)
        if key not in first or earlier == value or key in _WORDS or key.startswith("x-"):
            new[key] = value
        elif key == "properties" and isinstance(earlier, dict) and isinstance(value, dict):
            new[key] = dict(earlier)
            for name, child in value.items():
                new[key][name] = _joined(earlier[name], child) if name in earlier else child
        elif key == "items":
            new[key] = _joined(earlier, value)
        elif key == "required" and isinstance(earlier, list) and isinstance(value, list):
            new[key] = [*earlier, *(name for name in value if name not in earlier)]
        elif key == "additionalProperties" and False in (earlier, value):
            # To the letter, this in one part forbids the fields of the others. Whoever writes it
            # means the whole, so it holds for the fields of all.
            new[key] = False
        else:
            return None
    if not (first.get("nullable") and second.get("nullable")):
        new.pop("nullable", None)  # null has to fit both
    return new


def _joined(first: Json, second: Json) -> Json:
    dicts = isinstance(first, dict) and isinstance(second, dict)
    if dicts and (joined := both(first, second)) is not None:
        return joined
    return first if first == second else {"allOf": [first, second]}
