"""The references of an OpenAPI document: followed inside it, written out, cycles cut.

Parts are written out where they are used, so that each tool's schema stands alone. A part that
stands inside itself is cut there, with a note; parts joined by `allOf` are merged where that says
the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from astra.errors import Rejected
from astra.trajectories.collect.schemas import target
from astra.types import Json

PARTS = 20_000
"""Values that one tool's schema may consist of, references written out."""

_MERGED = ("type", "properties", "required", "description", "title", "additionalProperties")


@dataclass(slots=True)
class SchemaExpander:
    """Writes schemas of one tool out; notes what it cut."""

    document: Mapping[str, Json]
    direction: Literal["request", "response"] = "request"
    """What is read-only has no place in a request, nor what is write-only in a response."""
    notes: list[str] = field(default_factory=list[str])
    _parts: int = 0

    def resolve(self, value: Json) -> Json:
        """What a value stands for: itself, or what its chain of references leads to."""
        seen: list[str] = []
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            if value["$ref"] in seen:
                raise Rejected("cycle", f"$ref {seen[0][:200]!r} leads to itself")
            seen.append(value["$ref"])
            value = target(self.document, value["$ref"])
        return value

    def schema(self, schema: Json) -> Json:
        """A schema written out. Rejected for remote references and too large ones."""
        return self._written(schema, ())

    def _written(self, node: Json, path: tuple[str, ...]) -> Json:
        self._parts += 1
        if self._parts > PARTS:
            raise Rejected("size", f"a schema of over {PARTS} parts, references written out")
        if isinstance(node, list):
            return [self._written(item, path) for item in node]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            return self._followed(node, path)
        made = {
            name: self._properties(child, path)
            if name == "properties"
            else child
            if name in ("example", "examples", "default", "enum", "const")
            else self._written(child, path)
            for name, child in node.items()
        }
        if isinstance(node.get("properties"), dict) and isinstance(made.get("required"), list):
            hidden = set(node["properties"]) - set(made["properties"])
            made["required"] = [name for name in made["required"] if name not in hidden]
        return merged(made)

    def _followed(self, node: dict[str, Json], path: tuple[str, ...]) -> Json:
        reference = node["$ref"]
        found = target(self.document, reference)
        if reference in path:
            name = reference.rpartition("/")[2]
            self.notes.append(f"{name!r} stands inside itself: cut where it comes again")
            kind = found.get("type", "object") if isinstance(found, dict) else "object"
            return {
                "type": kind,
                "description": f"Again of the kind {name}; not described further.",
            }
        written = self._written(found, (*path, reference))
        beside = {k: v for k, v in node.items() if k in ("description", "title", "default")}
        return {**written, **beside} if isinstance(written, dict) else written

    def _properties(self, properties: Json, path: tuple[str, ...]) -> Json:
        """Properties by name, those of the other direction left out."""
        if not isinstance(properties, dict):
            return properties
        hidden = "readOnly" if self.direction == "request" else "writeOnly"
        return {
            name: self._written(child, path)
            for name, child in properties.items()
            if not (isinstance(found := self.resolve(child), dict) and found.get(hidden) is True)
        }


def merged(schema: dict[str, Json]) -> dict[str, Json]:
    """A schema with its `allOf` merged into it, where all parts are plain objects; else itself."""
    parts = schema.get("allOf")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return schema
    beside = {k: v for k, v in schema.items() if k != "allOf"}
    if len(parts) == 1 and not set(parts[0]) & (set(beside) - {"description", "title"}):
        return {**parts[0], **beside}
    whole = [*parts, beside]
    if not all(map(_is_plain_object, whole)):
        return schema
    made: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    for part in whole:
        for name, child in part.get("properties", {}).items():
            known = made["properties"].get(name)
            both = child if known in (None, child) else {"allOf": [known, child]}
            made["properties"][name] = both
        made["required"] += [n for n in part.get("required", []) if n not in made["required"]]
        made |= {k: part[k] for k in ("description", "title") if k in part}
        if part.get("additionalProperties") is False:
            made["additionalProperties"] = False
    if not made["required"]:
        del made["required"]
    return made


def _is_plain_object(part: Mapping[str, Json]) -> bool:
    kinds = part.get("type", "object")
    return (
        kinds == "object"
        and all(k in _MERGED or k in ("example", "nullable") or k.startswith("x-") for k in part)
        and isinstance(part.get("properties", {}), dict)
        and isinstance(part.get("required", []), list)
        and isinstance(part.get("additionalProperties", True), bool)
        and part.get("nullable") is not True
    )
