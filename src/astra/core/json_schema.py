"""Validators for JSON Schemas that others wrote, of values that others wrote, in bounded time.

No reference is fetched. Python's regular expressions take exponential time for some pairs of a
pattern and a text, and nothing can stop them: patterns of fixed length are safe with them, all
others go to RE2, which DuckDB brings along.

What this does not guarantee: RE2 knows no look-ahead, no look-behind and no references back.
Patterns that it can't read are not checked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing import Registry

from astra.types import Json, canonical_json

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]
"""Checks one keyword of a schema: validator, the keyword's value, the instance, the schema."""
_FIXED = re.compile(r"(?:[^()*+?{}|\\]|\\[dwsDWS.\-/]|\{\d{1,3}\})*")
_SHOWN = 300


@lru_cache(maxsize=4096)
def validator(schema: str) -> Validator:
    """A compiled validator of a schema in JSON; raises `SchemaError`."""
    loaded: dict[str, Any] = json.loads(schema)
    kind = validator_for(loaded, default=Draft202012Validator)
    kind.check_schema(loaded)
    keywords: dict[str, Keyword] = {
        "uniqueItems": _unique,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
    }
    for name in ("additionalProperties", "unevaluatedProperties"):
        if name in kind.VALIDATORS:
            keywords[name] = _unless_patterns(kind.VALIDATORS[name])
    return extend(kind, keywords)(loaded, registry=Registry())


def is_fixed(pattern: str) -> bool:
    """Whether all that a pattern matches has one length, so that any engine is quick with it."""
    return _FIXED.fullmatch(pattern) is not None


# --- keywords --------------------------------------------------------------------------------


def _unique(_validator: Any, wanted: Json, value: Json, _schema: Json) -> Iterator[ValidationError]:
    """`uniqueItems` in linear time; the library's own compares all pairs, for minutes."""
    if wanted is True and isinstance(value, list):
        seen = {canonical_json(_one_spelling(item)) for item in value}
        if len(seen) < len(value):
            yield ValidationError(f"{_short(value)} has non-unique elements")


def _one_spelling(value: Json) -> Json:
    """1.0 as 1: JSON Schema knows numbers only."""
    if isinstance(value, dict):
        return {name: _one_spelling(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_one_spelling(child) for child in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pattern(
    _validator: Any, wanted: Json, value: Json, _schema: Json
) -> Iterator[ValidationError]:
    if isinstance(value, str) and _stands_in(wanted, value) is False:
        yield ValidationError(f"{_short(value)} does not match {_short(wanted)}")


def _pattern_properties(
    validator: Any, wanted: Json, value: Json, _schema: Json
) -> Iterator[ValidationError]:
    for pattern, schema in wanted.items() if isinstance(value, dict) else ():
        for name, child in value.items():
            if _stands_in(pattern, name):
                yield from validator.descend(child, schema, path=name, schema_path=pattern)


def _unless_patterns(original: Keyword) -> Keyword:
    """A keyword that looks itself which names match patterns; not checked beside risky ones."""

    def keyword(
        validator: Any, wanted: Json, value: Json, schema: Json
    ) -> Iterator[ValidationError]:
        if all(map(is_fixed, schema.get("patternProperties", {}))):
            yield from original(validator, wanted, value, schema) or ()

    return keyword


def _short(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


# --- patterns --------------------------------------------------------------------------------


def _stands_in(pattern: str, text: str) -> bool | None:
    """Whether something in a text matches; None if that can't be told in linear time."""
    if is_fixed(pattern):
        return re.search(pattern, text) is not None
    import duckdb  # late: few schemas need it

    query = "SELECT regexp_matches(?, ?)"
    try:
        row = _engine(os.getpid()).cursor().execute(query, [text, pattern]).fetchone()
    except duckdb.InvalidInputException:
        re.compile(pattern)  # what is no pattern at all is the schema's fault
        return None
    return bool(row and row[0])


@lru_cache(maxsize=1)
def _engine(_process: int) -> DuckDBPyConnection:
    """A connection of this process alone: none survives a fork."""
    import duckdb

    return duckdb.connect(":memory:", config={"enable_external_access": "false", "threads": 1})
