"""Swagger 2.0 (OpenAPI 2), put into OpenAPI 3 by the rules of its migration guide.

Only what tools are made of is converted: parameters, bodies, forms and results. References such as
`#/definitions/Pet` stay as they are, for the parts they lead to stay in their places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from astra.types import Json

_METHODS = ("get", "put", "post", "delete", "head", "patch", "options")
# What stands at a parameter itself in version 2, and in its schema in version 3.
_SCHEMA_KEYS = (
    *("type", "format", "items", "default", "enum", "pattern", "uniqueItems", "multipleOf"),
    *("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength"),
    *("maxItems", "minItems", "x-nullable", "x-example"),
)
_FORM = "application/x-www-form-urlencoded"

Resolve = Callable[[Json], Json]


def as_openapi3(document: Mapping[str, Json], resolve: Resolve) -> dict[str, Json]:
    """The document in version 3.

    `resolve`: follows the references of the document; what it raises is passed on.
    """
    paths, definitions = document.get("paths"), document.get("definitions")
    named = definitions if isinstance(definitions, dict) else {}
    return {
        **{key: value for key, value in document.items() if key != "swagger"},
        "openapi": "3.0.3",
        "definitions": {name: schema(value) for name, value in named.items()},
        "paths": {
            path: _path_item(resolve(item), document, resolve)
            for path, item in (paths if isinstance(paths, dict) else {}).items()
        },
    }


def _path_item(item: Json, document: Mapping[str, Json], resolve: Resolve) -> Json:
    if not isinstance(item, dict):
        return item
    shared = item.get("parameters") or []
    new = {key: value for key, value in item.items() if key != "parameters"}
    for method in _METHODS:
        operation = item.get(method)
        if isinstance(operation, dict):
            new[method] = _operation(operation, shared, document, resolve)
    return new


def _operation(
    operation: Mapping[str, Json], shared: Json, document: Mapping[str, Json], resolve: Resolve
) -> dict[str, Json]:
    given = operation.get("parameters") or []
    named: dict[tuple[str, str], dict[str, Any]] = {}
    for value in [*_list(shared), *_list(given)]:
        parameter = resolve(value)
        if isinstance(parameter, dict):
            named[str(parameter.get("in")), str(parameter.get("name"))] = parameter
    plain: list[Json] = []
    form: list[dict[str, Any]] = []
    body: dict[str, Any] | None = None
    for (place, _), parameter in named.items():
        if place == "body":
            body = parameter
        elif place == "formData":
            form.append(parameter)
        else:
            plain.append(_parameter(parameter))
    consumes = _list(operation.get("consumes") or document.get("consumes"))
    new = {k: v for k, v in operation.items() if k not in ("parameters", "consumes", "produces")}
    new["parameters"] = plain
    if body is not None:
        kind = next((k for k in consumes if isinstance(k, str)), "application/json")
        content = {kind: {"schema": schema(body.get("schema", {}))}}
        new["requestBody"] = {"required": body.get("required") is True, "content": content}
    elif form:
        properties = {str(one.get("name")): _field(one) for one in form}
        needed = [str(one.get("name")) for one in form if one.get("required") is True]
        whole = {"type": "object", "properties": properties, "required": needed}
        new["requestBody"] = {"required": bool(needed), "content": {_FORM: {"schema": whole}}}
    responses = operation.get("responses")
    new["responses"] = {
        status: _response(resolve(response))
        for status, response in (responses if isinstance(responses, dict) else {}).items()
    }
    return new


def _parameter(parameter: Mapping[str, Json]) -> dict[str, Json]:
    rest = {k: v for k, v in parameter.items() if k not in (*_SCHEMA_KEYS, "collectionFormat")}
    if "x-example" in parameter:
        rest["example"] = parameter["x-example"]
    return rest | {"schema": _field(parameter) | {"description": ""}}


def _field(parameter: Mapping[str, Json]) -> dict[str, Any]:
    kept = {k: v for k, v in parameter.items() if k in (*_SCHEMA_KEYS, "description")}
    return schema(kept)


def _response(response: Json) -> Json:
    if not isinstance(response, dict) or "schema" not in response:
        return response
    return {
        **{k: v for k, v in response.items() if k not in ("schema", "examples")},
        "content": {"application/json": {"schema": schema(response["schema"])}},
    }


def schema(value: Json) -> Any:
    """A schema with today's words for files and for null."""
    if isinstance(value, list):
        return [schema(child) for child in value]
    if not isinstance(value, dict):
        return value
    new = {k: v if k in ("enum", "default", "example") else schema(v) for k, v in value.items()}
    if new.get("type") == "file":
        new |= {"type": "string", "format": "binary"}
    if new.pop("x-nullable", None) is True:
        new["nullable"] = True
    if (example := new.pop("x-example", None)) is not None:
        new["example"] = example
    return new


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
