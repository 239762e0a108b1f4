"""OpenAPI 3.x: every operation becomes a tool.

Parameters of path, query and header become arguments, and so do the fields of a JSON body; two of
one name are told apart by where they stand. What carries a key is no argument: a model has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from astra.errors import Rejected
from astra.trajectories.collect.drafts import BrokenTool, RawServer, RawTool
from astra.trajectories.collect.references import SchemaExpander
from astra.types import Json, canonical_json

METHODS = ("get", "put", "post", "delete", "head", "patch")
PLACES = ("path", "query", "header", "cookie")
"""Where a parameter stands, in the order in which they are named."""
MOST_EXAMPLES = 5

_IGNORED_HEADERS = ("accept", "content-type", "authorization")
_KEY_WORDS = ("api-key", "apikey", "api_key", "token", "secret")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def is_openapi(value: Json) -> bool:
    """Whether a parsed file is an OpenAPI document, of whatever version."""
    return isinstance(value, dict) and ("openapi" in value or "swagger" in value)


def openapi_server(document: Mapping[str, Json], name: str) -> RawServer:
    """The server of a document; Rejected for other versions and documents without operations."""
    version = str(document.get("openapi") or document.get("swagger"))
    if not version.startswith("3."):
        raise Rejected("version", f"OpenAPI {version}: convert it to version 3 first")
    info = document.get("info")
    about = info if isinstance(info, dict) else {}
    tools = tuple(_tools(document))
    if not tools:
        raise Rejected("layout", "the document has no operations under `paths`")
    domain = about.get("x-domain")
    return RawServer(
        name=str(about.get("title") or name),
        source="openapi",
        tools=tools,
        description=str(about.get("description") or about.get("summary") or ""),
        domain=domain if isinstance(domain, str) else "",
    )


def _tools(document: Mapping[str, Json]) -> Iterator[RawTool | BrokenTool]:
    paths = document.get("paths")
    for path, item in (paths if isinstance(paths, dict) else {}).items():
        try:
            item = SchemaExpander(document).resolve(item)
        except Rejected as rejected:
            yield BrokenTool(path, rejected)
            continue
        for method in METHODS:
            if isinstance(item, dict) and isinstance(item.get(method), dict):
                name = item[method].get("operationId") or f"{method} {path}"
                try:
                    yield _tool(document, str(name), method, item)
                except Rejected as rejected:
                    yield BrokenTool(str(name), rejected)


def _tool(
    document: Mapping[str, Json], name: str, method: str, item: Mapping[str, Json]
) -> RawTool:
    operation = item[method]
    request, response = SchemaExpander(document), SchemaExpander(document, "response")
    arguments = _Arguments()
    for place, parameter in _parameters(request, item, operation):
        _add_parameter(arguments, request, place, parameter)
    _add_body(arguments, request, operation)
    output = _result(response, operation)
    summary, description = (str(operation.get(k) or "") for k in ("summary", "description"))
    said = description if summary in description else f"{summary}\n\n{description}".strip()
    return RawTool(
        name=name,
        description=said,
        parameters=arguments.schema(),
        output_schema=output,
        read_only=method in ("get", "head"),
        examples=tuple(arguments.examples()),
        notes=tuple(dict.fromkeys([*arguments.notes, *request.notes, *response.notes])),
    )


# --- arguments --------------------------------------------------------------------------------


class _Argument(NamedTuple):
    schema: dict[str, Json]
    required: bool
    examples: list[Json]


class _Arguments:
    """The arguments of a tool as they come together."""

    def __init__(self) -> None:
        self._arguments: dict[str, _Argument] = {}
        self.bodies: list[dict[str, Json]] = []
        """Examples of all arguments together that stand in the body."""
        self.notes: list[str] = []

    def add(
        self, name: str, place: str, schema: Json, required: bool, examples: Sequence[Json]
    ) -> str:
        """Add an argument and return the name that it got."""
        given = name
        if given in self._arguments:
            given = f"{place}_{name}"
            while given in self._arguments:
                given += "_"
            self.notes.append(f"{name!r} in the {place} is called {given!r}")
        as_schema = schema if isinstance(schema, dict) else {}
        self._arguments[given] = _Argument(as_schema, required, list(examples))
        return given

    def schema(self) -> Json:
        """The schema of the arguments together."""
        required = [name for name, one in self._arguments.items() if one.required]
        return {
            "type": "object",
            "properties": {name: one.schema for name, one in self._arguments.items()},
            **({"required": required} if required else {}),
        }

    def examples(self) -> Iterator[dict[str, Json]]:
        """Whole calls from the examples of their parts, where every required one has some."""
        most = max([len(self.bodies), *(len(a.examples) for a in self._arguments.values())])
        seen: set[str] = set()
        for number in range(min(most, MOST_EXAMPLES)):
            call = {
                name: one.examples[min(number, len(one.examples) - 1)]
                for name, one in self._arguments.items()
                if one.examples
            }
            if self.bodies:
                call |= self.bodies[min(number, len(self.bodies) - 1)]
            whole = all(name in call or not one.required for name, one in self._arguments.items())
            spelled = canonical_json(call)
            if call and whole and spelled not in seen:
                seen.add(spelled)
                yield call


def _parameters(
    writer: SchemaExpander, item: Mapping[str, Json], operation: Mapping[str, Json]
) -> list[tuple[str, Mapping[str, Json]]]:
    """Parameters of the path and the operation, whose own go before; in the order of places."""
    found: dict[tuple[str, str], Mapping[str, Json]] = {}
    for owner in (item, operation):
        listed = owner.get("parameters") or []
        for one in listed if isinstance(listed, list) else []:
            parameter = writer.resolve(one)
            if not isinstance(parameter, dict) or parameter.get("in") not in PLACES:
                raise Rejected("layout", f"no parameter of path, query or header: {one!r:.100}")
            found[str(parameter["in"]), str(parameter.get("name"))] = parameter
    ordered = sorted(found.items(), key=lambda entry: PLACES.index(entry[0][0]))
    return [(place, parameter) for (place, _), parameter in ordered]


def _add_parameter(
    arguments: _Arguments, writer: SchemaExpander, place: str, parameter: Mapping[str, Json]
) -> None:
    name = str(parameter.get("name"))
    if place in ("header", "cookie"):
        if name.casefold() in _IGNORED_HEADERS:
            return
        if place == "cookie" or any(word in name.casefold() for word in _KEY_WORDS):
            arguments.notes.append(f"the {place} {name!r} is left out: it carries a key")
            return
    media = _media(parameter.get("content"))
    schema = writer.schema(media.get("schema") if media else parameter.get("schema", {}))
    schema = dict(schema) if isinstance(schema, dict) else {}
    if isinstance(said := parameter.get("description"), str) and said:
        schema["description"] = said
    examples = [*_examples(writer, media or parameter), *_schema_examples(schema)]
    required = place == "path" or parameter.get("required") is True
    arguments.add(name, place, schema, required, examples)


def _add_body(arguments: _Arguments, writer: SchemaExpander, operation: Mapping[str, Json]) -> None:
    body = writer.resolve(operation.get("requestBody"))
    if not isinstance(body, dict):
        return
    media = _media(body.get("content"))
    if media is None:
        raise Rejected("body", f"no JSON or form in the body, but {list(body.get('content', {}))}")
    schema = writer.schema(media.get("schema", {}))
    required = body.get("required") is True
    examples = [*_examples(writer, media), *_schema_examples(schema)]
    if not isinstance(schema, dict) or not _is_flat(schema):
        arguments.add("body", "body", schema, required, examples)
        return
    names: dict[str, str] = {}
    listed = schema.get("required", [])
    fields: dict[str, Json] = schema["properties"]
    for name, child in fields.items():
        needed = required and name in listed
        names[name] = arguments.add(name, "body", child, needed, _schema_examples(child))
    arguments.bodies += [
        {names.get(str(name), str(name)): value for name, value in one.items()}
        for one in examples
        if isinstance(one, dict)
    ]


def _is_flat(schema: Mapping[str, Json]) -> bool:
    """Whether a body is a plain object, whose fields can stand among the other arguments."""
    known = ("type", "properties", "required", "description", "title", "example", "examples")
    return (
        schema.get("type", "object") == "object"
        and isinstance(schema.get("properties"), dict)
        and all(
            key in known or key.startswith("x-") or key == "additionalProperties" for key in schema
        )
        and not isinstance(schema.get("additionalProperties"), dict)
    )


def _media(content: Json) -> Mapping[str, Json] | None:
    """The JSON of a content, else a form; None: neither."""
    if not isinstance(content, dict):
        return None
    kinds = [kind for kind in content if _is_json(kind)]
    kinds += [kind for kind in content if kind.partition(";")[0].strip() in _FORMS]
    found = content[kinds[0]] if kinds else None
    return found if isinstance(found, dict) else None


def _is_json(kind: str) -> bool:
    kind = kind.partition(";")[0].strip().casefold()
    return kind in ("application/json", "*/*") or kind.endswith("+json")


def _examples(writer: SchemaExpander, owner: Mapping[str, Json]) -> list[Json]:
    found = [owner["example"]] if "example" in owner else []
    named = owner.get("examples")
    for one in named.values() if isinstance(named, dict) else []:
        example = writer.resolve(one)
        if isinstance(example, dict) and "value" in example:
            found.append(example["value"])
    return found


def _schema_examples(schema: Json) -> list[Json]:
    if not isinstance(schema, dict):
        return []
    listed = schema.get("examples")
    found = [schema["example"]] if "example" in schema else []
    return [*found, *(listed if isinstance(listed, list) else [])]


# --- results ----------------------------------------------------------------------------------


def _result(writer: SchemaExpander, operation: Mapping[str, Json]) -> Json:
    """Schema of the first success that has one; None: not documented."""
    responses = operation.get("responses")
    if not isinstance(responses, dict):
        return None
    for status in sorted(responses):
        if status.startswith("2") or status == "default":
            response = writer.resolve(responses[status])
            media = _media(response.get("content")) if isinstance(response, dict) else None
            if media and isinstance(media.get("schema"), dict):
                return writer.schema(media["schema"])
    return None
