"""Schemas of results: shortened where they are too large, left out where they can't be used.

A result's schema helps to plan and to emulate; a tool can be called without it. So it never costs
its tool.
"""

from __future__ import annotations

from typing import NamedTuple

from astra.errors import Rejected
from astra.trajectories.collect.schemas import any_schema
from astra.types import Json


class _Cut(NamedTuple):
    levels: int
    """Nested schemas that are kept."""
    properties: int
    """Properties of each object."""
    described: bool
    what: str


_CUTS = (
    _Cut(40, 10_000, False, "without its descriptions"),
    _Cut(5, 200, False, "to five levels"),
    _Cut(3, 50, False, "to three levels of at most 50 fields"),
)
_NESTED = ("items", "additionalProperties", "not", "if", "then", "else", "contains")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_TEXTS = ("description", "title", "examples", "example", "$comment")


def result_schema(schema: Json, notes: list[str]) -> dict[str, Json] | None:
    """The schema of a result as it is kept, with notes on what was changed. None: there is none."""
    if schema in (None, {}, True):
        return None
    reason = ""
    for cut in (None, *_CUTS):
        try:
            converted = any_schema(schema if cut is None else _cut(schema, cut, cut.levels))
        except Rejected as rejected:
            # Only what is too large becomes usable by cutting.
            reason = reason or rejected.reason
            if rejected.check not in ("size", "ref") or (cut is None and rejected.check != "size"):
                break
            continue
        if cut is not None:
            notes.append(f"the schema of its result is shortened {cut.what}: it was {reason}")
        notes += converted.notes
        return converted.schema
    notes.append(f"the schema of its result is left out: {reason}")
    return None


def _cut(schema: Json, cut: _Cut, levels: int) -> Json:
    if not isinstance(schema, dict):
        return schema
    new: dict[str, Json] = {}
    for name, child in schema.items():
        if name in _TEXTS:
            if cut.described:
                new[name] = child
        elif name in ("properties", "$defs", "definitions") and isinstance(child, dict):
            kept = list(child.items())[: cut.properties]
            if levels > 0:
                new[name] = {key: _cut(value, cut, levels - 1) for key, value in kept}
        elif name in _NESTED:
            if levels > 0:
                new[name] = _cut(child, cut, levels - 1)
        elif name in _LISTED and isinstance(child, list):
            if levels > 0:
                new[name] = [_cut(value, cut, levels - 1) for value in child]
        elif name == "required" and isinstance(child, list):
            shown = schema.get("properties")
            names = list(shown)[: cut.properties] if isinstance(shown, dict) and levels > 0 else []
            if kept_names := [each for each in child if each in names]:
                new[name] = kept_names
        elif name in ("enum", "default", "const", "pattern", "dependentSchemas"):
            if len(str(child)) < 1000:
                new[name] = child
        else:
            new[name] = child
    return new
