"""The part of `mutants` about distractors: none of them answers what a goal asks.

Each distractor is called with every goal's gold arguments as far as its parameters admit. Not
covered: other calls to a distractor, and small numbers found under another field, which are no
evidence of anything.
"""

from __future__ import annotations

import itertools

from astra.arenas.certificate.context import (
    ArenaUnderTest,
    CheckFinding,
    GoalStep,
    NamedCall,
    answered,
    gold,
    shown,
)
from astra.arenas.certificate.documents import has_type, parameters_of, required_of, types_of
from astra.core.text import as_number
from astra.rewards import same_scalar, solves
from astra.types import Json, Scalar, Target, Tool

MOST_CALLS = 8
"""Calls per distractor and goal."""


async def check_distractors(case: ArenaUnderTest) -> int:
    """Number of calls made; raises `CheckFinding` when a distractor answers a goal or spoils one.

    After the distractors the gold calls are made again, in the same episode.
    """
    planned = [
        (step, NamedCall(tool.name, arguments, f"a call to distractor {tool.name!r}"))
        for tool in case.distractors
        for step in case.steps
        for arguments in borrowed_calls(tool, step)
    ]
    if not planned:
        return 0
    again = [gold(step) for step in case.steps]
    outcomes = await case.run("plain", [*(call for _, call in planned), *again])
    targets = {step.goal.id: _loosened(step) for step in case.steps}
    for (step, call), outcome in zip(planned, outcomes[: len(planned)], strict=True):
        if answered(outcome) and any(solves(t, outcome.value) for t in targets[step.goal.id]):
            raise CheckFinding(
                f"distractor {call.tool!r} answers goal {step.goal.id!r}",
                call=shown(call.tool, call.arguments),
            )
    for step, outcome in zip(case.steps, outcomes[len(planned) :], strict=True):
        if not answered(outcome) or not solves(step.target, outcome.value):
            raise CheckFinding(f"after calls to distractors {gold(step).what} does not solve it")
    return len(planned)


def _loosened(step: GoalStep) -> list[Target]:
    """The goal's target, then without key, and for answers that say much without field."""
    target = step.target
    given = [value for argument in step.call.arguments.values() for value in _flat(argument)]
    members = target.value if isinstance(target.value, tuple) else (target.value,)
    if any(same_scalar(member, value) for member in members for value in given):
        return [target]
    loose = [target, target.model_copy(update={"key": {}})]
    if all(_says_much(member) for member in members):
        loose.append(target.model_copy(update={"key": {}, "field": None}))
    return loose


def _says_much(value: Scalar) -> bool:
    """Text, or a number of at least four significant digits."""
    number = as_number(value)
    if number is None:
        return isinstance(value, str)
    digits = f"{abs(number):.12g}".partition("e")[0].replace(".", "").strip("0")
    return len(digits) >= 4 or (len(digits) >= 1 and abs(number) >= 10_000)


def borrowed_calls(tool: Tool, step: GoalStep) -> list[dict[str, Json]]:
    """Calls to another tool that ask with the goal's arguments; [] if they do not fit it.

    Arguments keep their name where the tool has it, else they go to the first free parameter of
    their type, in the given order and in reverse.
    """
    schemas = parameters_of(tool)
    gold_arguments = step.call.arguments
    named = {n: v for n, v in gold_arguments.items() if n in schemas and _fits(schemas[n], v)}
    rest = [value for name, value in gold_arguments.items() if name not in named]
    free = [name for name in required_of(tool) if name not in named]
    free += [name for name in schemas if name not in named and name not in free]
    found: list[dict[str, Json]] = []
    for values in (rest, rest[::-1])[: len(rest) or 1]:
        for arguments in _placed(tool, named, free, values):
            if arguments not in found:
                found.append(arguments)
    return found[:MOST_CALLS]


def _placed(
    tool: Tool, named: dict[str, Json], free: list[str], values: list[Json]
) -> list[dict[str, Json]]:
    """Values go to the first free parameter of their type; what is still required is filled."""
    schemas = parameters_of(tool)
    placed = dict(named)
    left = list(free)
    for value in values:
        for name in left:
            if _fits(schemas[name], value):
                placed[name] = value
                left.remove(name)
                break
    if not placed and schemas:
        return []
    open_names = [name for name in required_of(tool) if name not in placed]
    choices = [_fillings(schemas[name], [*named.values(), *values]) for name in open_names]
    return [
        placed | dict(zip(open_names, chosen, strict=True))
        for chosen in itertools.islice(itertools.product(*choices), MOST_CALLS)
    ]


def _fits(schema: dict[str, Json], value: Json) -> bool:
    return has_type(schema, value) and ("enum" not in schema or value in schema["enum"])


def _fillings(schema: dict[str, Json], given: list[Json]) -> list[Json]:
    """Values for a required parameter that no argument fits: all it lists, or one it takes."""
    if schema.get("enum"):
        return list(schema["enum"])
    kind = types_of(schema)[0]
    fitting = [value for value in given if _fits(schema, value)]
    offered = [*schema.get("examples", []), *fitting]
    if offered:
        return offered[:2]
    if kind == "boolean":
        return [True, False]
    return [{"string": "a", "integer": 1, "number": 1, "array": [], "object": {}}.get(kind)]


def _flat(value: Json) -> list[Json]:
    if isinstance(value, list | tuple):
        return [leaf for child in value for leaf in _flat(child)]
    if isinstance(value, dict):
        return [leaf for child in value.values() for leaf in _flat(child)]
    return [value]
