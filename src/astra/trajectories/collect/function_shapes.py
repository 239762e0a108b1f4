"""One function as the field's libraries and data sets write it, read into a `RawTool`.

Read are OpenAI (with and without the wrapper), MCP, Anthropic, Bedrock (`toolSpec`), Gemini, Cohere
(`parameter_definitions`), LangChain (`args`, `args_schema`), smolagents (`inputs`), ToolBench
(`required_parameters`), xLAM and BFCL: arguments as a JSON Schema, as a flat map of names, or as a
list of named parameters. A function whose arguments stand in no known form is refused: read as a
function without arguments, it would teach calls that are wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from astra.core.json_schema import KEYWORDS
from astra.errors import Rejected
from astra.trajectories.collect.drafts import RawTool
from astra.trajectories.collect.type_names import named_type
from astra.types import Json

SCHEMAS = (
    *("parameters", "inputSchema", "input_schema", "parametersJsonSchema", "json_schema"),
    *("parameters_json_schema", "args_schema", "fn_schema", "arguments", "args", "inputs"),
    *("parameter_definitions", "params", "input_parameters", "schema"),
)
"""Names under which arguments stand."""
LISTS = ("tools", "functions", "tool_list", "function", "api_list", "available_tools")
"""Names under which the functions of a server or a row stand."""
_LISTED = ("required_parameters", "optional_parameters")
_OUTPUT = (
    *("output_schema", "outputSchema", "returns", "return", "response", "output_type"),
    *("responseJsonSchema", "response_json_schema"),
)
_EXAMPLES = ("examples", "input_examples", "inputExamples")
_DESCRIPTIONS = ("description", "desc", "summary")
_WRAPPERS = ("function", "toolSpec", "tool_spec")
# What holds an object or a list in a known form of a function, and no arguments.
_BESIDE = frozenset(
    (
        *(*_OUTPUT, *_EXAMPLES, *_DESCRIPTIONS, "annotations", "metadata", "_meta", "tags"),
        *("cache_control", "cachePoint", "execution", "title", "type", "strict", "name"),
        *("domain", "category", "required", "allowed_callers", "defer_loading", "version"),
        *("icons", "read_only"),
    )
)
_REQUIRED = "required"


def is_function(value: Json) -> bool:
    """Whether a value looks like a function in one of the known forms."""
    if not isinstance(value, dict) or any(isinstance(value.get(key), list) for key in LISTS):
        return False
    if any(isinstance(value.get(wrapper), dict) for wrapper in _WRAPPERS):
        return True
    says = (*_DESCRIPTIONS, *SCHEMAS, *_LISTED)
    return isinstance(value.get("name"), str) and any(key in value for key in says)


def raw_tool(value: Json) -> RawTool:
    """The tool of a function. Raises Rejected for a form that is not known."""
    about = value
    if isinstance(value, dict):
        about = next((value[w] for w in _WRAPPERS if isinstance(value.get(w), dict)), value)
    name = about.get("name") if isinstance(about, dict) else None
    if not isinstance(name, str) or not name:
        raise Rejected("layout", f"not a function with a name: {value!r:.100}")
    hints = about.get("annotations")
    read_only = hints.get("readOnlyHint") if isinstance(hints, dict) else about.get("read_only")
    examples = next((about[k] for k in _EXAMPLES if isinstance(about.get(k), list)), [])
    output = next((about[k] for k in _OUTPUT if about.get(k) is not None), None)
    return RawTool(
        name=name,
        description=text_of(about, *_DESCRIPTIONS),
        parameters=_parameters(about),
        output_schema=_output(output),
        read_only=read_only if isinstance(read_only, bool) else None,
        examples=tuple(examples),
    )


def parsed(value: Json, what: str) -> Json:
    """The value, parsed if it is JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Rejected("layout", f"{what} is not JSON: {error!s:.200}") from error


def text_of(about: Mapping[str, Json], *names: str) -> str:
    """The first of the named values that is a text, and not blank."""
    return next((v for name in names if isinstance(v := about.get(name), str) and v.strip()), "")


# --- arguments --------------------------------------------------------------------------------


def _parameters(about: Mapping[str, Json]) -> Json:
    """JSON Schema of the arguments. None: the function has none."""
    if any(key in about for key in _LISTED):
        return _schema_of_lists(about)
    key = next((key for key in SCHEMAS if about.get(key)), None)
    if key is None and any(key in about for key in SCHEMAS):
        return None
    if key is None:
        odd = [k for k, v in about.items() if isinstance(v, dict | list) and v and k not in _BESIDE]
        if odd:
            raise Rejected(
                "layout",
                f"its arguments stand under none of {', '.join(SCHEMAS[:3])} …, perhaps under "
                f"{odd[0]!r:.60}: give them as a JSON Schema in 'parameters'",
            )
        return None
    value = about[key]
    if isinstance(value, str):
        value = parsed(value, key) if value.strip() else None
    if isinstance(value, dict) and isinstance(value.get("json"), dict) and "type" not in value:
        value = value["json"]  # Bedrock
    if isinstance(value, list):
        return _schema_of_list(value, key)
    if not isinstance(value, dict):
        return value  # refused, or no arguments, like any other schema
    if not _is_schema(value):
        listed = about.get(_REQUIRED)
        required = [str(n) for n in listed] if isinstance(listed, list) else None
        # In LangChain's `args`, as in Python, an empty text is a default like any other. xLAM
        # writes `"default": ""` beside every parameter.
        return _schema_of_map(value, key, required, empty_defaults=key in ("args", "args_schema"))
    # {"type": "object", "city": {...}}: the arguments beside the keyword that should hold them.
    beside = {
        name: child
        for name, child in value.items()
        if name not in KEYWORDS and not name.startswith(("x-", "$")) and isinstance(child, dict)
    }
    if beside and not value.get("properties") and value.get("type") in (None, "object", "dict"):
        listed = value.get(_REQUIRED)
        required = [str(n) for n in listed] if isinstance(listed, list) else None
        return _schema_of_map(beside, key, required, empty_defaults=False)
    return value


def _is_schema(value: Mapping[str, Json]) -> bool:
    """Whether an object is a JSON Schema, not a map of parameters, which may have such names."""
    if not value:
        return True
    properties, kind = value.get("properties"), value.get("type")
    # A parameter called `properties` is described by a type, a schema's properties by schemas.
    if isinstance(properties, dict) and not isinstance(properties.get("type"), str):
        return True
    if isinstance(kind, str | list):
        return not _is_named_type_map(value)
    return isinstance(value.get("$ref"), str) or any(
        isinstance(value.get(key), list) for key in ("allOf", "anyOf", "oneOf")
    )


def _is_named_type_map(value: Mapping[str, Json]) -> bool:
    """Whether all values are names of types: `{"type": "string", "city": "string"}`."""
    odd = [name for name in value if name not in KEYWORDS]
    return bool(odd) and all(_is_type(child) for child in value.values())


def _is_type(value: Json) -> bool:
    if not isinstance(value, str):
        return False
    try:
        named_type(value)
    except ValueError:
        return False
    return True


def _schema_of_map(
    value: Mapping[str, Json], key: str, required: list[str] | None, *, empty_defaults: bool
) -> Json:
    """The schema of a flat map from the names of arguments to what is said of each.

    `required`: names that the function lists. None: each argument says so, by a mark, by its type
    ("str, optional"), or by a default.
    """
    properties: dict[str, Json] = {}
    marked = any(isinstance(v, dict) and isinstance(v.get(_REQUIRED), bool) for v in value.values())
    needed: list[str] = []
    for name, child in value.items():
        schema, optional = _argument(name, child, key, empty_defaults=empty_defaults)
        properties[name] = schema
        if marked and isinstance(child, dict):
            optional = child.get(_REQUIRED) is not True
        if not optional:
            needed.append(name)
    if required is not None:
        needed = [name for name in properties if name in required]
    return {"type": "object", "properties": properties, **({"required": needed} if needed else {})}


def _argument(
    name: str, value: Json, key: str, *, empty_defaults: bool
) -> tuple[dict[str, Json], bool]:
    """Schema of one argument of a flat map, and whether it may be left out."""
    if isinstance(value, str):
        # {"city": "string"}, or {"city": "Name of the city"}.
        if not _is_type(value):
            return {"description": value}, False
        value = {"type": value}
    known = ("type", "description", "enum", "title", "anyOf", "$ref", "default", "items", "allOf")
    if not isinstance(value, dict) or (value and not any(word in value for word in known)):
        reason = f"{key!r} is no JSON Schema, and what it says of {name!r} can't be read"
        raise Rejected("layout", f"{reason}: {value!r:.100}")
    schema = {k: v for k, v in value.items() if k not in (_REQUIRED, "optional")}
    optional = value.get("optional") is True or value.get("nullable") is True
    kind = value.get("type")
    if isinstance(kind, str):
        try:
            named = named_type(kind)
        except ValueError as error:
            raise Rejected("schema", f"argument {name!r}: {error}") from error
        schema.pop("type")
        schema = {**named.schema, **schema}
        optional = optional or named.required is False
    if "default" in schema:
        default = schema["default"]
        if default in ("", None) and not (empty_defaults or kind is None):
            del schema["default"]
        else:
            optional = True
    return schema, optional


def _schema_of_list(values: Sequence[Json], key: str) -> Json:
    """The schema of a list of named parameters, `[{"name": "city", "type": "string"}]`."""
    named: dict[str, Json] = {}
    for value in values:
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name or name in named:
            raise Rejected(
                "layout",
                f"{key!r} is a list, and holds no parameter with a name of its own: {value!r:.100}",
            )
        child = {k: v for k, v in value.items() if k not in ("name", "in", "schema")}
        if isinstance(value.get("schema"), dict):
            child = {**value["schema"], **child}
        named[name] = child
    return _schema_of_map(named, key, None, empty_defaults=False)


def _schema_of_lists(about: Mapping[str, Json]) -> Json:
    """ToolBench: one list of the parameters that are needed, and one of the others."""
    properties: dict[str, Json] = {}
    needed: list[str] = []
    for key in _LISTED:
        values = about.get(key) or []
        if not isinstance(values, list):
            raise Rejected("layout", f"{key!r} is not a list: {values!r:.100}")
        schema = _schema_of_list(values, key)
        properties |= schema["properties"]
        needed += schema["properties"] if key == _LISTED[0] else []
    return {"type": "object", "properties": properties, **({"required": needed} if needed else {})}


def _output(value: Json) -> Json:
    """Schema of the result. None: nothing, or only words, is said of it."""
    if isinstance(value, str) and "{" in value:
        value = parsed(value, "a schema")
    if isinstance(value, str) and _is_type(value):
        return named_type(value).schema or None
    if isinstance(value, dict) and isinstance(value.get("json"), dict):
        return value["json"]
    return value if isinstance(value, dict) else None
