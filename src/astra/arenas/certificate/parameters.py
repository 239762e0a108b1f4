"""Reading of a tool's parameters: schemas, types, defaults, and whether a value fits."""

from __future__ import annotations

from jsonschema.protocols import Validator

from astra.arenas.certificate.function_signature import signature
from astra.core.json_schema import has_json_type
from astra.core.json_schema import validator as schema_validator
from astra.core.kept import kept_by_identity
from astra.types import Json, Tool, ToolSchema, canonical_json

_NOTES = {"title", "description", "default", "examples", "format"}
_SIMPLE = frozenset({"type", "enum", *_NOTES})
_PLAIN_OBJECT = frozenset({"type", "properties", "required", "additionalProperties", *_NOTES})


def validator(tool: Tool) -> Validator:
    """The compiled validator of a tool's arguments."""
    return _validator(tool.document)


@kept_by_identity(512)
def _validator(document: ToolSchema) -> Validator:
    # `schema` has checked the document already, with most of the work shared between documents.
    return schema_validator(canonical_json(document.parameters), checked=True)


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
    kind = schema.get("type", [])
    if isinstance(kind, str):
        return has_json_type(value, kind)
    return any(has_json_type(value, each) for each in kind)


def misfit(tool: Tool, arguments: dict[str, Json]) -> str:
    """What of a call's arguments does not fit the tool's document. Empty if they fit."""
    parameters = tool.document.parameters
    schemas = parameters_of(tool)
    # Nearly every call is checked this way: the library takes twenty times as long.
    if (
        _PLAIN_OBJECT.issuperset(parameters)
        and all(name in arguments for name in parameters.get("required", []))
        and all(name in schemas and accepts(schemas[name], v) for name, v in arguments.items())
        # For `accepts` True is among the values of an enum if 1 is.
        and all(isinstance(v, str) or "enum" not in schemas[n] for n, v in arguments.items())
    ):
        return ""
    return next((error.message for error in validator(tool).iter_errors(arguments)), "")


def accepts(schema: dict[str, Json], value: Json) -> bool:
    """Whether a value is valid under a parameter's schema."""
    if not has_type(schema, value) or ("enum" in schema and value not in schema["enum"]):
        return False
    # Most parameters have a type and an enum only; a validator costs a hundred times as much.
    if _SIMPLE.issuperset(schema):
        return True
    return schema_validator(canonical_json(schema), checked=True).is_valid(value)


@kept_by_identity(512)
def defaults_of(tool: Tool) -> dict[str, Json]:
    """Defaults of the optional parameters: the document's, else literal ones of the function."""
    defaults = {p.name: p.default for p in signature(tool.source, tool.name) if p.literal}
    for name, schema in parameters_of(tool).items():
        if "default" in schema:
            defaults[name] = schema["default"]
    return defaults
