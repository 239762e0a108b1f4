"""What each operation of a document does to a resource, by its path, method and fields."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from astra.arenas.openapi.fields import plain_schema, same_name, snake_case
from astra.arenas.openapi.lists import list_result, list_words
from astra.arenas.openapi.references import find_reference
from astra.arenas.openapi.service import Endpoint, EndpointKind, Resource
from astra.core.openapi.expansion import SchemaExpander
from astra.core.openapi.operations import ApiOperation, media, parameters, success_schema
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
_BOUNDS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern"),
    *("minLength", "maxLength"),
)
Note = Callable[[str, str, str], None]


@dataclass(slots=True)
class _Body:
    """What a write takes."""

    columns: dict[str, str]
    """Column -> argument."""
    arguments: dict[str, dict[str, Json]]
    required: set[str]


class EndpointReader:
    """Reads the operations of a document into its resources."""

    def __init__(
        self,
        document: Mapping[str, Json],
        resources: Mapping[str, Resource],
        paths: Mapping[str, Sequence[Any]],
        note: Note,
    ) -> None:
        self._document = document
        self._resources = resources
        self._items = {item.path: (table, item) for table in paths for item in paths[table]}
        self._collections = {item.collection: table for table, item in self._items.values()}
        self._note = note
        self._names: set[str] = set()

    def read(self, operation: ApiOperation) -> None:
        """Add an operation to its resource, or note why it is left out."""
        try:
            resource, endpoint = self._endpoint(operation)
        except Rejected as rejected:
            self._note(
                operation.place, rejected.check, f"the operation is left out: {rejected.reason}"
            )
            return
        renamed = _callable(endpoint)
        for name in endpoint.parameters.keys() - renamed.parameters.keys():
            self._note(
                f"{operation.place} {name}",
                "name",
                "the argument is called otherwise: no identifier",
            )
        resource.endpoints.append(renamed)

    def settle(self) -> None:
        """Leave out operations that do what others do: each change has one tool."""
        for resource in self._resources.values():
            for kind in ("get", "create", "delete"):
                for extra in resource.of_kind(kind)[1:]:
                    self._drop(resource, extra, f"{resource.of_kind(kind)[0].tool!r} does the same")
            taken: dict[str, str] = {}
            acts = resource.of_kind("act")
            for act in acts:
                taken[act.column] = act.tool
            order = {"patch": 0, "put": 1, "post": 2}
            for change in sorted(
                resource.of_kind("change"), key=lambda e: order[e.operation.method]
            ):
                self._without(resource, change, taken)

    def _without(self, resource: Resource, change: Endpoint, taken: dict[str, str]) -> None:
        """A change without the columns that other operations set."""
        twice = {column: taken[column] for column in change.body if column in taken}
        body = {column: a for column, a in change.body.items() if column not in twice}
        needed = [column for column in twice if change.body[column] in change.required]
        own = [column for column in body if not resource.fields[column].refers_to]
        if (needed and not own) or not body:
            self._drop(resource, change, f"{', '.join(sorted(set(twice.values())))} does the same")
            return
        for column, tool in twice.items():
            self._note(
                f"{change.operation.place} {change.body[column]}",
                "twice",
                f"the argument is left out: {tool!r} sets it, and each change has one tool",
            )
        gone = {change.body[column] for column in twice}
        new = replace(
            change,
            body=body,
            parameters={n: s for n, s in change.parameters.items() if n not in gone},
            required=change.required - gone,
        )
        resource.endpoints[resource.endpoints.index(change)] = new
        taken |= dict.fromkeys(body, change.tool)

    def _drop(self, resource: Resource, endpoint: Endpoint, reason: str) -> None:
        resource.endpoints.remove(endpoint)
        self._note(endpoint.operation.place, "twice", f"the operation is left out: {reason}")

    # --- one operation -----------------------------------------------------------------------

    def _endpoint(self, operation: ApiOperation) -> tuple[Resource, Endpoint]:
        method, path = operation.method, operation.path.rstrip("/")
        _check_kind(operation)
        above, _, last = path.rpartition("/")
        if path in self._items:
            table, item = self._items[path]
            resource = self._resources[table]
            keys = {**self._parents(item.collection, resource), item.parameter: resource.key}
            match method:
                case "get":
                    return resource, self._get(operation, resource, keys)
                case "delete":
                    return resource, self._write("delete", operation, resource, keys)
                case "put" | "patch" | "post":
                    return resource, self._write("change", operation, resource, keys)
                case _:
                    raise Rejected("method", f"{method.upper()} of one {resource.noun}")
        table = self._collections.get(path) or self._nested(path)
        if table is not None:
            resource = self._resources[table]
            keys = self._parents(path, resource)
            match method:
                case "get":
                    return resource, self._list(operation, resource, keys)
                case "post":
                    return resource, self._write("create", operation, resource, keys)
                case "put" | "patch":
                    return resource, self._write("change", operation, resource, keys)
                case _:
                    raise Rejected("method", f"{method.upper()} of all {resource.name}")
        if above in self._items:
            table, item = self._items[above]
            resource = self._resources[table]
            keys = {**self._parents(item.collection, resource), item.parameter: resource.key}
            if method != "get" and (found := _status_of(resource, last)):
                return resource, self._act(operation, resource, keys, *found)
            raise Rejected("rpc", f"what {last!r} does to a {resource.noun} is not known")
        if above in self._collections and method == "get":
            resource = self._resources[self._collections[above]]
            return resource, self._list(operation, resource, self._parents(above, resource))
        raise Rejected("rpc", "its path names no resource")

    def _nested(self, path: str) -> str | None:
        """The resource of `/xs/{id}/ys`, where `/ys/{id}` is one."""
        above, _, last = path.rpartition("/")
        return (
            snake_case(last)
            if above in self._items and snake_case(last) in self._resources
            else None
        )

    def _parents(self, path: str, resource: Resource) -> dict[str, str]:
        """Path parameter of a row above -> column that refers to it."""
        keys: dict[str, str] = {}
        for literal, parameter in re.findall(r"([^/{}]+)/\{([^{}]+)\}", path):
            parent = self._resources.get(snake_case(literal))
            if parent is None:
                raise Rejected("path", f"its path names a {literal!r}, which is no resource")
            column = next((c for c, t in resource.references.items() if t == parent.table), None)
            if column is None:
                # Only the path tells whose they are: a column that results do not show.
                column = f"{parent.noun}_id"
                resource.fields[column] = replace(
                    parent.fields[parent.key], name=column, kind="reference", required=True,
                    refers_to=parent.table, shown=False, read_only=False,
                )  # fmt: skip
            keys[parameter] = column
        return keys

    def _base(
        self, kind: EndpointKind, operation: ApiOperation, resource: Resource, keys: dict[str, str]
    ) -> Endpoint:
        expander = SchemaExpander(self._document)
        arguments: dict[str, dict[str, Json]] = {}
        for place, parameter in parameters(expander, operation):
            name = str(parameter.get("name"))
            if place == "path":
                arguments[name] = _argument(expander, parameter)
        if arguments.keys() != keys.keys():
            odd = sorted(arguments.keys() ^ keys.keys())
            raise Rejected("path", f"its path parameters {odd!r} name no row")
        success = min(
            (int(s) for s in operation.responses if re.fullmatch(r"2\d\d", s)), default=200
        )
        return Endpoint(
            kind,
            self._tool_name(operation),
            operation,
            arguments,
            frozenset(keys),
            keys,
            success=success,
            errors=_errors(expander, operation),
        )

    def _tool_name(self, operation: ApiOperation) -> str:
        given = operation.values.get("operationId")
        text = str(given) if given else f"{operation.method}_{operation.path}"
        name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:60] or operation.method
        name = f"{operation.method}_{name}" if name[0].isdigit() else name
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def _result(self, operation: ApiOperation) -> Mapping[str, Json] | None:
        expander = SchemaExpander(self._document, "response")
        schema = success_schema(expander, operation)
        return None if schema is None else plain_schema(expander.schema(schema))[0]

    def _get(self, operation: ApiOperation, resource: Resource, keys: dict[str, str]) -> Endpoint:
        result = self._result(operation)
        wrapper = None if result is None else row_wrapper(result, resource)
        if result is None or wrapper is None:
            raise Rejected("result", "what it returns is not described as one of them")
        endpoint = self._base("get", operation, resource, keys)
        return replace(endpoint, wrapper=wrapper, shown=_shown(result, wrapper, resource))

    def _list(self, operation: ApiOperation, resource: Resource, keys: dict[str, str]) -> Endpoint:
        result = self._result(operation)
        if result is None:
            raise Rejected("result", "what it returns is not described")
        shape = list_result(result, resource)
        expander = SchemaExpander(self._document)
        query = {
            str(parameter.get("name")): (_argument(expander, parameter), parameter)
            for place, parameter in parameters(expander, operation)
            if place == "query"
        }
        endpoint = self._base("list", operation, resource, keys)
        words = list_words(
            {name: schema for name, (schema, _) in query.items()}, resource, self._resources, shape
        )
        for name, (_, parameter) in query.items():
            if name not in words.used and parameter.get("required") is True:
                raise Rejected("query", f"what its parameter {name!r} asks for is not known")
            if name not in words.used:
                self._note(
                    f"{operation.place} {name}",
                    "query",
                    "the argument is left out: it names no column, and no part of a list",
                )
        return replace(
            endpoint,
            parameters={
                **endpoint.parameters,
                **{name: schema for name, (schema, _) in query.items() if name in words.used},
            },
            required=endpoint.required
            | {n for n, (_, p) in query.items() if p.get("required") is True},
            filters=words.filters,
            search=words.search,
            paging=words.paging,
            wrapper=shape.wrapper,
            extras=shape.extras,
            shown=shape.shown,
        )

    def _act(
        self,
        operation: ApiOperation,
        resource: Resource,
        keys: dict[str, str],
        column: str,
        value: str,
    ) -> Endpoint:
        body = self._body(operation, resource, keys)
        if body.required:
            raise Rejected("action", f"it takes more than the row: {sorted(body.required)!r}")
        endpoint = self._base("act", operation, resource, keys)
        return replace(endpoint, column=column, value=value, **self._returned(operation, resource))

    def _returned(self, operation: ApiOperation, resource: Resource) -> dict[str, Any]:
        """Wrapper and columns of the row that a write returns; nothing if it returns none."""
        result = self._result(operation)
        wrapper = None if result is None else row_wrapper(result, resource)
        if result is None or wrapper is None:
            return {}
        return {"wrapper": wrapper, "shown": _shown(result, wrapper, resource)}

    def _write(
        self,
        kind: EndpointKind,
        operation: ApiOperation,
        resource: Resource,
        keys: dict[str, str],
    ) -> Endpoint:
        body = self._body(operation, resource, keys)
        if kind == "delete" and body.required:
            raise Rejected("body", f"it takes more than the row: {sorted(body.required)!r}")
        if kind == "delete":
            body = _Body({}, {}, set())
        named = set(keys.values())
        if kind == "change" and resource.key not in named:
            argument = body.columns.pop(resource.key, None)
            if argument is None:
                raise Rejected("path", f"neither its path nor its body names the {resource.noun}")
            keys = {**keys, argument: resource.key}
            body.required.add(argument)
        else:
            # The service, or the path, gives the key.
            given = body.columns.pop(resource.key, "")
            body.arguments.pop(given, None)
            if given in body.required:
                raise Rejected("key", f"the caller chooses the key {given!r} of what it makes")
        if kind in ("create", "change") and not body.columns:
            raise Rejected("body", "it takes no field that results show")
        path = {n: c for n, c in keys.items() if n not in body.arguments}
        endpoint = self._base(kind, operation, resource, path)
        if kind == "change":
            # What is left out stays as it is, whatever the schema says of new rows.
            for schema in body.arguments.values():
                schema.pop("default", None)
        return replace(
            endpoint,
            parameters={**endpoint.parameters, **body.arguments},
            required=endpoint.required | body.required,
            keys=keys,
            body=body.columns,
            **self._returned(operation, resource),
        )

    def _body(self, operation: ApiOperation, resource: Resource, keys: Mapping[str, str]) -> _Body:
        """The fields that a write takes: those of its body, and its query parameters."""
        expander = SchemaExpander(self._document)
        fields: dict[str, tuple[dict[str, Json], bool]] = {}
        for place, parameter in parameters(expander, operation):
            if place == "query":
                needed = parameter.get("required") is True
                fields[str(parameter.get("name"))] = (_argument(expander, parameter), needed)
        body = expander.resolve(operation.values.get("requestBody"))
        if isinstance(body, dict):
            held = media(body.get("content"))
            if held is None:
                raise Rejected("body", "its body is neither JSON nor a form: an upload")
            schema, _ = plain_schema(expander.schema(held.get("schema", {})))
            properties = schema.get("properties")
            if not isinstance(properties, dict):
                raise Rejected("body", "its body is not an object with known fields")
            required = schema.get("required") or []
            for name, value in properties.items():
                fields[name] = (value if isinstance(value, dict) else {}, name in required)
        found = _Body({}, {}, set())
        for name, (schema, needed) in fields.items():
            try:
                plain, _ = plain_schema(schema)
            except Rejected:
                plain = {}
            column = self._column(name, plain, resource, set(keys.values()), set(found.columns))
            if column is None:
                if needed:
                    reason = f"it needs {name!r}, which no table holds"
                    raise Rejected("body", reason)
                self._note(
                    f"{operation.place} {name}",
                    "body",
                    "the argument is left out: no table holds it",
                )
                continue
            argument = f"body_{name}" if name in keys else name
            found.columns[column] = argument
            # Often only requests say what is allowed.
            told = {key: plain[key] for key in _BOUNDS if key in plain}
            field = resource.fields[column]
            resource.fields[column] = replace(field, schema={**told, **field.schema})
            found.arguments[argument] = _kept_schema(plain)
            if needed:
                found.required.add(argument)
        return found

    def _column(
        self,
        name: str,
        schema: dict[str, Json],
        resource: Resource,
        path: set[str],
        taken: set[str],
    ) -> str | None:
        """The column that a field of a request sets."""
        if schema.get("type") in ("array", "object") or "properties" in schema:
            return None
        for column, field in resource.fields.items():
            if column in path or column in taken or not same_name(column, name):
                continue
            if field.embedded:
                break
            return column if not field.read_only or column == resource.key else None
        other = find_reference(self._resources, resource, name, schema)
        if other is None:
            return None
        columns = [c for c, t in resource.references.items() if t == other.table]
        free = [c for c in columns if c not in path and c not in taken]
        return free[0] if len(columns) == 1 and free else None


def _callable(endpoint: Endpoint) -> Endpoint:
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


def _check_kind(operation: ApiOperation) -> None:
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


def _argument(expander: SchemaExpander, parameter: Mapping[str, Json]) -> dict[str, Json]:
    held = media(parameter.get("content"))
    schema = expander.schema(held.get("schema") if held else parameter.get("schema", {}))
    try:
        plain, _ = plain_schema(schema)
    except Rejected:
        plain = {}
    said = parameter.get("description") or plain.get("description")
    kept = _kept_schema(plain)
    return {**kept, **({"description": str(said)} if said else {})}


def _kept_schema(schema: Mapping[str, Json]) -> dict[str, Json]:
    kept = {key: schema[key] for key in _SCHEMA_KEYS if key in schema}
    if not isinstance(kept.get("default"), str | int | float | bool):
        kept.pop("default", None)
    said = schema.get("description") or schema.get("title")
    return {**kept, **({"description": str(said)} if said else {})}


def _errors(expander: SchemaExpander, operation: ApiOperation) -> dict[int, str]:
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


def _shown(schema: Mapping[str, Json], wrapper: str, resource: Resource) -> tuple[str, ...]:
    held = schema["properties"][wrapper] if wrapper else schema
    return tuple(
        name
        for name, field in resource.fields.items()
        if field.shown and name in held["properties"]
    )


def _status_of(resource: Resource, verb: str) -> tuple[str, str] | None:
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
