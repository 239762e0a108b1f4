"""From a teacher's plan to planned calls, or to what is wrong with it; no model is asked.

Every value must occur in the request, every field of an earlier step must be known to be in its
result, and the values must fit the tool's schema.

What this does not guarantee: that the request asks for a switch (true or false) in words, nor that
a value in the request is meant for this argument.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from astra.core.language import in_language
from astra.core.text import (
    as_date,
    as_number,
    contains_text,
    dates_in,
    normalise,
    numbers_in,
    scalars,
)
from astra.core.untrusted import json_problem, text_problem
from astra.teacher.prompts.chains import PlannedArgument, PlannedStep
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
from astra.trajectories.toolset import ToolSet
from astra.types import Json, Language

REQUEST_CHARACTERS = 4000
_VALUE_CHARACTERS = 4000
_NO_DEFAULT = object()


def request_problem(request: str, language: Language) -> str:
    """Why a text can't be a user's request. Empty if it can."""
    if problem := text_problem("the request", request, REQUEST_CHARACTERS):
        return problem
    return "" if in_language(request, language) else f"the request is not in {language!r}"


def planned_calls(
    steps: Sequence[PlannedStep], request: str, tools: ToolSet, fields: KnownFields
) -> tuple[PlannedCall, ...]:
    """The plan as calls c1, c2, …. Raises ValueError with what is wrong."""
    calls: list[PlannedCall] = []
    for number, step in enumerate(steps, start=1):
        tool = tools.get(step.tool)
        if tool is None:
            raise ValueError(f"step {number} calls {step.tool!r:.100}, which is not a tool")
        schema = tool.document.parameters
        parameters = {p.name: p for p in parameters_of(schema)}
        unknown = [name for name in step.arguments if name not in parameters]
        if unknown and not schema.get("additionalProperties"):
            raise ValueError(f"step {number}: {step.tool!r} has no parameter {unknown[0]!r:.100}")
        for parameter in parameters.values():
            if parameter.required and parameter.name not in step.arguments:
                raise ValueError(f"step {number}: {step.tool!r} lacks {parameter.name!r}")
        sources: dict[str, ArgumentSource] = {}
        stated: dict[str, Json] = {}
        for name, argument in step.arguments.items():
            where = f"step {number}, {name!r:.100}"
            if argument.step is None:
                _check_stated(where, argument, request, parameters.get(name))
                sources[name] = ArgumentSource(value=argument.value)
                stated[name] = argument.value
            else:
                if not 1 <= argument.step < number:
                    raise ValueError(f"{where} comes from step {argument.step!r}, not before it")
                source = steps[argument.step - 1].tool
                _check_result(where, argument, parameters.get(name), source, tools, fields)
                call = f"c{argument.step}"
                sources[name] = ArgumentSource(call=call, field=argument.field)
        # Arguments from earlier results are still unknown: only the stated ones are required here.
        if problem := value_problem(stated, {**schema, "required": list(stated)}):
            raise ValueError(f"step {number}: {problem}")
        needs = {*step.needs, *(a.step for a in step.arguments.values() if a.step is not None)}
        if wrong := [n for n in needs if not 1 <= n < number]:
            raise ValueError(f"step {number} needs step {wrong[0]!r}, which is not before it")
        calls.append(
            PlannedCall(
                id=f"c{number}",
                tool=step.tool,
                arguments=sources,
                depends_on=tuple(f"c{n}" for n in sorted(needs)),
            )
        )
    return tuple(calls)


def _check_stated(
    where: str, argument: PlannedArgument, request: str, parameter: InputField | None
) -> None:
    """Raise ValueError unless the request states the argument, or it is the default."""
    if argument.field is not None:
        raise ValueError(f"{where} names the field {argument.field!r:.100} of no step")
    if problem := json_problem(where, argument.value, _VALUE_CHARACTERS):
        raise ValueError(problem)
    if parameter is not None and parameter.schema.get("default", _NO_DEFAULT) == argument.value:
        return
    for value in scalars(argument.value):
        if not is_stated(value, request):
            raise ValueError(f"{where}: the request does not state {value!r:.200}")


def _check_result(
    where: str,
    argument: PlannedArgument,
    parameter: InputField | None,
    source: str,
    tools: ToolSet,
    fields: KnownFields,
) -> None:
    """Raise ValueError unless the tool `source` is known to return a fitting value."""
    if argument.value is not None:
        raise ValueError(f"{where} has both a value and a step")
    tool = tools[source]
    if argument.field is None:
        schema = tool.tool.output_schema
        kind = None if schema is None else kind_of_schema(resolved_schema(schema, schema))
    else:
        field = find_field(tool.tool, argument.field, fields.observed(tool))
        kind = None if field is None else field.kind
    if kind is None:
        raise ValueError(f"{where}: {source!r} is not known to return {argument.field!r:.100}")
    wanted = "any" if parameter is None else parameter.kind
    if not kinds_fit(wanted, kind):
        raise ValueError(f"{where} wants a {wanted}, and {argument.field!r:.100} is a {kind}")


def is_stated(value: Json, text: str) -> bool:
    """Whether a text states a scalar: a number or a date in any spelling, words as they are.

    True, false and null count as stated, since there are countless words for them.
    """
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return as_number(value) in numbers_in(text)
    spaced = re.sub(r"[_-]+", " ", value)
    if not value.strip() or contains_text(text, value) or contains_text(text, spaced):
        return True
    if (day := as_date(value)) is not None and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return day in dates_in(text)
    # A value that begins with a quotation mark or sign has no word boundary there.
    return not value[0].isalnum() and normalise(value) in normalise(text)


def same_calls(
    needs: Sequence[Sequence[int]],
    tools: Sequence[str],
    other_needs: Sequence[Sequence[int]],
    other_tools: Sequence[str],
) -> bool:
    """Whether two plans are the same calls, and neither order breaks a need of the other.

    Compared as partial orders: calls that need nothing of each other may come in any order.
    `needs`: for each call the positions, from 0, of the calls that it needs.
    """
    if sorted(tools) != sorted(other_tools):
        return False

    def orders_agree(matching: tuple[int, ...]) -> bool:
        """`matching[i]`: position in the other plan of call i."""
        back = {there: here for here, there in enumerate(matching)}
        return all(
            matching[n] < matching[i] for i, before in enumerate(needs) for n in before
        ) and all(back[n] < back[i] for i, before in enumerate(other_needs) for n in before)

    def matched(matching: tuple[int, ...]) -> bool:
        if len(matching) == len(tools):
            return orders_agree(matching)
        return any(
            matched((*matching, position))
            for position, name in enumerate(other_tools)
            if name == tools[len(matching)] and position not in matching
        )

    return matched(())
