"""What a document says of one operation: schemas of arguments and results, errors, statuses."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import replace

from astra.arenas.openapi.fields import plain_schema, snake_case
from astra.arenas.openapi.service import Endpoint, Resource
from astra.core.openapi.expansion import SchemaExpander
from astra.core.openapi.operations import ApiOperation, media
from astra.errors import Rejected
from astra.types import Json

_SCHEMA_KEYS = (
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "items",
)


def python_arguments(endpoint: Endpoint) -> Endpoint:
    """The operation with arguments that Python functions can have, required ones first."""
    names: dict[str, str] = {}
    for name in sorted(endpoint.parameters, key=lambda name: name not in endpoint.required):
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "argument"
        plain = f"{plain}_" if keyword.iskeyword(plain) or plain[0].isdigit() else plain
        while plain in names.values():
            plain += "_"
        names[name] = plain
    paging = endpoint.paging
    if paging is not None:
        size = names.get(paging.size, "")
        paging = replace(paging, position=names[paging.position], size=size)
    return replace(
        endpoint,
        parameters={plain: endpoint.parameters[name] for name, plain in names.items()},
        required=frozenset(names[name] for name in endpoint.required),
        keys={names[name]: column for name, column in endpoint.keys.items()},
        filters={
            column: replace(each, parameter=names[each.parameter])
            for column, each in endpoint.filters.items()
        },
        search=names.get(endpoint.search, ""),
        paging=paging,
        body={column: names[name] for column, name in endpoint.body.items()},
    )


def check_kind(operation: ApiOperation) -> None:
    """Raises Rejected for operations whose outcome no state shows."""
    codes = [code for code in operation.responses if code.startswith("2")]
    if codes == ["202"]:
        raise Rejected("job", "it only starts a job (202)")
    if operation.method == "head":
        raise Rejected("method", "HEAD returns nothing")
    body = operation.values.get("requestBody")
    content = body.get("content") if isinstance(body, dict) else None
    for kind in content if isinstance(content, dict) else ():
        if kind.startswith(("application/octet-stream", "image/", "audio/", "video/")):
            raise Rejected("upload", f"it uploads {kind}")


def argument_schema(expander: SchemaExpander, parameter: Mapping[str, Json]) -> dict[str, Json]:
    """The schema of a tool's argument for a parameter of the document."""
    held = media(parameter.get("content"))
    schema = expander.schema(held.get("schema") if held else parameter.get("schema", {}))
    try:
        plain, _ = plain_schema(schema)
    except Rejected:
        plain = {}
    said = parameter.get("description") or plain.get("description")
    kept = kept_schema(plain)
    return {**kept, **({"description": str(said)} if said else {})}


def kept_schema(schema: Mapping[str, Json]) -> dict[str, Json]:
    """What of a schema a tool's document says."""
    kept = {key: schema[key] for key in _SCHEMA_KEYS if key in schema}
    if not isinstance(kept.get("default"), str | int | float | bool):
        kept.pop("default", None)
    said = schema.get("description") or schema.get("title")
    return {**kept, **({"description": str(said)} if said else {})}


def documented_errors(expander: SchemaExpander, operation: ApiOperation) -> dict[int, str]:
    """Status -> what the document says of it, of errors that a caller can make."""
    errors: dict[int, str] = {}
    for status, value in operation.responses.items():
        if re.fullmatch(r"4\d\d", status):
            response = expander.resolve(value)
            said = response.get("description") if isinstance(response, dict) else ""
            errors[int(status)] = str(said or "")
    return errors


def row_wrapper(schema: Mapping[str, Json], resource: Resource) -> str | None:
    """The property of a result that holds the row; empty if it is the row. None: it holds none."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return None
    if resource.key in properties:
        return ""
    held = [
        name
        for name, value in properties.items()
        if isinstance(value, dict) and resource.key in (value.get("properties") or {})
    ]
    return held[0] if len(held) == 1 else None


def shown_fields(schema: Mapping[str, Json], wrapper: str, resource: Resource) -> tuple[str, ...]:
    """Fields of a resource that a result holds, in the row itself or under its wrapper."""
    held = schema["properties"][wrapper] if wrapper else schema
    return tuple(
        name
        for name, field in resource.fields.items()
        if field.shown and name in held["properties"]
    )


def status_of(resource: Resource, verb: str) -> tuple[str, str] | None:
    """Column and value that a path such as `/orders/{id}/cancel` sets. None: there is none."""
    word = snake_case(verb)
    stem = word[:-1] if word.endswith(("e", "y")) else word
    found = [
        (field.name, choice)
        for field in resource.fields.values()
        if field.kind == "choice" and len(stem) > 2
        for choice in field.choices
        if snake_case(choice) == word or (snake_case(choice).startswith(stem) and "_" not in word)
    ]
    return found[0] if len(found) == 1 else None
