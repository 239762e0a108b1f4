"""What is wrong with a JSON Schema that others wrote, or with a value under it, in words."""

from __future__ import annotations

from collections.abc import Mapping

from astra.core.json_schema import UnusableSchema, check_schema, violation
from astra.types import Json


def schema_problem(schema: Mapping[str, Json]) -> str:
    """Why a schema is not a JSON Schema. Empty if it is one."""
    try:
        check_schema(schema)
    except UnusableSchema as error:
        return f"the schema can't be used: {error!s:.200}"
    return ""


def value_problem(value: Json, schema: Mapping[str, Json]) -> str:
    """What of a value does not fit a schema, or what is wrong with the schema. Empty if nothing."""
    try:
        problem = violation(value, schema)
    except UnusableSchema as error:
        return f"the schema can't be used: {error!s:.200}"
    return "" if problem is None else f"{problem.message:.200}"
