"""From a teacher's plan to planned calls, or to what is wrong with it; no model is asked.

Every value must stand in the request, every field of an earlier step must be known to be in its
result, and what is given must fit the tool's schema.

What this does not guarantee: that a switch (true or false) is asked for in words, nor that a value
which stands in the request stands there for this argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from astra.core.text import as_date, as_number, contains_text, dates_in, normalise, numbers_in
from astra.core.untrusted import json_problem, text_problem
from astra.teacher.prompts.chains import PlannedArgument, PlannedStep
from astra.trajectories.language import in_language
from astra.trajectories.records import ArgumentSource, PlannedCall
from astra.trajectories.schemas import value_problem
from astra.trajectories.tasks.dependencies import KnownFields, kinds_fit
from astra.trajectories.tasks.tool_fields import (
    InputField,
    find_field,
    kind_of_schema,
    parameters_of,
    resolved_schema,
)
from astra.trajectories.toolset import AgentTool, ToolSet
from astra.types import Json, Language

REQUEST_CHARACTERS = 4000
_VALUE_CHARACTERS = 4000


def request_problem(request: str, language: Language) -> str:
    """Why a text can't be a user's request; "" if it can."""
    if problem := text_problem("the request", request, REQUEST_CHARACTERS):
        return problem
    return "" if in_language(request, language) else f"the request is not in {language!r}"


def planned_calls(
    steps: Sequence[PlannedStep], request: str, tools: ToolSet, known: KnownFields
) -> tuple[PlannedCall, ...]:
    """The plan as calls c1, c2, …; ValueError says what is wrong with it."""
    return tuple(_call(number, steps, request, tools, known) for number in range(1, len(steps) + 1))


def _call(
    number: int, steps: Sequence[PlannedStep], request: str, tools: ToolSet, known: KnownFields
) -> PlannedCall:
    step = steps[number - 1]
    shown = tools.get(step.tool)
    if shown is None:
        raise ValueError(f"step {number} calls {step.tool!r:.100}, which is no tool")
    parameters = {p.name: p for p in parameters_of(shown.document.parameters)}
    _names(number, step, shown, parameters)
    sources: dict[str, ArgumentSource] = {}
    for name, argument in step.arguments.items():
        where = f"step {number}, {name!r:.100}"
        if argument.step is None:
            _stated(where, argument, request, parameters.get(name))
            sources[name] = ArgumentSource(value=argument.value)
        else:
            _flowing(where, number, argument, parameters.get(name), steps, tools, known)
            sources[name] = ArgumentSource(call=f"c{argument.step}", field=argument.field)
    _schema(number, shown, {n: s.value for n, s in sources.items() if s.call is None})
    needs = {*step.needs, *(a.step for a in step.arguments.values() if a.step is not None)}
    if wrong := [n for n in needs if not 1 <= n < number]:
        raise ValueError(f"step {number} needs step {wrong[0]!r}, which is none before it")
    return PlannedCall(
        id=f"c{number}",
        tool=step.tool,
        arguments=sources,
        depends_on=tuple(f"c{n}" for n in sorted(needs)),
    )


def _names(
    number: int, step: PlannedStep, shown: AgentTool, parameters: Mapping[str, InputField]
) -> None:
    free = shown.document.parameters.get("additionalProperties")
    unknown = [name for name in step.arguments if name not in parameters]
    if unknown and not free:
        raise ValueError(f"step {number}: {step.tool!r} takes no argument {unknown[0]!r:.100}")
    for parameter in parameters.values():
        if parameter.required and parameter.name not in step.arguments:
            raise ValueError(f"step {number}: {step.tool!r} lacks {parameter.name!r}")


def _stated(
    where: str, argument: PlannedArgument, request: str, parameter: InputField | None
) -> None:
    if argument.field is not None:
        raise ValueError(f"{where} names the field {argument.field!r:.100} of no step")
    if problem := json_problem(where, argument.value, _VALUE_CHARACTERS):
        raise ValueError(problem)
    if parameter is not None and parameter.schema.get("default", _NOTHING) == argument.value:
        return
    for value in scalars(argument.value):
        if not stands_in(value, request):
            raise ValueError(f"{where}: the request does not state {value!r:.200}")


_NOTHING = object()


def scalars(value: Json) -> Iterator[Json]:
    """The scalars of a value."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from scalars(inner)
    else:
        yield value


def stands_in(value: Json, text: str) -> bool:
    """Whether a text states a scalar: a number or a date in any spelling, words as they are.

    True, false and null count as stated, since words for them are without number.
    """
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return as_number(value) in numbers_in(text)
    spoken = re.sub(r"[_-]+", " ", value)
    if not value.strip() or contains_text(text, value) or contains_text(text, spoken):
        return True
    if (day := as_date(value)) is not None and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return day in dates_in(text)
    # Quotation marks and other signs at an end have no boundary of words.
    return not value[0].isalnum() and normalise(value) in normalise(text)


def _flowing(
    where: str,
    number: int,
    argument: PlannedArgument,
    parameter: InputField | None,
    steps: Sequence[PlannedStep],
    tools: ToolSet,
    known: KnownFields,
) -> None:
    """An argument that an earlier result is to give."""
    source = argument.step or 0
    if argument.value is not None:
        raise ValueError(f"{where} has both a value and a step")
    if not 1 <= source < number:
        raise ValueError(f"{where} comes from step {source!r}, which is none before it")
    shown = tools[steps[source - 1].tool]
    wanted = "any" if parameter is None else parameter.kind
    if argument.field is None:
        schema = shown.tool.output_schema
        given = None if schema is None else kind_of_schema(resolved_schema(schema, schema))
    else:
        field = find_field(shown.tool, argument.field, known.observed(shown))
        given = None if field is None else field.kind
    if given is None:
        raise ValueError(
            f"{where}: {shown.document.name!r} is not known to return {argument.field!r:.100}"
        )
    if not kinds_fit(wanted, given):
        raise ValueError(f"{where} wants a {wanted}, and {argument.field!r:.100} is a {given}")


def _schema(number: int, shown: AgentTool, values: dict[str, Json]) -> None:
    """ValueError when the stated values break the tool's schema."""
    schema = {**shown.document.parameters, "required": list(values)}
    if problem := value_problem(values, schema):
        raise ValueError(f"step {number}: {problem}")


def same_calls(
    needs: Sequence[Sequence[int]],
    tools: Sequence[str],
    other_needs: Sequence[Sequence[int]],
    other_tools: Sequence[str],
) -> bool:
    """Whether two plans are the same calls, and neither order breaks a need of the other.

    Compared as partial orders: calls that need nothing of each other may stand in any order.
    `needs`: for each call the positions, from 0, of those that it needs.
    """
    if sorted(tools) != sorted(other_tools):
        return False
    return _matched(
        tuple(tools), other_tools, lambda m: _kept(needs, m) and _kept_back(other_needs, m)
    )


def _matched(
    tools: tuple[str, ...],
    other: Sequence[str],
    holds: Callable[[list[int]], bool],
    matching: tuple[int, ...] = (),
) -> bool:
    """Whether some one-to-one matching of calls of the same tool holds.

    `matching[i]`: position in `other` of call i.
    """
    if len(matching) == len(tools):
        return holds(list(matching))
    wanted = tools[len(matching)]
    return any(
        _matched(tools, other, holds, (*matching, position))
        for position, name in enumerate(other)
        if name == wanted and position not in matching
    )


def _kept(needs: Sequence[Sequence[int]], matching: list[int]) -> bool:
    """Whether the other order puts everything before what needs it."""
    return all(matching[n] < matching[i] for i, before in enumerate(needs) for n in before)


def _kept_back(other_needs: Sequence[Sequence[int]], matching: list[int]) -> bool:
    back = {there: here for here, there in enumerate(matching)}
    return all(back[n] < back[i] for i, before in enumerate(other_needs) for n in before)
