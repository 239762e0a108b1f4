"""Wrong calls: calls to a goal's tool that fit its document and must not solve the goal.

Wrong is what differs from the gold call in a *required* argument (values compared normalised), or
what the source declared a decoy, or another goal's call to the same tool. A change in optional
arguments alone is not wrong: `limit`, `language` or `fields` may leave the answer as it is. Only
where a tool requires nothing do the optional arguments that the gold call sets stand in.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from astra.arenas.certificate.context import ArenaUnderTest, GoalStep
from astra.arenas.certificate.documents import (
    accepts,
    defaults_of,
    parameters_of,
    required_of,
    types_of,
)
from astra.core.text import as_date, as_number, normalise
from astra.types import Json, Tool, canonical_json

MOST_MUTANTS = 8
"""Wrong calls tried per goal, more only where there are more calls of other goals."""


class WrongCall(NamedTuple):
    """A wrong call to a goal's tool."""

    kind: str
    """`decoy`, `other_goal`, `enum`, `number`, `date`, `unknown`, `flip`, `swap` or `list`; of
    `short_cuts` also `everything` and `option`."""
    arguments: dict[str, Json]


WILDCARDS = ("*", "%", "all")
MOST_OPTIONS = 8
"""Changes of optional arguments tried per goal."""
NONCE = "qxzjkv vkjzxq"
ODD_NUMBER = 7919
_NONCE = re.compile("[qxzjkv]{6}")
_LEAST_INITIAL = 5
"""Characters of an argument whose first letter alone must not do."""


# --- comparing calls -------------------------------------------------------------------------


def canonical(tool: Tool, arguments: dict[str, Json], names: list[str] | None = None) -> str:
    """One spelling per meaning of a call: defaults filled in, scalars normalised.

    `names`: only these arguments.
    """
    filled = {**defaults_of(tool), **arguments}
    return canonical_json(
        {name: _normal(v) for name, v in filled.items() if names is None or name in names}
    )


def _normal(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _normal(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(child) for child in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return normalise(value) if isinstance(value, str) else value


def significant(tool: Tool, arguments: dict[str, Json]) -> list[str]:
    """The arguments whose change makes a call wrong."""
    defaults = defaults_of(tool)
    return required_of(tool) or [
        name
        for name, value in arguments.items()
        if name not in defaults or _normal(value) != _normal(defaults[name])
    ]


# --- making wrong calls ----------------------------------------------------------------------


def wrong_calls(case: ArenaUnderTest, step: GoalStep, rng: random.Random) -> list[WrongCall]:
    """Distinct wrong calls that fit the document; the source's decoys come first."""
    tool = case.tools[step.call.tool]
    names = significant(tool, step.call.arguments)
    right = canonical(tool, step.call.arguments)
    right_part = canonical(tool, step.call.arguments, names)
    declared = [WrongCall("decoy", decoy) for decoy in step.goal.decoys]
    declared += [
        WrongCall("other_goal", other.call.arguments)
        for other in case.steps
        if other.goal.id != step.goal.id and other.call.tool == tool.name
    ]
    found: dict[str, WrongCall] = {}
    for mutant in itertools.chain(declared, _made(tool, step.call.arguments, names, rng)):
        if len(found) >= max(MOST_MUTANTS, len(declared) + 2):
            break
        key = canonical(tool, mutant.arguments)
        made = mutant.kind not in ("decoy", "other_goal")
        same = key == right or (made and canonical(tool, mutant.arguments, names) == right_part)
        if not same and key not in found:
            found[key] = mutant
    return list(found.values())


def short_cuts(case: ArenaUnderTest, step: GoalStep) -> list[WrongCall]:
    """Calls that ask for everything at once, or ask for another entity with other options."""
    tool = case.tools[step.call.tool]
    schemas, right = parameters_of(tool), step.call.arguments
    names = significant(tool, right)
    free = [n for n in names if isinstance(right.get(n), str) and "enum" not in schemas[n]]
    asked = [dict.fromkeys(free, wildcard) for wildcard in WILDCARDS]
    asked += [{name: wildcard} for name in free[: len(free) > 1 and 2] for wildcard in WILDCARDS]
    asked += [{name: right[name][:1]} for name in free if len(right[name]) >= _LEAST_INITIAL]
    found = [WrongCall("everything", right | changes) for changes in asked if changes]
    if step.goal.decoys:
        base = step.goal.decoys[0]
        options = [
            WrongCall("option", base | {name: value})
            for name, schema in schemas.items()
            if name not in names
            for value in _options(schema)
            if base.get(name, schema.get("default")) != value
        ]
        found += options[:MOST_OPTIONS]
    same = canonical(tool, right)
    return [
        mutant
        for mutant in found
        if canonical(tool, mutant.arguments) != same
        and all(accepts(schemas[name], value) for name, value in mutant.arguments.items())
    ]


def _options(schema: dict[str, Json]) -> list[Json]:
    """Values of an optional parameter that may change what is returned."""
    if offered := _offered(schema):
        return offered
    if "array" in types_of(schema):
        return [inner] if (inner := _options(schema["items"])) else []
    kinds = types_of(schema)
    return (
        [NONCE] if "string" in kinds else [ODD_NUMBER] if {"integer", "number"} & {*kinds} else []
    )


def _made(
    tool: Tool, gold: dict[str, Json], names: list[str], rng: random.Random
) -> Iterator[WrongCall]:
    """Changes of one significant argument, in turns over the arguments; then swaps; then both
    a significant and an optional argument."""
    schemas = parameters_of(tool)
    set_names = [name for name in names if name in gold]
    lists = [
        [
            WrongCall(kind, gold | {name: value})
            for kind, value in other_values(schemas[name], gold[name], rng)
            if accepts(schemas[name], value)
        ]
        for name in set_names
    ]
    single = [m for turn in itertools.zip_longest(*lists) for m in turn if m is not None]
    yield from single[:MOST_MUTANTS]
    for a, b in itertools.combinations(set_names, 2):
        if accepts(schemas[a], gold[b]) and accepts(schemas[b], gold[a]):
            yield WrongCall("swap", gold | {a: gold[b], b: gold[a]})
    yield from single[MOST_MUTANTS:]
    for mutant in single:
        for name, schema in schemas.items():
            if name not in names:
                for value in _offered(schema):
                    yield WrongCall(mutant.kind, mutant.arguments | {name: value})


def is_odd(value: Json) -> bool:
    """Whether an argument was made up here, so that nothing has it by chance."""
    if isinstance(value, str):
        return _NONCE.search(value) is not None
    return value == ODD_NUMBER


def _offered(schema: dict[str, Json]) -> list[Json]:
    return schema.get("enum") or ([True, False] if "boolean" in types_of(schema) else [])


def other_values(
    schema: dict[str, Json], value: Json, rng: random.Random
) -> list[tuple[str, Json]]:
    """Values that could stand instead of `value`, each with its kind; some may not fit."""
    if schema.get("enum"):
        others = [other for other in schema["enum"] if _normal(other) != _normal(value)]
        return [("enum", other) for other in rng.sample(others, len(others))]
    if isinstance(value, bool):
        return [("flip", not value)]
    if isinstance(value, int | float):
        return [("number", other) for other in _numbers(schema, value)]
    if isinstance(value, str):
        return _strings(value, rng)
    if isinstance(value, list):
        return _lists(schema, value, rng)
    return []


def _numbers(schema: dict[str, Json], value: int | float) -> list[int | float]:
    """Neighbours far enough away that no tolerance takes them for the same."""
    whole = isinstance(value, int) or "number" not in types_of(schema)
    far = abs(value) // 20 if isinstance(value, int) else abs(value) / 20
    step = 1 if abs(value) < 1_000_000 and whole else far or 1
    found = [value + step, value - step, value * 10, value + 7 * step, -value, value - 13 * step]
    finite = [number for number in found if as_number(number) is not None]
    numbers = [round(number) for number in finite] if whole else finite
    return [number for number in numbers if number != value]


def _strings(value: str, rng: random.Random) -> list[tuple[str, Json]]:
    day = as_date(value)
    if day is not None and len(value) == len("2000-01-01"):
        first, last = date(1000, 1, 1).toordinal(), date.max.toordinal()
        days = (day.toordinal() + shift for shift in (1, -1, 31, -366, 3653, -40, 5000, -5000))
        return [("date", date.fromordinal(d).isoformat()) for d in days if first <= d <= last]
    if (number := as_number(value)) is not None and number == int(number):
        return [("number", str(int(n))) for n in _numbers({"type": "integer"}, int(number))]
    letters = [character for character in value if not character.isspace()]
    rng.shuffle(letters)
    nonce = "".join(rng.choice("qxzjkv") for _ in range(6))
    mangled = [value[::-1] + nonce, nonce, nonce + "".join(letters), f"{nonce} {nonce[::-1]}"]
    return [("unknown", text) for text in [*mangled, nonce[::-1] + value[::-1]]]


def _lists(
    schema: dict[str, Json], value: list[Json], rng: random.Random
) -> list[tuple[str, Json]]:
    """One element dropped, or one replaced."""
    found: list[tuple[str, Json]] = []
    for index, element in enumerate(value[:3]):
        if len(value) > 1:
            found.append(("list", value[:index] + value[index + 1 :]))
        for _, other in other_values(schema["items"], element, rng)[:2]:
            found.append(("list", [*value[:index], other, *value[index + 1 :]]))
    return found
