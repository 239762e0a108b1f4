"""What an OpenAPI document offers: resources, and the operations that read and change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from astra.arenas.openapi.fields import ApiField, snake_case
from astra.arenas.tables.profile.words import singular_name
from astra.core.openapi.operations import ApiOperation
from astra.records import Record
from astra.types import Json

EndpointKind = Literal["list", "get", "create", "change", "delete", "act"]


class DocumentNote(Record):
    """Something of a document that its arenas do not have, or have otherwise."""

    id: str
    """Method and path, or resource and property."""
    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Paging:
    """How a list is told in parts."""

    style: Literal["offset", "page", "cursor"]
    position: str
    """Parameter: how many rows to leave out, which page, or what the last part named as next."""
    size: str = ""
    """Parameter: rows at once. Empty: there is none."""
    first: int = 0
    """Position of the first part, of pages."""
    default: int = 20
    most: int = 100


@dataclass(frozen=True, slots=True)
class Filter:
    """A parameter that chooses rows by a column."""

    parameter: str
    several: bool = False
    """Whether it is a list, of which a row has to have one."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation with what it does to a resource."""

    kind: EndpointKind
    tool: str
    """Name of its tool."""
    operation: ApiOperation
    parameters: Mapping[str, Mapping[str, Json]]
    """Argument -> its JSON Schema. Those of columns are named as the document names them."""
    required: frozenset[str] = frozenset()
    """Arguments that have to be given."""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of what names the row, or the row above it: argument -> column."""
    filters: Mapping[str, Filter] = field(default_factory=dict[str, Filter])
    """Of a list: column -> parameter."""
    search: str = ""
    """Of a list: the parameter of words that a row has to hold."""
    paging: Paging | None = None
    wrapper: str = ""
    """Property of the result that holds the row or the rows. Empty: the result is it."""
    extras: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of a list: further property of the result -> what it tells: total, more, next, position,
    size."""
    shown: tuple[str, ...] = ()
    """Columns of the rows in the result."""
    body: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of a write: column -> argument."""
    column: str = ""
    """Of an action: the column that it sets."""
    value: str = ""
    """Of an action: what it sets it to."""
    success: int = 200
    errors: Mapping[int, str] = field(default_factory=dict[int, str])
    """Documented status code of an error -> what the document says of it."""


@dataclass(slots=True)
class Resource:
    """Things of a kind that a service holds."""

    name: str
    """Last word of its path, as in the document."""
    key: str
    fields: dict[str, ApiField]
    schema: Mapping[str, Json]
    description: str = ""
    endpoints: list[Endpoint] = field(default_factory=list[Endpoint])

    @property
    def table(self) -> str:
        return snake_case(self.name)

    @property
    def noun(self) -> str:
        """One of them, in words with underscores."""
        return singular_name(self.table)

    def of_kind(self, *kinds: EndpointKind) -> list[Endpoint]:
        """Its operations of some kinds, in the order of the document."""
        return [endpoint for endpoint in self.endpoints if endpoint.kind in kinds]

    @property
    def references(self) -> dict[str, str]:
        """Column -> resource whose key it holds."""
        return {f.name: f.refers_to for f in self.fields.values() if f.refers_to}


@dataclass(frozen=True, slots=True)
class ApiService:
    """What was read of a document."""

    title: str
    resources: Mapping[str, Resource]
    """By table."""
    notes: tuple[DocumentNote, ...]
    digest: str
    """Hash of the document."""

    @property
    def endpoints(self) -> list[Endpoint]:
        return [endpoint for r in self.resources.values() for endpoint in r.endpoints]
