"""Validators of JSON Schemas that others wrote: checked once each, nothing fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema.exceptions import SchemaError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from astra.types import Json, canonical_json


def schema_problem(schema: Mapping[str, Json]) -> str:
    """Why a schema is no JSON Schema; "" if it is one."""
    try:
        _validator(canonical_json(dict(schema)))
    except (SchemaError, RecursionError, re.error, ValueError) as error:
        return f"the schema can't be used: {error!s:.200}"
    return ""


def value_problem(value: Json, schema: Mapping[str, Json]) -> str:
    """What of a value does not fit a schema, or what is wrong with the schema; "" if nothing."""
    try:
        error = best_match(_validator(canonical_json(dict(schema))).iter_errors(value))
    except (SchemaError, Unresolvable, RecursionError, re.error, ValueError) as broken:
        return f"the schema can't be used: {broken!s:.200}"
    return "" if error is None else f"{error.message:.200}"


@lru_cache(maxsize=4096)
def _validator(schema: str) -> Validator:
    loaded: dict[str, Any] = json.loads(schema)
    kind = validator_for(loaded, default=Draft202012Validator)
    kind.check_schema(loaded)
    return kind(loaded, registry=Registry())
