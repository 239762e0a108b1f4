"""How lists of a document are filtered and told in parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from astra.arenas.openapi.fields import plain_schema, same_name, snake_case
from astra.arenas.openapi.service import Filter, Paging, Resource
from astra.errors import Rejected
from astra.types import Json

_SIZES = frozenset(
    "limit per_page page_size pagesize size max_results maxresults page_limit top".split()
)
_OFFSETS = frozenset("offset skip start start_index startindex".split())
_PAGES = frozenset("page page_number pagenumber page_no".split())
_CURSORS = frozenset(
    "cursor after page_token pagetoken next_token starting_after continuation_token".split()
)
_SEARCHES = frozenset("q query search keyword keywords search_term term text".split())
_TOTALS = frozenset("total count total_count total_items total_results total_elements".split())
_MORE = frozenset("has_more hasmore more has_next".split())
_NEXT = frozenset("next next_cursor next_page_token next_token cursor continuation_token".split())


class ListResult(NamedTuple):
    """The rows in what a list returns."""

    wrapper: str
    extras: dict[str, str]
    shown: tuple[str, ...]


class ListWords(NamedTuple):
    """What the parameters of a list do."""

    filters: dict[str, Filter]
    search: str
    paging: Paging | None
    used: set[str]


def list_result(schema: Mapping[str, Json], resource: Resource) -> ListResult:
    """Where the rows are in a result. Raises Rejected if it holds none, or several lists."""
    if schema.get("type") == "array":
        return ListResult("", {}, _columns(schema, resource))
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        raise Rejected("result", "it returns no list")
    lists: dict[str, tuple[str, ...]] = {}
    extras: dict[str, str] = {}
    for name, value in properties.items():
        word = snake_case(name)
        if isinstance(value, dict) and value.get("type") == "array":
            try:
                lists[name] = _columns(value, resource)
            except Rejected:
                continue
        elif word in _TOTALS:
            extras[name] = "total"
        elif word in _MORE:
            extras[name] = "more"
        elif word in _NEXT:
            extras[name] = "next"
        elif word in _SIZES:
            extras[name] = "size"
        elif word in _OFFSETS | _PAGES:
            extras[name] = "position"
    if len(lists) != 1:
        raise Rejected("result", f"it returns {len(lists)} lists of {resource.name}")
    ((wrapper, shown),) = lists.items()
    return ListResult(wrapper, extras, shown)


def _columns(schema: Mapping[str, Json], resource: Resource) -> tuple[str, ...]:
    items, _ = plain_schema(schema.get("items"))
    properties = items.get("properties")
    if not isinstance(properties, dict) or resource.key not in properties:
        raise Rejected("result", f"what it lists has no {resource.key!r}")
    return tuple(n for n, f in resource.fields.items() if f.shown and n in properties)


def list_words(
    query: Mapping[str, Mapping[str, Json]],
    resource: Resource,
    resources: Mapping[str, Resource],
    shape: ListResult,
) -> ListWords:
    """What the query parameters of a list do; those that are not in `used` do nothing known."""
    filters: dict[str, Filter] = {}
    places: dict[str, str] = {}
    search = ""
    for name, schema in query.items():
        word = snake_case(name)
        column = _filtered(name, schema, resource, resources)
        if column is not None:
            filters[column] = Filter(name, schema.get("type") == "array")
            continue
        kinds = (("size", _SIZES), ("offset", _OFFSETS), ("page", _PAGES), ("cursor", _CURSORS))
        for kind, words in kinds:
            if word in words and (kind == "cursor") == (schema.get("type") == "string"):
                places.setdefault(kind, name)
        if word in _SEARCHES and schema.get("type") == "string":
            search = search or name
    paging = _paging(places, query, shape)
    used = {f.parameter for f in filters.values()} | {search}
    if paging is not None:
        used |= {paging.position, paging.size}
    return ListWords(filters, search, paging, used - {""})


def _filtered(
    name: str,
    schema: Mapping[str, Json],
    resource: Resource,
    resources: Mapping[str, Resource],
) -> str | None:
    """The column that a parameter compares."""
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        kind = items.get("type") if isinstance(items, dict) else None
    for column, field in resource.fields.items():
        other = resources[field.refers_to] if field.refers_to else None
        names = [column] if not other else [column, other.noun, f"{other.noun}_{other.key}"]
        if not any(same_name(name, each) for each in names):
            continue
        wanted = other.fields[other.key].schema if other is not None else field.schema
        comparable = field.kind in ("text", "choice", "flag", "reference", "date")
        if comparable and wanted.get("type") == kind:
            return column
    return None


def _paging(
    places: Mapping[str, str], query: Mapping[str, Mapping[str, Json]], shape: ListResult
) -> Paging | None:
    size = places.get("size", "")
    told = query.get(size, {})
    default, most = told.get("default", told.get("example")), told.get("maximum")
    default = default if isinstance(default, int) and 1 <= default <= 100 else 20
    most = most if isinstance(most, int) and most >= default else max(100, default)
    if "cursor" in places and "next" in shape.extras.values():
        return Paging("cursor", places["cursor"], size, 0, default, most)
    if "offset" in places:
        return Paging("offset", places["offset"], size, 0, default, most)
    if "page" in places:
        first = query[places["page"]]
        given = [first.get(key) for key in ("minimum", "default")]
        start = 0 if 0 in given else 1
        return Paging("page", places["page"], size, start, default, most)
    return None
