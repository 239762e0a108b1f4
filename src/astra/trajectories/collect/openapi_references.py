"""Expands the references of an OpenAPI document, so that each tool's schema is self-contained.

A part inside itself is cut where it recurs, with a note. Parts joined by `allOf` are merged if the
merged schema means the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from astra.errors import Rejected
from astra.trajectories.collect.schemas import target
from astra.types import Json

PARTS = 20_000
"""Values of one tool's schema, with references expanded."""

_MERGEABLE = (
    *("type", "properties", "required", "description", "title", "additionalProperties"),
    *("example", "nullable"),
)


@dataclass(slots=True)
class SchemaExpander:
    """Expands the schemas of one tool; notes what it cut."""

    document: Mapping[str, Json]
    direction: Literal["request", "response"] = "request"
    """Read-only properties are left out of requests, write-only ones of responses."""
    notes: list[str] = field(default_factory=list[str])
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
            if reference in path:
                name = reference.rpartition("/")[2]
                self.notes.append(f"{name!r} occurs inside itself: cut where it recurs")
                kind = part.get("type", "object") if isinstance(part, dict) else "object"
                description = f"Again of the kind {name}; not described further."
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
    """The schema with its `allOf` merged into it, if all parts are plain objects; else itself."""
    parts = schema.get("allOf")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return schema
    own = {k: v for k, v in schema.items() if k != "allOf"}
    # A single part is a reference with a description: what OpenAPI 3.0 has instead of siblings.
    if len(parts) == 1 and not set(parts[0]) & (set(own) - {"description", "title"}):
        return {**parts[0], **own}
    whole = [*parts, own]
    if not all(
        part.get("type", "object") == "object"
        and all(key in _MERGEABLE or key.startswith("x-") for key in part)
        and isinstance(part.get("properties", {}), dict)
        and isinstance(part.get("required", []), list)
        and isinstance(part.get("additionalProperties", True), bool)
        and part.get("nullable") is not True
        for part in whole
    ):
        return schema
    new: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    for part in whole:
        for name, child in part.get("properties", {}).items():
            earlier = new["properties"].get(name)
            both = child if earlier in (None, child) else {"allOf": [earlier, child]}
            new["properties"][name] = both
        new["required"] += [n for n in part.get("required", []) if n not in new["required"]]
        new |= {key: part[key] for key in ("description", "title") if key in part}
        if part.get("additionalProperties") is False:
            new["additionalProperties"] = False
    if not new["required"]:
        del new["required"]
    return new
