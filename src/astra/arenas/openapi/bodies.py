"""The fields that a write of a document takes, as columns of its resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from astra.arenas.openapi.endpoint_schemas import argument_schema, kept_schema
from astra.arenas.openapi.fields import plain_schema, same_name
from astra.arenas.openapi.references import find_reference
from astra.arenas.openapi.service import Resource
from astra.core.openapi.expansion import SchemaExpander
from astra.core.openapi.operations import ApiOperation, media, parameters
from astra.errors import Rejected
from astra.types import Json

_BOUNDS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern"),
    *("minLength", "maxLength"),
)
Note = Callable[[str, str, str], None]
"""Takes the place in a document, a kind of reason, and the reason."""


@dataclass(slots=True)
class RequestBody:
    """What a write takes."""

    columns: dict[str, str]
    """Column -> argument."""
    arguments: dict[str, dict[str, Json]]
    required: set[str]


class BodyReader:
    """Reads what writes take, and adds the bounds that only they tell to the resource's fields."""

    def __init__(
        self, document: Mapping[str, Json], resources: Mapping[str, Resource], note: Note
    ) -> None:
        self._document = document
        self._resources = resources
        self._note = note

    def read(
        self, operation: ApiOperation, resource: Resource, keys: Mapping[str, str]
    ) -> RequestBody:
        """The fields that a write takes: those of its body, and its query parameters."""
        expander = SchemaExpander(self._document)
        fields: dict[str, tuple[dict[str, Json], bool]] = {}
        for place, parameter in parameters(expander, operation):
            if place == "query":
                needed = parameter.get("required") is True
                fields[str(parameter.get("name"))] = (argument_schema(expander, parameter), needed)
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
        found = RequestBody({}, {}, set())
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
            found.arguments[argument] = kept_schema(plain)
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
