"""What is wrong with a JSON Schema that others wrote, or with a value under it, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from jsonschema.exceptions import SchemaError, best_match
from referencing.exceptions import Unresolvable

from astra.core.json_schema import validator
from astra.types import Json, canonical_json


def schema_problem(schema: Mapping[str, Json]) -> str:
    """Why a schema is no JSON Schema; "" if it is one."""
    try:
        validator(canonical_json(dict(schema)))
    except (SchemaError, RecursionError, re.error, ValueError) as error:
        return f"the schema can't be used: {error!s:.200}"
    return ""


def value_problem(value: Json, schema: Mapping[str, Json]) -> str:
    """What of a value does not fit a schema, or what is wrong with the schema; "" if nothing."""
    try:
        error = best_match(validator(canonical_json(dict(schema))).iter_errors(value))
    except (SchemaError, Unresolvable, RecursionError, re.error, ValueError) as broken:
        return f"the schema can't be used: {broken!s:.200}"
    return "" if error is None else f"{error.message:.200}"
