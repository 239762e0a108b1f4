"""OpenAPI 3.x, and Swagger 2.0 put into it: every operation becomes a tool.

Parameters of path, query and header become arguments, and so do the fields of a JSON body; of two
with the same name the later one is prefixed with its place. Headers and cookies that carry keys
are left out, since a model has no keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from astra.core.openapi.expansion import SchemaExpander
from astra.core.openapi.operations import (
    ApiOperation,
    BrokenPath,
    as_version3,
    media,
    operations,
    parameters,
    success_schema,
)
from astra.errors import Rejected
from astra.trajectories.collect.drafts import BrokenTool, RawServer, RawTool
from astra.types import Json, canonical_json

MOST_EXAMPLES = 5

_IGNORED_HEADERS = ("accept", "content-type", "authorization")
_KEY_WORDS = ("api-key", "apikey", "api_key", "token", "secret")
_PLAIN_KEYS = (
    *("type", "properties", "required", "description", "title"),
    *("example", "examples", "additionalProperties"),
)


def openapi_server(document: Mapping[str, Json], name: str) -> RawServer:
    """The server of a document. Raises Rejected for other versions and without operations."""
    document = as_version3(document)
    tools: list[RawTool | BrokenTool] = []
    for operation in operations(document):
        if isinstance(operation, BrokenPath):
            tools.append(BrokenTool(operation.path, operation.reason))
            continue
        tags, place = operation.tags, operation.place
        try:
            tools.append(replace(_tool(document, operation), tags=tags, operation=place))
        except Rejected as rejected:
            tools.append(BrokenTool(operation.name, rejected, tags, place))
    if not tools:
        raise Rejected("layout", "the document has no operations under `paths`")
    info = document.get("info")
    about = info if isinstance(info, dict) else {}
    domain = about.get("x-domain")
    return RawServer(
        name=str(about.get("title") or name),
        source="openapi",
        tools=tuple(tools),
        description=str(about.get("description") or about.get("summary") or ""),
        domain=domain if isinstance(domain, str) else "",
    )


def _tool(document: Mapping[str, Json], operation: ApiOperation) -> RawTool:
    request, response = SchemaExpander(document), SchemaExpander(document, "response")
    arguments = _Arguments()
    for place, parameter in parameters(request, operation):
        arguments.add_parameter(request, place, parameter)
    arguments.add_body(request, operation)
    description = operation.description
    if not description:
        # Generators often write names and paths alone, which say what is done to what.
        description = f"{operation.method.upper()} {operation.path}"
        request.notes.append(f"nothing but its method and path describes it: {description!r:.200}")
    return RawTool(
        name=operation.name,
        description=description,
        parameters=arguments.schema(),
        output_schema=_result_schema(response, operation),
        read_only=operation.method in ("get", "head"),
        examples=tuple(arguments.examples()),
        notes=tuple(dict.fromkeys([*arguments.notes, *request.notes, *response.notes])),
    )


def _result_schema(expander: SchemaExpander, operation: ApiOperation) -> Json:
    """Schema of the first success that has one. None: not documented."""
    schema = success_schema(expander, operation)
    return None if schema is None else _expanded_result(expander, schema)


def _expanded_result(expander: SchemaExpander, schema: Json) -> Json:
    """The expanded schema of a result, with fewer levels of references if it is too large.

    None: it can't be used, which is no reason to do without the tool.
    """
    reason = ""
    for levels in (None, 4, 2, 1):
        attempt = SchemaExpander(expander.document, "response", most_references=levels)
        try:
            expanded = attempt.schema(schema)
        except Rejected as rejected:
            reason = reason or rejected.reason
            continue
        if levels is not None:
            expander.notes.append(f"its result is described to {levels} references deep: {reason}")
        expander.notes += attempt.notes if levels is None else []
        return expanded
    expander.notes.append(f"the schema of its result is left out: {reason}")
    return None


# --- arguments --------------------------------------------------------------------------------


class _Argument(NamedTuple):
    schema: dict[str, Json]
    required: bool
    examples: list[Json]


class _Arguments:
    """Collects the arguments of a tool."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._arguments: dict[str, _Argument] = {}
        self._bodies: list[dict[str, Json]] = []
        """Examples of the body, for all its arguments together."""

    def add(
        self, name: str, place: str, schema: Json, required: bool, examples: Sequence[Json]
    ) -> str:
        """Add an argument, and return its name: prefixed with its place if the name is taken."""
        unique = name
        if unique in self._arguments:
            unique = f"{place}_{name}"
            while unique in self._arguments:
                unique += "_"
            self.notes.append(f"{name!r} in the {place} is called {unique!r}")
        as_schema = schema if isinstance(schema, dict) else {}
        self._arguments[unique] = _Argument(as_schema, required, list(examples))
        return unique

    def add_parameter(
        self, expander: SchemaExpander, place: str, parameter: Mapping[str, Json]
    ) -> None:
        """Add a parameter of path, query or header; leave out what carries a key."""
        name = str(parameter.get("name"))
        if place in ("header", "cookie"):
            if name.casefold() in _IGNORED_HEADERS:
                return
            if place == "cookie" or any(word in name.casefold() for word in _KEY_WORDS):
                self.notes.append(f"the {place} {name!r} is left out: it carries a key")
                return
        held = media(parameter.get("content"))
        schema = expander.schema(held.get("schema") if held else parameter.get("schema", {}))
        schema = dict(schema) if isinstance(schema, dict) else {}
        if isinstance(description := parameter.get("description"), str) and description:
            schema["description"] = description
        if "example" in parameter and not _schema_examples(schema):
            schema["examples"] = [parameter["example"]]
        examples = [*_examples(expander, held or parameter), *_schema_examples(schema)]
        required = place == "path" or parameter.get("required") is True
        self.add(name, place, schema, required, examples)

    def add_body(self, expander: SchemaExpander, operation: ApiOperation) -> None:
        """Add the fields of a flat JSON body, or the whole body as one argument."""
        body = expander.resolve(operation.values.get("requestBody"))
        if not isinstance(body, dict):
            return
        held = media(body.get("content"))
        if held is None:
            kinds = list(body.get("content", {}))
            reason = f"neither JSON, a form nor text in the body, but {kinds}"
            raise Rejected("body", reason)
        schema = expander.schema(held.get("schema", {}))
        required = body.get("required") is True
        examples = [*_examples(expander, held), *_schema_examples(schema)]
        if not (
            isinstance(schema, dict)
            and schema.get("type", "object") == "object"
            and isinstance(schema.get("properties"), dict)
            and all(key in _PLAIN_KEYS or key.startswith("x-") for key in schema)
            and not isinstance(schema.get("additionalProperties"), dict)
        ):
            self.add("body", "body", schema, required, examples)
            return
        names: dict[str, str] = {}
        for name, child in schema["properties"].items():
            child_required = required and name in schema.get("required", [])
            names[name] = self.add(name, "body", child, child_required, _schema_examples(child))
        self._bodies += [
            {names.get(str(name), str(name)): value for name, value in example.items()}
            for example in examples
            if isinstance(example, dict)
        ]

    def schema(self) -> Json:
        """The schema of the arguments together."""
        required = [name for name, one in self._arguments.items() if one.required]
        return {
            "type": "object",
            "properties": {name: one.schema for name, one in self._arguments.items()},
            **({"required": required} if required else {}),
        }

    def examples(self) -> Iterator[dict[str, Json]]:
        """Whole calls from the examples of their parts, where every required part has some."""
        most = max([len(self._bodies), *(len(a.examples) for a in self._arguments.values())])
        earlier: set[str] = set()
        for number in range(min(most, MOST_EXAMPLES)):
            call = {
                name: one.examples[min(number, len(one.examples) - 1)]
                for name, one in self._arguments.items()
                if one.examples
            }
            if self._bodies:
                call |= self._bodies[min(number, len(self._bodies) - 1)]
            whole = all(name in call or not one.required for name, one in self._arguments.items())
            key = canonical_json(call)
            if call and whole and key not in earlier:
                earlier.add(key)
                yield call


def _examples(expander: SchemaExpander, owner: Mapping[str, Json]) -> list[Json]:
    examples = [owner["example"]] if "example" in owner else []
    named = owner.get("examples")
    for value in named.values() if isinstance(named, dict) else []:
        example = expander.resolve(value)
        if isinstance(example, dict) and "value" in example:
            examples.append(example["value"])
    return examples


def _schema_examples(schema: Json) -> list[Json]:
    if not isinstance(schema, dict):
        return []
    several = schema.get("examples")
    first = [schema["example"]] if "example" in schema else []
    return [*first, *(several if isinstance(several, list) else [])]
