"""Reads an OpenAPI document as resources, relations and operations; tells what it leaves out.

A resource has a path of its own for one of its kind, `/orders/{id}`. Nothing is guessed about what
an operation does: one whose meaning does not follow from its path, method and fields is left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from astra.arenas.openapi.endpoints import EndpointReader
from astra.arenas.openapi.fields import ApiField, plain_schema, read_field, same_name, snake_case
from astra.arenas.openapi.references import KEY_SUFFIX, find_reference
from astra.arenas.openapi.service import ApiService, DocumentNote, Resource
from astra.arenas.tables.profile.words import singular_name
from astra.core.openapi.expansion import SchemaExpander
from astra.core.openapi.operations import (
    ApiOperation,
    BrokenPath,
    as_version3,
    operations,
    success_schema,
)
from astra.errors import ConfigError, Rejected
from astra.types import Json, content_hash

MOST_TOOLS = 15
_KEY_NAMES = ("id", "uuid", "key", "code", "number", "slug")
_SYSTEM = re.compile(r"(?:^|_)(?:created|updated|modified|changed|opened|placed|ordered)(?:_|$)")
_VERSION = re.compile(r"v\d+(?:\.\d+)*|api|rest", re.IGNORECASE)


class ItemPath(NamedTuple):
    """A path that names one of a kind: `/orders/{orderId}`."""

    path: str
    collection: str
    """The path of all: `/orders`."""
    parameter: str

    @property
    def name(self) -> str:
        """The last word of the path of all; empty if it has none."""
        words = [part for part in self.collection.split("/") if part and "{" not in part]
        last = self.collection.rsplit("/", 1)[-1]
        return words[-1] if words and words[-1] == last and not _VERSION.fullmatch(last) else ""


def read_service(document: Mapping[str, Json], name: str) -> ApiService:
    """The service of a document. Raises ConfigError where no arena can be made of it."""
    try:
        reader = _DocumentReader(as_version3(document), content_hash(dict(document)))
    except Rejected as rejected:
        raise ConfigError(f"the document {name!r}: {rejected.reason}") from rejected
    return reader.service(name)


class _DocumentReader:
    """Reads one document in version 3."""

    def __init__(self, document: Mapping[str, Json], digest: str) -> None:
        self.document = document
        self.digest = digest
        self.notes: dict[str, DocumentNote] = {}
        self.operations: list[ApiOperation] = []
        for found in operations(document):
            if isinstance(found, BrokenPath):
                self.note(found.path, found.reason.check, found.reason.reason)
            else:
                self.operations.append(found)
        self.by_place = {operation.place: operation for operation in self.operations}
        self.resources: dict[str, Resource] = {}
        self.paths: dict[str, list[ItemPath]] = defaultdict(list)
        """Table -> the paths that name one of its rows."""

    def note(self, place: str, check: str, reason: str) -> None:
        self.notes.setdefault(place, DocumentNote(id=place, check=check, reason=reason))

    def service(self, name: str) -> ApiService:
        """The whole document. Raises ConfigError where no arena can be made of it."""
        info = self.document.get("info")
        title = str(info.get("title") or name) if isinstance(info, dict) else name
        if not self.operations:
            raise ConfigError(f"the document {name!r} has no operations under `paths`")
        if all(operation.method in ("get", "head") for operation in self.operations):
            raise ConfigError(
                f"the document {name!r} only reads: all its operations are GET, and arenas from "
                "documents ask for changes. Give a document with POST, PATCH, PUT or DELETE, or "
                "tables, for arenas that only read"
            )
        for path in dict.fromkeys(operation.path for operation in self.operations):
            item = _item_path(path)
            if item is not None and item.name:
                self._read_resource(item)
        for resource in self.resources.values():
            self._relate(resource)
        reader = EndpointReader(self.document, self.resources, self.paths, self.note)
        for operation in self.operations:
            reader.read(operation)
        reader.settle()
        chosen = self._chosen(name)
        return ApiService(title, chosen, tuple(self.notes.values()), self.digest)

    # --- resources ---------------------------------------------------------------------------

    def _read_resource(self, item: ItemPath) -> None:
        table = snake_case(item.name)
        if table in self.resources:
            self.paths[table].append(item)
            return
        schemas = [(place, s) for place, s in self._schemas(item)]
        reason = "no operation on it says what it holds"
        for place, schema in schemas:
            try:
                plain, _ = plain_schema(SchemaExpander(self.document, "response").schema(schema))
                found = _rows_in(plain, item)
                if found is None:
                    reason = (
                        f"no property of what {place!r} returns is its path parameter "
                        f"{item.parameter!r}"
                    )
                    continue
                holder, key = found
                resource = Resource(item.name, key, {}, holder, str(plain.get("description") or ""))
                self._read_fields(resource)
            except Rejected as rejected:
                reason = f"{place!r}: {rejected.reason}"
                continue
            self.resources[table] = resource
            self.paths[table].append(item)
            return
        self.note(item.path, "resource", reason)

    def _schemas(self, item: ItemPath) -> Iterable[tuple[str, Json]]:
        """What operations on a resource return, the one that shows most first."""
        expander = SchemaExpander(self.document, "response")
        for method, path in (
            ("get", item.path),
            ("get", item.collection),
            ("patch", item.path),
            ("put", item.path),
            ("post", item.collection),
        ):
            operation = self.by_place.get(f"{method} {path}")
            if operation is not None and (schema := success_schema(expander, operation)):
                yield operation.place, schema

    def _read_fields(self, resource: Resource) -> None:
        properties = resource.schema["properties"]
        required = resource.schema.get("required") or []
        for name, value in properties.items():
            place = f"{resource.name}.{name}"
            try:
                field = read_field(name, value, name in required)
            except Rejected as rejected:
                if name == resource.key:
                    raise Rejected(rejected.check, f"its key {name!r}: {rejected.reason}") from None
                # What refers to another resource as a whole is looked at again below.
                resource.fields[name] = ApiField(name, "reference", value, name in required)
                self.note(place, rejected.check, f"the property is left out: {rejected.reason}")
                continue
            if name == resource.key and field.kind not in ("text", "integer"):
                raise Rejected("key", f"its key {name!r} is of kind {field.kind}")
            resource.fields[name] = field

    def _relate(self, resource: Resource) -> None:
        """Find what fields refer to; leave out those that lead nowhere."""
        for name, field in list(resource.fields.items()):
            if name == resource.key:
                continue
            place = f"{resource.name}.{name}"
            other = find_reference(self.resources, resource, name, field.schema)
            if other is not None and other is not resource:
                embedded = field.kind == "reference"
                resource.fields[name] = ApiField(
                    name, "reference", field.schema, field.required, field.nullable,
                    refers_to=other.table, embedded=embedded,
                )  # fmt: skip
                self.notes.pop(place, None)
            elif other is resource or field.kind == "reference":
                del resource.fields[name]
                self.note(place, "reference", "the property is left out: it refers to its own kind")
            elif KEY_SUFFIX.search(snake_case(name)) and field.kind in ("text", "integer"):
                if snake_case(name).endswith(("_id", "_uuid")):
                    del resource.fields[name]
                    self.note(
                        place, "reference", "the property is left out: nothing it could refer to"
                    )
            elif (
                field.read_only
                and field.kind in ("integer", "decimal", "date", "time")
                and not _SYSTEM.search(snake_case(name))
            ):
                del resource.fields[name]
                self.note(place, "computed", "the property is left out: the service computes it")

    # --- choice ------------------------------------------------------------------------------

    def _chosen(self, name: str) -> dict[str, Resource]:
        """The resources of one connected part, with at most so many tools."""
        import networkx  # for documents alone; making arenas from tables imports this module, too

        usable = {
            table: resource
            for table, resource in self.resources.items()
            if resource.of_kind("list", "get") or resource.of_kind("create")
        }
        graph: networkx.Graph[str] = networkx.Graph()
        graph.add_nodes_from(usable)
        for table, resource in usable.items():
            graph.add_edges_from((table, o) for o in resource.references.values() if o in usable)
        writes = {
            table: len(resource.of_kind("create", "change", "delete", "act"))
            for table, resource in usable.items()
        }
        parts = sorted(
            networkx.connected_components(graph),
            key=lambda part: (-sum(writes[t] for t in part), min(part)),
        )
        if not parts or not sum(writes[table] for table in parts[0]):
            told = "; ".join(f"{n.id}: {n.reason}" for n in list(self.notes.values())[:3])
            raise ConfigError(
                f"the document {name!r} holds nothing that arenas could change: a resource needs a "
                f"path of its own (`/orders/{{id}}`) and an operation that changes it"
                f"{f' ({told})' if told else ''}"
            )
        part, chosen = parts[0], dict[str, Resource]()
        start = max(sorted(part), key=lambda table: (writes[table], graph.degree(table)))
        for table in (
            start,
            *(t for _, t in networkx.bfs_edges(graph, start, sort_neighbors=sorted)),
        ):
            tools = sum(len(usable[t].endpoints) for t in (*chosen, table))
            if chosen and tools > MOST_TOOLS:
                continue
            chosen[table] = usable[table]
        for table in usable:
            if table not in chosen:
                reason = (
                    f"more than {MOST_TOOLS} tools"
                    if table in part
                    else "it has no relation to the others"
                )
                self.note(usable[table].name, "resources", f"the resource is left out: {reason}")
        for resource in chosen.values():
            _drop_references(resource, chosen)
        return {table: chosen[table] for table in usable if table in chosen}


def _drop_references(resource: Resource, chosen: Mapping[str, Resource]) -> None:
    for column, other in resource.references.items():
        if other not in chosen:
            del resource.fields[column]
    resource.endpoints = [
        endpoint
        for endpoint in resource.endpoints
        if all(column in resource.fields for column in endpoint.keys.values())
        and all(
            column in resource.fields or argument not in endpoint.required
            for column, argument in endpoint.body.items()
        )
    ]


def _item_path(path: str) -> ItemPath | None:
    collection, _, last = path.rstrip("/").rpartition("/")
    named = re.fullmatch(r"\{([^{}]+)\}", last)
    return ItemPath(path, collection, named[1]) if named and collection else None


def _rows_in(schema: Mapping[str, Json], item: ItemPath) -> tuple[Mapping[str, Json], str] | None:
    """The schema of one row in what an operation returns, and its key. None: there is none."""
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return _rows_in(plain_schema(schema["items"])[0], item)
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return None
    if (key := _key_in(properties, item)) is not None:
        return schema, key
    held = []
    for value in properties.values():
        try:
            inner, _ = plain_schema(value)
        except Rejected:
            continue
        if inner.get("type") == "array" and isinstance(inner.get("items"), dict):
            inner, _ = plain_schema(inner["items"])
        own = inner.get("properties")
        if isinstance(own, dict) and (key := _key_in(own, item)) is not None:
            held.append((inner, key))
    return held[0] if len(held) == 1 else None


def _key_in(properties: Mapping[str, Json], item: ItemPath) -> str | None:
    """The property that the path parameter of a resource gives."""
    noun = singular_name(snake_case(item.name))
    parameter = snake_case(item.parameter)
    for name in properties:
        if same_name(name, parameter):
            return name
    if not (parameter in _KEY_NAMES or KEY_SUFFIX.search(parameter) or parameter == noun):
        return None
    for wanted in (*_KEY_NAMES, *(f"{noun}_{key}" for key in _KEY_NAMES)):
        for name in properties:
            if same_name(name, wanted):
                return name
    return None
