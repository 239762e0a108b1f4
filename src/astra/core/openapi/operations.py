"""The operations of an OpenAPI document, of Swagger 2.0 or 3.x, with their parts resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from astra.core.openapi.expansion import SchemaExpander
from astra.core.openapi.swagger2 import as_openapi3
from astra.errors import Rejected
from astra.types import Json

METHODS = ("get", "put", "post", "delete", "head", "patch")
PLACES = ("path", "query", "header", "cookie")
"""Where a parameter can be, in the order in which arguments are listed."""
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """One operation as the document has it, and the path it stands under."""

    method: str
    path: str
    item: Mapping[str, Json]
    """What stands under the path: parameters that its operations share, too."""
    values: Mapping[str, Json]
    """What stands under the method."""

    @property
    def place(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        return str(self.values.get("operationId") or self.place)

    @property
    def tags(self) -> tuple[str, ...]:
        given = self.values.get("tags")
        return tuple(map(str, given)) if isinstance(given, list) else ()

    @property
    def description(self) -> str:
        """Summary and description; without both empty."""
        said = (str(self.values.get(key) or "") for key in ("summary", "description"))
        summary, description = said
        return description if summary in description else f"{summary}\n\n{description}".strip()

    @property
    def responses(self) -> Mapping[str, Json]:
        """Status code -> response, as the document has it."""
        value = self.values.get("responses")
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class BrokenPath:
    """A path whose operations can't be read."""

    path: str
    reason: Rejected


def is_openapi(value: Json) -> bool:
    """Whether a parsed file is an OpenAPI document, of whatever version."""
    return isinstance(value, dict) and ("openapi" in value or "swagger" in value)


def as_version3(document: Mapping[str, Json]) -> Mapping[str, Json]:
    """The document in version 3. Raises Rejected for versions that are not known."""
    version = str(document.get("openapi") or document.get("swagger"))
    if version.startswith("2."):
        return as_openapi3(document, SchemaExpander(document).resolve)
    if not version.startswith("3."):
        raise Rejected("version", f"OpenAPI {version}: convert it to version 3 first")
    return document


def operations(document: Mapping[str, Json]) -> Iterator[ApiOperation | BrokenPath]:
    """The operations of a document in version 3, in its order."""
    paths = document.get("paths")
    for path, value in (paths if isinstance(paths, dict) else {}).items():
        try:
            item = SchemaExpander(document).resolve(value)
        except Rejected as rejected:
            yield BrokenPath(path, rejected)
            continue
        for method in METHODS:
            if isinstance(item, dict) and isinstance(item.get(method), dict):
                yield ApiOperation(method, path, item, item[method])


def parameters(
    expander: SchemaExpander, operation: ApiOperation
) -> list[tuple[str, Mapping[str, Json]]]:
    """(place, parameter) of the path and the operation, whose own win; in the order of PLACES."""
    found: dict[tuple[str, str], Mapping[str, Json]] = {}
    for owner in (operation.item, operation.values):
        values = owner.get("parameters") or []
        for value in values if isinstance(values, list) else []:
            parameter = expander.resolve(value)
            if not isinstance(parameter, dict) or parameter.get("in") not in PLACES:
                reason = f"not a parameter of path, query or header: {value!r:.100}"
                raise Rejected("layout", reason)
            found[str(parameter["in"]), str(parameter.get("name"))] = parameter
    ordered = sorted(found.items(), key=lambda entry: PLACES.index(entry[0][0]))
    return [(place, parameter) for (place, _), parameter in ordered]


def media(content: Json) -> Mapping[str, Json] | None:
    """The JSON of a content, else a form, else a text. None: none of them."""
    if not isinstance(content, dict):
        return None
    plain = {kind: kind.partition(";")[0].strip() for kind in content}
    json_kinds = [
        kind
        for kind, name in plain.items()
        if name.casefold() in ("application/json", "*/*") or name.casefold().endswith("+json")
    ]
    kinds = [*json_kinds, *(kind for kind, name in plain.items() if name in _FORMS)]
    texts = [kind for kind, name in plain.items() if name.casefold().startswith("text/")]
    found = next((content[kind] for kind in (*kinds, *texts)), None)
    if not isinstance(found, dict):
        return None
    return found if kinds else {"schema": {"type": "string"}, **found}


def success_schema(expander: SchemaExpander, operation: ApiOperation) -> Json:
    """Schema of the first success that has one, not expanded. None: not documented."""
    for status in sorted(operation.responses):
        if status.startswith("2") or status == "default":
            response = expander.resolve(operation.responses[status])
            found = media(response.get("content")) if isinstance(response, dict) else None
            if found and isinstance(found.get("schema"), dict):
                return found["schema"]
    return None
