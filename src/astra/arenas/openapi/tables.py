"""The tables that hold a service's resources, and what may be changed in them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from astra.arenas.openapi.fields import ApiField, snake_case
from astra.arenas.openapi.rows import is_created, is_updated, naming_field
from astra.arenas.openapi.service import ApiService, Endpoint, Resource
from astra.arenas.stateful.roles import ColumnRole, NewRow, WritableColumn, WritableTable, is_status
from astra.arenas.stateful.writes import TODAY, first_status
from astra.arenas.tables.profile.labels import column_labels, spoken_labels
from astra.arenas.tables.profile.words import humanised, plural
from astra.arenas.tables.schema import Column, ColumnKind, ForeignKey, Schema, Table
from astra.databases import Cell
from astra.types import Json, Language

_KINDS = {
    "text": ColumnKind.text,
    "integer": ColumnKind.integer,
    "decimal": ColumnKind.number,
    "date": ColumnKind.date,
    "time": ColumnKind.text,
    "flag": ColumnKind.boolean,
    "choice": ColumnKind.text,
}
_ROLES: dict[str, ColumnRole] = {
    "text": "text",
    "integer": "number",
    "decimal": "number",
    "date": "date",
    "time": "date",
    "flag": "flag",
    "choice": "choice",
}
_MOMENTS = {
    "until": "end", "till": "end", "to": "end", "end": "end", "from": "start", "since": "start",
    "start": "start", "begin": "start", "by": "due", "due": "due", "at": "scheduled",
    "on": "scheduled",
}  # fmt: skip
"""What a moment is called whose name is a preposition or half a word."""
_UNIQUE = ("email", "username", "login", "isbn", "phone")
_OPTIONAL_SAID = 2
"""Fields that a new row is given where none is required."""


def service_tables(service: ApiService) -> tuple[Schema, tuple[WritableTable, ...]]:
    """The tables of a service."""
    tables = tuple(_table(service, resource) for resource in service.resources.values())
    return Schema(tables=tuple(table.table for table in tables)), tables


def _table(service: ApiService, resource: Resource) -> WritableTable:
    naming = naming_field(resource)
    changed = {
        column for e in resource.of_kind("change") for column in e.body if column != resource.key
    } | {endpoint.column for endpoint in resource.of_kind("act")}
    creates = resource.of_kind("create")
    new_row = _new_row(service, resource, creates[0]) if creates else None
    filled = set(resource.fields)
    if new_row is not None:
        create = creates[0]
        asked = {c for c, argument in create.body.items() if argument in create.required}
        filled = {resource.key, *create.keys.values(), *asked, *new_row.fixed}
    columns = tuple(
        _column(service, resource, field, naming, changed, field.name in filled)
        for field in resource.fields.values()
    )
    words = humanised(resource.noun)
    *before, last = words.split(" ")
    table = Table(
        name=resource.table,
        source=service.title,
        rows=0,
        columns=tuple(column.column for column in columns),
        key=resource.key,
        naming=naming,
        foreign_keys=tuple(
            ForeignKey(
                column=column,
                table=other,
                references=service.resources[other].key,
                origin="declared",
            )
            for column, other in resource.references.items()
        ),
        domain=service.title,
        singular={"en": words},
        plural={"en": " ".join([*before, plural(last)])},
    )
    return WritableTable(table, columns, resource.references, numbered=True, new_row=new_row)


def _column(
    service: ApiService,
    resource: Resource,
    field: ApiField,
    naming: str | None,
    changed: set[str],
    filled: bool,
) -> WritableColumn:
    role: ColumnRole = _ROLES.get(field.kind, "other")
    kind = _KINDS.get(field.kind, ColumnKind.text)
    if field.name == resource.key:
        role = "key"
    elif field.refers_to:
        other = service.resources[field.refers_to]
        role, kind = "reference", _KINDS[other.fields[other.key].kind]
    elif field.name == naming:
        role = "name"
    column = Column(
        name=field.name,
        kind=kind,
        nulls=0 if filled else 1,
        distinct=0,
        labels=_labels(service, field),
    )
    writable = field.name in changed and role not in ("key", "reference", "name")
    return WritableColumn(
        column,
        role,
        field.scale,
        choices=field.choices,
        unique=role == "key" or snake_case(field.name) in _UNIQUE,
        writable=writable,
        system_date=is_system_date(field),
        low=field.bound("minimum"),
        high=field.bound("maximum"),
        source=snake_case(field.name),
    )


def is_system_date(field: ApiField) -> bool:
    """Whether the service sets a time of its own: when a row came, or was last changed."""
    timed = field.kind in ("date", "time")
    return timed and (is_created(field.name) or is_updated(field.name))


def _labels(service: ApiService, field: ApiField) -> dict[Language, str]:
    name = snake_case(field.name)
    if field.refers_to:
        other = service.resources[field.refers_to].noun
        label = humanised(name.removesuffix("_id"))
        return {"en": label or humanised(other)}
    if name in _MOMENTS and field.kind in ("date", "time"):
        # "The until of a loan" is no English.
        return {"en": f"{_MOMENTS[name]} {field.kind}"}
    *before, last = name.split("_")
    if before and field.kind in ("date", "time") and last in ("at", "on", "in", "out"):
        start = "-".join([*before, last]) if last in ("in", "out") else " ".join(before)
        return {"en": f"{start} {field.kind}"}
    number = field.kind in ("integer", "decimal")
    label = column_labels(re.sub(r"^(?:is|has)_", "", name) if field.kind == "flag" else name)
    whole = field.kind == "integer"
    return {
        "en": spoken_labels(label, name, quantity=number, whole=whole, unit=None)["en"]
        if number
        else label["en"]
    }


def _new_row(service: ApiService, resource: Resource, endpoint: Endpoint) -> NewRow | None:
    """What the creating operation asks for, and what others get. None: that is not known."""
    above = [column for column in endpoint.keys.values() if column != resource.key]
    given = [c for c, argument in endpoint.body.items() if argument in endpoint.required]
    fixed: dict[str, Cell] = {}
    for field in resource.fields.values():
        if field.name == resource.key or field.name in (*given, *above):
            continue
        if is_system_date(field):
            fixed[field.name] = TODAY
            continue
        default = _default(field, endpoint)
        if default is not None:
            fixed[field.name] = default
        elif field.kind == "choice" and is_status(snake_case(field.name)):
            plain = WritableColumn(
                Column(name="status", kind=ColumnKind.text, nulls=0, distinct=0),
                "choice",
                choices=field.choices,
                source="status",
            )
            first = first_status(WritableTable(_BARE, (plain,), {}))
            if first is not None and field.name not in endpoint.body:
                fixed[field.name] = first
            elif field.name in endpoint.body:
                given.append(field.name)
        elif field.required and field.name in endpoint.body and not field.nullable:
            given.append(field.name)
        elif field.required and not field.nullable:
            return None
    if not endpoint.required - endpoint.keys.keys():
        # Nothing has to be said; a request says something.
        naming = naming_field(resource)
        optional = [c for c in endpoint.body if c not in (*fixed, *given)]
        optional.sort(key=lambda column: (column != naming, not resource.fields[column].refers_to))
        given += optional[:_OPTIONAL_SAID]
    order = list(resource.fields)
    return NewRow((*above, *sorted(given, key=order.index)), fixed)


_BARE = Table(
    name="bare", source="", rows=0, columns=(), key=None, naming=None, domain="",
    singular={}, plural={},
)  # fmt: skip


def _default(field: ApiField, endpoint: Endpoint) -> Cell:
    """The value that the document says a field has where nothing is given, as it is stored."""
    argument = endpoint.body.get(field.name, "")
    schema: Mapping[str, Json] = endpoint.parameters.get(argument, {})
    value = schema.get("default", field.default)
    match value:
        case bool() if field.kind == "flag":
            return int(value)
        case str() if field.kind == "choice":
            return value if value in field.choices else None
        case str() if field.kind == "text":
            return value
        case int() | float() if field.kind in ("integer", "decimal"):
            return round(value * 10**field.scale)
        case _:
            return None
