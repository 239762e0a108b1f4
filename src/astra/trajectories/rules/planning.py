"""Plans by rule: arguments from earlier results where names fit, else values drawn by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from astra.teacher.chains import PlannedArgument, PlannedStep, ShownTool
from astra.trajectories.dependencies import is_handle, kinds_fit, names_fit
from astra.trajectories.fields import KINDS, Parameter, parameters_of
from astra.trajectories.rules.values import drawn_value
from astra.types import Language

OPTIONAL = 0.3
"""Share of optional parameters that are given, where a value is at hand."""


class NoPlan(LookupError):
    """A chain can't be carried out."""


def plan_of(
    chain: Sequence[ShownTool], rng: random.Random, language: Language
) -> tuple[PlannedStep, ...]:
    """A plan for the chain; raises NoPlan."""
    steps: list[PlannedStep] = []
    for position, tool in enumerate(chain):
        arguments: dict[str, PlannedArgument] = {}
        for parameter in parameters_of(tool.parameters):
            if not parameter.required and rng.random() >= OPTIONAL:
                continue
            argument = _argument(tool, parameter, chain[:position], rng, language)
            if argument is not None:
                arguments[parameter.name] = argument
        needs = sorted({a.step for a in arguments.values() if a.step is not None})
        steps.append(PlannedStep(tool=tool.name, arguments=arguments, needs=tuple(needs)))
    return tuple(steps)


def _argument(
    tool: ShownTool,
    parameter: Parameter,
    earlier: Sequence[ShownTool],
    rng: random.Random,
    language: Language,
) -> PlannedArgument | None:
    """None: an optional parameter that is left out."""
    found = source_of(parameter, earlier)
    if found is not None:
        return PlannedArgument(step=found[0] + 1, field=found[1])
    try:
        if is_handle(parameter):
            raise LookupError(f"no user can state {parameter.name!r} of {tool.name!r}")
        return PlannedArgument(value=drawn_value(tool, parameter, rng, language))
    except LookupError as error:
        if parameter.required:
            raise NoPlan(str(error)) from None
        return None


def source_of(parameter: Parameter, earlier: Sequence[ShownTool]) -> tuple[int, str] | None:
    """(position, path) of the nearest earlier result that fits a parameter."""
    for position in range(len(earlier) - 1, -1, -1):
        for path, kind in earlier[position].returns.items():
            given = KINDS.get(kind, "any")
            if kinds_fit(parameter.kind, given) and names_fit(
                parameter.name, path, earlier[position].name
            ):
                return position, path
    return None


def links(first: ShownTool, second: ShownTool) -> bool:
    """Whether something that the second tool requires is in the first one's result."""
    return any(
        p.required and source_of(p, [first]) is not None for p in parameters_of(second.parameters)
    )
