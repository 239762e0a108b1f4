"""Calls to a distractor that ask what a goal asks, as far as its parameters admit."""

from __future__ import annotations

import itertools

from astra.arenas.certificate.arena_under_test import GoalStep
from astra.arenas.certificate.parameters import has_type, parameters_of, required_of, types_of
from astra.types import Json, Tool

MOST_CALLS = 8
"""Calls per distractor and goal."""


def distractor_calls(tool: Tool, step: GoalStep) -> list[dict[str, Json]]:
    """Arguments for another tool that ask what the goal asks. Empty if they do not fit it.

    Gold arguments keep their name if the tool has it, else they go to the first free parameter of
    their type, in their order and in reverse. What is still required is filled.
    """
    schemas, required = parameters_of(tool), required_of(tool)
    gold = step.call.arguments
    named = {n: v for n, v in gold.items() if n in schemas and _fits(schemas[n], v)}
    rest = [value for name, value in gold.items() if name not in named]
    free = [name for name in required if name not in named]
    free += [name for name in schemas if name not in named and name not in free]
    calls: list[dict[str, Json]] = []
    for values in (rest, rest[::-1])[: len(rest) or 1]:
        arguments, open_names = dict(named), list(free)
        for value in values:
            name = next((name for name in open_names if _fits(schemas[name], value)), None)
            if name is not None:
                arguments[name] = value
                open_names.remove(name)
        if not arguments and schemas:
            continue
        unfilled = [name for name in required if name not in arguments]
        fillings = [_fillings(schemas[name], [*named.values(), *values]) for name in unfilled]
        for chosen in itertools.islice(itertools.product(*fillings), MOST_CALLS):
            call = arguments | dict(zip(unfilled, chosen, strict=True))
            if call not in calls:
                calls.append(call)
    return calls[:MOST_CALLS]


def _fits(schema: dict[str, Json], value: Json) -> bool:
    return has_type(schema, value) and ("enum" not in schema or value in schema["enum"])


def _fillings(schema: dict[str, Json], arguments: list[Json]) -> list[Json]:
    """Values for a required parameter that no argument fits: its enum, or examples of its type."""
    if schema.get("enum"):
        return list(schema["enum"])
    offered = [*schema.get("examples", []), *(v for v in arguments if _fits(schema, v))]
    if offered:
        return offered[:2]
    kind = types_of(schema)[0]
    if kind == "boolean":
        return [True, False]
    return [{"string": "a", "integer": 1, "number": 1, "array": [], "object": {}}.get(kind)]
