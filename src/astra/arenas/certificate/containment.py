"""Whether a value stands in a text or in a document. Used by `grounding`, and by `readings`.

Text is found at word boundaries, numbers as numbers, dates also as people write them. Not
covered: numbers in words ("two"), synonyms, translations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from astra.arenas.certificate.parameters import types_of
from astra.core.kept import kept_by_identity
from astra.core.text import as_date, as_number, contains_text, dates_in, numbers_in
from astra.rewards import same_number
from astra.types import Json, Scalar, Tool, ToolSchema

_STRUCTURE = frozenset({"properties", "items", "type", "required"})
_VALUES = frozenset({"const", "enum", "examples"})
_LEAST_BOUND = 1000
"""Smaller bounds and lengths of a parameter (from 1 to 100, say) give nothing away."""

_numbers = lru_cache(maxsize=1024)(numbers_in)
_dates = lru_cache(maxsize=1024)(dates_in)


def stands_in(value: Json, text: str, *, absolute: float = 0.0, relative: float = 1e-9) -> bool:
    """Whether a scalar stands in a text. Booleans and null stand nowhere."""
    if isinstance(value, str):
        day = as_date(value)
        # 2024-03-01 leaks as "1 March 2024", too.
        return contains_text(text, value) or (day is not None and day in _dates(text))
    if value is None or isinstance(value, bool) or as_number(value) is None:
        return False
    return any(
        same_number(value, number, absolute=absolute, relative=relative)
        for number in _numbers(text)
    )


def offered(schema: dict[str, Json], value: Json) -> bool:
    """Whether the document itself offers a value: an enum, a default, a boolean, null."""
    if value is None or (isinstance(value, bool) and "boolean" in types_of(schema)):
        return True
    listed = [*schema.get("enum", []), *(schema[k] for k in ("default", "const") if k in schema)]
    # The types must agree, too: in Python True == 1.
    if any(value == other and type(value) is type(other) for other in listed):
        return True
    return (
        isinstance(value, list)
        and bool(value)
        and "items" in schema
        and all(offered(schema["items"], element) for element in value)
    )


def offered_for(schema: dict[str, Json], value: Json) -> bool:
    """As `offered`, for a value that may be one element of a list: its items' schema counts."""
    return offered(schema, value) or offered(schema.get("items", schema), value)


def document_text(tool: Tool) -> str:
    """All that a document says: names, descriptions, values, patterns, bounds, one per line."""
    return _text_of(tool.document)


@kept_by_identity(512)
def _text_of(document: ToolSchema) -> str:
    parts = [_words(document.name), document.description, *_schema_text(document.parameters)]
    return "\n".join(parts)


def _schema_text(schema: dict[str, Json]) -> Iterator[str]:
    for keyword, value in schema.items():
        # A maximum or a default can give the answer away as well as a description can; a small
        # one, as `limit` 1 or `page` 10, can't.
        small = isinstance(value, int | float) and abs(value) < _LEAST_BOUND
        if keyword == "description" and isinstance(value, str):
            value = _without_default(value, schema.get("default"))
        if keyword not in _STRUCTURE and not (small and keyword not in _VALUES):
            yield from map(str, _names_and_leaves(value))
    for name, child in schema.get("properties", {}).items():
        yield _words(name)
        yield from _schema_text(child)
    if "items" in schema:
        yield from _schema_text(schema["items"])


def _without_default(description: str, default: Json) -> str:
    """A description without the small number that it says to be the default."""
    if isinstance(default, bool) or not isinstance(default, int) or abs(default) >= _LEAST_BOUND:
        return description
    number = rf"(?<![\d.]){default}(?![\d.]*\d)"
    said = rf"(\bdefaults?(?: is|s? to|:|=)?\s*){number}|{number}(?=,? (?:by|is the) default)"
    return re.sub(said + rf"|(默认(?:值)?(?:为|是|：)?\s*){number}", r"\1\2", description)


def _names_and_leaves(value: Json) -> Iterator[Scalar | None]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield name
            yield from _names_and_leaves(child)
    elif isinstance(value, list):
        for child in value:
            yield from _names_and_leaves(child)
    else:
        yield value


def _words(name: str) -> str:
    """`euroRate_of` as "euro Rate of"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ")
