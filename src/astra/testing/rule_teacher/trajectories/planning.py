"""Plans by rule: arguments from earlier results where names fit, else the value that an earlier
step was given under that name (what is read was written), else values drawn by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from astra.hosts.consistency import may_change
from astra.teacher.prompts.chains import PlannedArgument, PlannedStep, ShownResult, ShownTool
from astra.testing.rule_teacher.trajectories.values import drawn_value
from astra.trajectories.schemas import value_problem
from astra.trajectories.tasks.dependencies import is_handle, kinds_fit, names_fit
from astra.trajectories.tasks.probing import parsed
from astra.trajectories.tasks.tool_fields import KINDS, InputField, parameters_of, words_of
from astra.types import Language, RecordedCall

_REMOVING = {"delete", "remove", "cancel", "clear", "drop", "purge"}
OPTIONAL = 0.3
"""Share of optional parameters that are given, where a value is at hand."""


class NoPlan(LookupError):
    """A chain can't be carried out."""


def plan_of(
    chain: Sequence[ShownTool],
    rng: random.Random,
    language: Language,
    state: Sequence[ShownResult] = (),
) -> tuple[PlannedStep, ...]:
    """A plan for the chain, on what the service holds; raises NoPlan."""
    held = [
        RecordedCall(tool=each.tool, arguments=each.arguments, content=parsed(each.result))
        for each in state
    ]
    steps: list[PlannedStep] = []
    for position, tool in enumerate(chain):
        arguments: dict[str, PlannedArgument] = {}
        for parameter in parameters_of(tool.parameters):
            if not parameter.required and rng.random() >= OPTIONAL:
                continue
            argument = _argument(tool, parameter, chain[:position], steps, rng, language, held)
            if argument is not None:
                arguments[parameter.name] = argument
        needs = sorted({a.step for a in arguments.values() if a.step is not None})
        steps.append(PlannedStep(tool=tool.name, arguments=arguments, needs=tuple(needs)))
    return tuple(steps)


def _argument(
    tool: ShownTool,
    parameter: InputField,
    earlier: Sequence[ShownTool],
    steps: Sequence[PlannedStep],
    rng: random.Random,
    language: Language,
    held: Sequence[RecordedCall],
) -> PlannedArgument | None:
    """None: an optional parameter that is left out."""
    found = source_of(parameter, earlier)
    if found is not None:
        return PlannedArgument(step=found[0] + 1, field=found[1])
    # What the nearest earlier step of another tool was given under the same name, if it fits: not
    # switches and numbers, which are settings of a call, not names of what it is about.
    for step in reversed(steps) if parameter.kind in ("string", "any", "array") else ():
        argument = step.arguments.get(parameter.name)
        if argument is None or argument.step is not None or step.tool == tool.name:
            continue
        if not value_problem(argument.value, parameter.schema):
            return argument
    try:
        if is_handle(parameter):
            raise LookupError(f"no user can state {parameter.name!r} of {tool.name!r}")
        return PlannedArgument(value=drawn_value(tool, parameter, rng, language, held))
    except LookupError as error:
        if parameter.required:
            raise NoPlan(str(error)) from None
        return None


def source_of(parameter: InputField, earlier: Sequence[ShownTool]) -> tuple[int, str] | None:
    """(position, path) of the nearest earlier result that fits a parameter."""
    for position in range(len(earlier) - 1, -1, -1):
        for path, kind in earlier[position].returns.items():
            given = KINDS.get(kind, "any")
            if kinds_fit(parameter.kind, given) and names_fit(
                parameter.name, path, earlier[position].name
            ):
                return position, path
    return None


def in_order(chain: Sequence[ShownTool]) -> list[ShownTool]:
    """A chain whose tools take nothing of each other, in the order of a life: what makes or changes
    things before what reads them, what takes them away last. Other chains stay as they are."""
    if any(links(one, other) for one, other in pairwise(chain)):
        return list(chain)
    removing = [tool for tool in chain if _REMOVING & set(words_of(tool.name))]
    others = [tool for tool in chain if tool not in removing]
    return [*sorted(others, key=lambda tool: not may_change(tool.name)), *removing]


def links(first: ShownTool, second: ShownTool) -> bool:
    """Whether something that the second tool requires is in the first one's result."""
    return any(
        p.required and source_of(p, [first]) is not None for p in parameters_of(second.parameters)
    )
