"""From a teacher's plan to planned calls, or to what is wrong with it; no model is asked.

No value may be surely missing in the request (see `stated`), every field of an earlier step must be
known to be in its result, and the values must fit the tool's schema. An argument may be a part of
an object or a list: `recipient.id`. Where a list is wanted, one value is a list of one.

What this does not guarantee: that the request asks for a switch (true or false) in words, nor that
a value in the request is meant for this argument. Values that only the meaning of the request can
state are left to the teacher (`open_arguments`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from astra.core.language import in_language
from astra.core.untrusted import json_problem, text_problem
from astra.teacher.prompts.chains import PlannedArgument, PlannedStep
from astra.trajectories.records import ArgumentSource, PlannedCall
from astra.trajectories.schemas import value_problem
from astra.trajectories.tasks.arguments import (
    ArgumentPlace,
    find_place,
    fitted,
    item_kind,
    values_with_schemas,
)
from astra.trajectories.tasks.dependencies import KnownFields, kinds_fit
from astra.trajectories.tasks.stated import statement
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
        sources: dict[str, ArgumentSource] = {}
        for key, argument in step.arguments.items():
            where = f"step {number}, {key!r:.100}"
            place = find_place(schema, key)
            if place is None:
                raise ValueError(f"step {number}: {step.tool!r} has no parameter {key!r:.100}")
            if argument.step is None:
                sources[key] = _stated(where, argument, request, place)
                continue
            if not 1 <= argument.step < number:
                raise ValueError(f"{where} comes from step {argument.step!r}, not before it")
            source = steps[argument.step - 1].tool
            in_list = _check_result(where, argument, place.field, source, tools, fields)
            call = f"c{argument.step}"
            sources[f"{key}.0" if in_list else key] = ArgumentSource(
                call=call,
                field=argument.field,
                part_of=place.parameter if in_list or place.part else None,
            )
        if problem := _arguments_problem(sources, schema):
            raise ValueError(f"step {number}: {problem.format(tool=repr(step.tool))}")
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


def _stated(
    where: str, argument: PlannedArgument, request: str, place: ArgumentPlace
) -> ArgumentSource:
    """Raise ValueError if the request surely does not state the argument."""
    if argument.field is not None:
        raise ValueError(f"{where} names the field {argument.field!r:.100} of no step")
    if problem := json_problem(where, argument.value, _VALUE_CHARACTERS):
        raise ValueError(problem)
    value = fitted(argument.value, place.field)
    for scalar, schema in values_with_schemas(value, place.field.schema):
        if statement(scalar, request, schema).known == "missing":
            raise ValueError(f"{where}: the request does not state {scalar!r:.200}")
    return ArgumentSource(value=value, part_of=place.parameter if place.part else None)


def _arguments_problem(sources: Mapping[str, ArgumentSource], schema: Mapping[str, Json]) -> str:
    """What is wrong with the arguments of a step. Those from earlier results are still unknown."""
    parts = {source.part_of for source in sources.values()} - {None}
    for parameter in parameters_of(schema):
        given = parameter.name in sources or parameter.name in parts
        if parameter.required and not given:
            return f"{{tool}} lacks {parameter.name!r}"
        if parameter.name in sources and parameter.name in parts:
            return f"{parameter.name!r} is given as a whole and in parts"
    whole = {k: s.value for k, s in sources.items() if s.call is None and s.part_of is None}
    if problem := value_problem(whole, {**schema, "required": list(whole)}):
        return problem.replace("{", "{{").replace("}", "}}")
    for key, source in sources.items():
        place = find_place(schema, key)
        if source.part_of is None or place is None:
            continue
        # Its references lead to the definitions of the whole.
        own = {**{k: schema[k] for k in ("$defs", "definitions") if k in schema}}
        own |= place.field.schema
        if source.call is None and (problem := value_problem(source.value, own)):
            return f"{key!r}: {problem}".replace("{", "{{").replace("}", "}}")
        for name in place.siblings:
            inner = f"{key.rpartition('.')[0]}.{name}"
            if not any(k == inner or k.startswith(f"{inner}.") for k in sources):
                return f"{{tool}} lacks {inner!r}"
    return ""


def _check_result(
    where: str,
    argument: PlannedArgument,
    parameter: InputField,
    source: str,
    tools: ToolSet,
    fields: KnownFields,
) -> bool:
    """Raise ValueError unless the tool `source` is known to return a fitting value.

    Returns whether the value has to become a list of one element.
    """
    if argument.value is not None:
        raise ValueError(f"{where} has both a value and a step")
    tool = tools[source]
    field = argument.field
    if field is None:
        schema = tool.tool.output_schema
        kind = None if schema is None else kind_of_schema(resolved_schema(schema, schema))
    else:
        known = find_field(tool.tool, field, fields.observed(tool))
        kind = None if known is None else known.kind
    if kind is None:
        raise ValueError(f"{where}: {source!r} is not known to return {field!r:.100}")
    items = item_kind(parameter)
    if parameter.kind == "array" and kind in ("string", "number", "boolean"):
        if not kinds_fit(items, kind):
            raise ValueError(f"{where} wants a list of {items}s, and {field!r:.100} is a {kind}")
        return True
    if not kinds_fit(parameter.kind, kind):
        raise ValueError(f"{where} wants a {parameter.kind}, and {field!r:.100} is a {kind}")
    if parameter.kind == "array" == kind:
        inner = f"{field}.0" if field else "0"
        item = find_field(tool.tool, inner, fields.observed(tool))
        if item is not None and not kinds_fit(items, item.kind):
            raise ValueError(
                f"{where} wants a list of {items}s, and {field!r:.100} is one of {item.kind}s"
            )
    return False


class OpenArgument(NamedTuple):
    """A stated value that only the meaning of a request can state."""

    tool: str
    parameter: str
    value: Json


def stated_arguments(
    plan: Sequence[PlannedCall], tools: ToolSet
) -> Iterator[tuple[OpenArgument, Mapping[str, Json]]]:
    """The values that calls take from the request, each with the schema of its place.

    Sorted by argument, since plans that differ only in the order of arguments are the same task.
    """
    for call in plan:
        tool = tools.get(call.tool)
        schema = {} if tool is None else tool.document.parameters
        for key, source in sorted(call.arguments.items()):
            if source.call is not None:
                continue
            place = find_place(schema, key)
            own = {} if place is None else place.field.schema
            for value, inner in values_with_schemas(source.value, own):
                yield OpenArgument(call.tool, key, value), inner


def open_arguments(plan: Sequence[PlannedCall], request: str, tools: ToolSet) -> list[OpenArgument]:
    """The values about which no rule decides whether the request states them."""
    return [
        argument
        for argument, schema in stated_arguments(plan, tools)
        if statement(argument.value, request, schema).known == "open"
    ]


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
