"""Arguments of planned calls: where their parts belong in a schema, and how they are put together.

A key is a parameter, or a dotted path into one: `recipient.id`, `attendees.0`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from astra.core.text import as_number
from astra.trajectories.records import ArgumentSource, PlannedCall
from astra.trajectories.schemas import value_problem
from astra.trajectories.tasks.result_paths import follow
from astra.trajectories.tasks.tool_fields import (
    FieldKind,
    InputField,
    kind_of_schema,
    parameters_of,
    resolved_schema,
)
from astra.types import Json

_MAX_DEPTH = 6


class ArgumentPlace(NamedTuple):
    """Where an argument of a plan belongs."""

    parameter: str
    field: InputField
    """The parameter, or the part of it."""
    part: bool
    """Whether it is a part."""
    siblings: tuple[str, ...] = ()
    """Names that the object around the part requires."""


def find_place(schema: Mapping[str, Json], key: str) -> ArgumentPlace | None:
    """The place of a key in the schema of a tool's arguments. None: there is no such place."""
    parameters = {parameter.name: parameter for parameter in parameters_of(schema)}
    if key in parameters:
        return ArgumentPlace(key, parameters[key], part=False)
    # The longest parameter that the key begins with: names may hold dots.
    heads = [name for name in parameters if key.startswith(f"{name}.")]
    if not heads:
        free = InputField(key, "any", False, {})
        return ArgumentPlace(key, free, part=False) if schema.get("additionalProperties") else None
    head = max(heads, key=len)
    node, siblings = dict(parameters[head].schema), ()
    for part in key[len(head) + 1 :].split("."):
        if part.isdecimal() and kind_of_schema(node) == "array":
            node, siblings = resolved_schema(_schema(node.get("items")), schema), ()
            continue
        properties = _schema(node.get("properties"))
        if part not in properties and kind_of_schema(node) not in ("object", "any"):
            return None
        if part not in properties and (properties and not node.get("additionalProperties")):
            return None
        required = node.get("required")
        siblings = tuple(map(str, required)) if isinstance(required, list) else ()
        node = resolved_schema(_schema(properties.get(part)), schema)
    field = InputField(key.rpartition(".")[2], kind_of_schema(node), True, node)
    return ArgumentPlace(head, field, part=True, siblings=siblings)


def item_kind(parameter: InputField) -> FieldKind:
    """The kind of a list's items."""
    return kind_of_schema(_schema(parameter.schema.get("items")))


def fitted(value: Json, parameter: InputField) -> Json:
    """A planned value in the form that the schema wants, where the form alone is wrong.

    Teachers write "5" for 5, a text for a list of one, and JSON in a text. Other values stay as
    they are.
    """
    if not value_problem(value, parameter.schema):
        return value
    for other in _other_forms(value, parameter):
        if not value_problem(other, parameter.schema):
            return other
    return value


def _other_forms(value: Json, parameter: InputField) -> Iterator[Json]:
    if isinstance(value, str):
        number = as_number(value)
        if number is not None and str(number) == value.strip():
            yield number
        if value[:1] in "{[":
            with suppress(ValueError, RecursionError):
                yield json.loads(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield json.dumps(value)
    if parameter.kind == "array" and not isinstance(value, list):
        yield [value]
    if parameter.kind != "array" and isinstance(value, list) and len(value) == 1:
        yield value[0]


def values_with_schemas(
    value: Json, schema: Mapping[str, Json], depth: int = _MAX_DEPTH
) -> Iterator[tuple[Json, Mapping[str, Json]]]:
    """The scalars of a value, each with what the schema says of it."""
    # A choice or default of the whole offers each of its parts.
    if isinstance(value, dict | list) and "default" in schema and schema["default"] == value:
        return
    if isinstance(value, dict):
        properties = _schema(schema.get("properties"))
        for name, inner in value.items():
            yield from values_with_schemas(inner, _schema(properties.get(name)), depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from values_with_schemas(inner, _schema(schema.get("items")), depth - 1)
    else:
        yield value, schema


def assembled(values: Mapping[str, Json], sources: Mapping[str, ArgumentSource]) -> dict[str, Json]:
    """The arguments of a call from the values of all keys, parts put into their parameters."""
    whole: dict[str, Any] = {}
    for key, value in values.items():
        parameter = sources[key].part_of
        if parameter is None:
            whole[key] = value
            continue
        node = whole.setdefault(parameter, {})
        *path, last = key[len(parameter) + 1 :].split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    parts = {source.part_of for source in sources.values()}
    return {name: _with_lists(value) if name in parts else value for name, value in whole.items()}


def _with_lists(node: Json) -> Json:
    """Objects whose keys are 0, 1, … as lists."""
    if not isinstance(node, dict):
        return node
    inner = {key: _with_lists(value) for key, value in node.items()}
    if inner and sorted(inner) == sorted(map(str, range(len(inner)))):
        return [inner[str(index)] for index in range(len(inner))]
    return inner


def _schema(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def resolved(call: PlannedCall, results: Mapping[str, Json]) -> dict[str, Json]:
    """The arguments of a planned call; NoSuchField when a result lacks what it needs."""

    def value(source: ArgumentSource) -> Json:
        return source.value if source.call is None else follow(results[source.call], source.field)

    values = {name: value(source) for name, source in call.arguments.items()}
    return assembled(values, call.arguments)
