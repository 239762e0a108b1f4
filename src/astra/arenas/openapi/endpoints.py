"""What each operation of a document does to a resource, by its path, method and fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from astra.arenas.openapi.bodies import BodyReader, Note, RequestBody
from astra.arenas.openapi.endpoint_schemas import (
    argument_schema,
    check_kind,
    documented_errors,
    python_arguments,
    row_wrapper,
    shown_fields,
    status_of,
)
from astra.arenas.openapi.fields import plain_schema, snake_case
from astra.arenas.openapi.lists import list_result, list_words
from astra.arenas.openapi.service import Endpoint, EndpointKind, Resource
from astra.core.openapi.expansion import SchemaExpander
from astra.core.openapi.operations import ApiOperation, parameters, success_schema
from astra.errors import Rejected
from astra.types import Json


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
        self._bodies = BodyReader(document, resources, note)
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
        renamed = python_arguments(endpoint)
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
        check_kind(operation)
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
            if method != "get" and (found := status_of(resource, last)):
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
                arguments[name] = argument_schema(expander, parameter)
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
            errors=documented_errors(expander, operation),
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
        return replace(endpoint, wrapper=wrapper, shown=shown_fields(result, wrapper, resource))

    def _list(self, operation: ApiOperation, resource: Resource, keys: dict[str, str]) -> Endpoint:
        result = self._result(operation)
        if result is None:
            raise Rejected("result", "what it returns is not described")
        shape = list_result(result, resource)
        expander = SchemaExpander(self._document)
        query = {
            str(parameter.get("name")): (argument_schema(expander, parameter), parameter)
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
        body = self._bodies.read(operation, resource, keys)
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
        return {"wrapper": wrapper, "shown": shown_fields(result, wrapper, resource)}

    def _write(
        self,
        kind: EndpointKind,
        operation: ApiOperation,
        resource: Resource,
        keys: dict[str, str],
    ) -> Endpoint:
        body = self._bodies.read(operation, resource, keys)
        if kind == "delete" and body.required:
            raise Rejected("body", f"it takes more than the row: {sorted(body.required)!r}")
        if kind == "delete":
            body = RequestBody({}, {}, set())
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
