"""Tool documents: what is allowed in them, whether they agree with the code, their validators.

Only a plain part of JSON Schema is allowed (`KEYWORDS`): no references (a validator would fetch
them), no combinators, and patterns only of fixed length (others can take exponential time here).
Not covered: whether a description is true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from astra.arenas.certificate.signature import BadSource, FunctionParameter, signature
from astra.core.json_schema import is_fixed
from astra.types import Json, Tool, ToolSchema, canonical_json

MAX_DOCUMENT = 16_000
"""Characters of one tool document as canonical JSON."""
MAX_PARAMETERS = 32
MAX_DEPTH = 8
"""Objects and arrays inside each other, in a parameter's schema."""

TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
KEYWORDS = frozenset(
    """type title description enum const default examples format minimum maximum exclusiveMinimum
    exclusiveMaximum multipleOf minLength maxLength pattern items minItems maxItems uniqueItems
    properties required additionalProperties""".split()
)
_PLAIN = frozenset({"type", "title", "description", "enum", "default", "examples", "format"})
_TYPES = Draft202012Validator.TYPE_CHECKER
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


class _Bad(ValueError):
    """Something is wrong with a document."""


# --- reading ---------------------------------------------------------------------------------


def validator(tool: Tool) -> Draft202012Validator:
    """The compiled validator of a tool's arguments."""
    return _validator(canonical_json(tool.document.parameters))


@lru_cache(maxsize=2048)
def _validator(parameters: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(parameters))


def parameters_of(tool: Tool) -> dict[str, Json]:
    """Schemas of the parameters by name."""
    return tool.document.parameters.get("properties", {})


def required_of(tool: Tool) -> list[str]:
    """Names of the required parameters, in the document's order."""
    required = tool.document.parameters.get("required", [])
    return [name for name in parameters_of(tool) if name in required]


def types_of(schema: dict[str, Json]) -> list[str]:
    """The JSON types that a parameter's schema names."""
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def has_type(schema: dict[str, Json], value: Json) -> bool:
    """Whether a value is of a JSON type that the schema names."""
    return any(_TYPES.is_type(value, kind) for kind in types_of(schema))


def accepts(schema: dict[str, Json], value: Json) -> bool:
    """Whether a parameter's schema takes a value; only what is beyond type and enum needs more."""
    if not has_type(schema, value) or ("enum" in schema and value not in schema["enum"]):
        return False
    if _PLAIN.issuperset(schema):
        return True
    return _validator(canonical_json(schema)).is_valid(value)


def defaults_of(tool: Tool) -> dict[str, Json]:
    """Defaults of the optional parameters: the document's, else the signature's if a literal."""
    found = {p.name: p.default for p in signature(tool.source, tool.name) if p.literal}
    for name, schema in parameters_of(tool).items():
        if "default" in schema:
            found[name] = schema["default"]
    return found


# --- checking --------------------------------------------------------------------------------


def document_problem(tool: Tool) -> str:
    """What is wrong with a tool's document or its agreement with the source; "" if nothing."""
    return _problem(canonical_json(tool.document.model_dump()), tool.source)


def form_problem(document: ToolSchema) -> str:
    """What is wrong with a document for itself, before there is a source; "" if nothing."""
    try:
        _check_form(canonical_json(document.model_dump()))
    except _Bad as error:
        return str(error)
    return ""


@lru_cache(maxsize=2048)
def _problem(document_json: str, source: str) -> str:
    try:
        document = _check_form(document_json)
        _check_agreement(document.parameters, signature(source, document.name))
    except _Bad as error:
        return str(error)
    except BadSource as error:
        return f"its source {error}"
    return ""


def _check_form(document_json: str) -> ToolSchema:
    if len(document_json) > MAX_DOCUMENT:
        raise _Bad(f"its document has {len(document_json)} characters; at most {MAX_DOCUMENT}")
    document = ToolSchema.model_validate_json(document_json)
    if not document.description.strip():
        raise _Bad("it has no description")
    _check_parameters(document.parameters)
    return document


def _check_parameters(parameters: dict[str, Json]) -> None:
    if parameters.get("$schema", _DRAFT) != _DRAFT:
        raise _Bad(f"$schema is {parameters['$schema']!r}: only draft 2020-12 is allowed")
    schema = {key: value for key, value in parameters.items() if key != "$schema"}
    if schema.get("type") != "object":
        raise _Bad(f"type of the parameters is {schema.get('type')!r}, not 'object'")
    _check_schema("parameters", schema, 0)
    if len(schema.get("properties", {})) > MAX_PARAMETERS:
        raise _Bad(f"it has more than {MAX_PARAMETERS} parameters")
    try:
        _check_metaschema(canonical_json(_skeleton(schema)))
    except SchemaError as error:
        raise _Bad(f"its parameters are no valid JSON Schema: {error.message[:300]}") from error
    _check_values("parameters", schema)


@lru_cache(maxsize=2048)
def _check_metaschema(schema: str) -> None:
    Draft202012Validator.check_schema(json.loads(schema))


def _skeleton(schema: dict[str, Json]) -> dict[str, Json]:
    """The schema without what any draft lets be anything, so that few skeletons serve many."""
    kept = {k: v for k, v in schema.items() if k not in ("default", "const")}
    for name in ("enum", "examples"):
        if isinstance(kept.get(name), list):
            kept[name] = []
    for name in ("title", "description"):
        if isinstance(kept.get(name), str):
            kept[name] = ""
    if "items" in kept:
        kept["items"] = _skeleton(kept["items"])
    if "properties" in kept:
        kept["properties"] = {k: _skeleton(v) for k, v in kept["properties"].items()}
    return kept


def _check_schema(where: str, schema: Json, depth: int) -> None:
    if not isinstance(schema, dict):
        raise _Bad(f"schema of {where} is {schema!r}, not an object")
    if depth > MAX_DEPTH:
        raise _Bad(f"schema of {where} is nested more than {MAX_DEPTH} deep")
    if unknown := sorted(set(schema) - KEYWORDS):
        raise _Bad(f"schema of {where} uses {unknown!r}: only {', '.join(sorted(KEYWORDS))}")
    kinds: list[Json] = types_of(schema) if isinstance(schema.get("type"), str | list) else []
    if not kinds or any(not isinstance(kind, str) or kind not in TYPES for kind in kinds):
        raise _Bad(f"schema of {where} has type {schema.get('type')!r}: name JSON types")
    if schema.get("additionalProperties", False) is not False:
        raise _Bad(f"schema of {where} allows additional properties: say false or nothing")
    pattern = schema.get("pattern", "")
    if not isinstance(pattern, str) or not is_fixed(pattern):
        raise _Bad(f"pattern of {where} is {pattern!r}: only patterns of fixed length are allowed")
    for inner, child in _children(where, schema):
        if where != inner and not _described(child) and not inner.endswith("[]"):
            raise _Bad(f"{inner} has no description")
        _check_schema(inner, child, depth + 1)


def _children(where: str, schema: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise _Bad(f"properties of {where} are {properties!r}, not an object")
    required = schema.get("required", [])
    if not isinstance(required, list) or any(
        not isinstance(name, str) or name not in properties for name in required
    ):
        raise _Bad(f"{where} requires {required!r}, of which some are no properties")
    for name, child in properties.items():
        yield f"{where}.{name}", child
    if "items" in schema:
        yield f"{where}[]", schema["items"]
    elif "array" in types_of(schema):
        raise _Bad(f"schema of {where} is an array without items")


def _described(schema: Json) -> bool:
    description = schema.get("description") if isinstance(schema, dict) else None
    return isinstance(description, str) and bool(description.strip())


def _check_values(where: str, schema: dict[str, Json]) -> None:
    """The values that a valid schema offers fit it."""
    for inner, child in _children(where, schema):
        _check_values(inner, child)
    enum = schema.get("enum", [])
    if "enum" in schema and len({canonical_json(value) for value in enum}) != (len(enum) or -1):
        raise _Bad(f"enum of {where} is {enum!r}: list at least one value, each once")
    for value in enum:
        if not has_type(schema, value):
            raise _Bad(f"enum value {value!r} of {where} does not fit its own schema")
    offered = [("example", value) for value in schema.get("examples", [])]
    offered += [(name, schema[name]) for name in ("default", "const") if name in schema]
    for what, value in offered:
        if not accepts(schema, value):
            raise _Bad(f"{what} {value!r} of {where} does not fit its own schema")


def _check_agreement(parameters: dict[str, Any], function: tuple[FunctionParameter, ...]) -> None:
    documented = parameters.get("properties", {})
    names = {parameter.name for parameter in function}
    if names != set(documented):
        raise _Bad(
            f"the document has parameters {sorted(documented)!r}, the function {sorted(names)!r}"
        )
    required = parameters.get("required", [])
    for parameter in function:
        schema = documented[parameter.name]
        if parameter.required != (parameter.name in required):
            raise _Bad(
                f"{parameter.name!r} is {'' if parameter.name in required else 'not '}required in "
                f"the document and has {'no' if parameter.required else 'a'} default in the code"
            )
        if "default" not in schema:
            continue
        if parameter.required or not parameter.literal:
            raise _Bad(f"{parameter.name!r} has a default in the document, no literal in the code")
        if not _same(schema["default"], parameter.default):
            raise _Bad(
                f"default of {parameter.name!r} is {schema['default']!r} in the document and "
                f"{parameter.default!r} in the code"
            )


def _same(a: Json, b: Json) -> bool:
    """Equal as JSON: 1 is 1.0 but not true."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    try:
        return canonical_json(a) == canonical_json(b)
    except (TypeError, ValueError):
        return False
