"""The dependency check by schema: can every required argument of a chain be had at all?

An argument can come from a fitting field that an earlier tool is known to return, or from the
request, if a person could state it. Nobody states page cursors, session handles and the like: those
need an earlier tool.

What this does not guarantee: that the field means what the parameter means. It compares names,
kinds and words of descriptions; the teacher judges the meaning afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from astra.errors import Rejected
from astra.trajectories.schemas import schema_problem
from astra.trajectories.tasks.tool_fields import (
    FieldKind,
    InputField,
    ResultField,
    fields_of,
    kind_of_schema,
    parameters_of,
    words_of,
)
from astra.trajectories.toolset import AgentTool, ToolSet
from astra.types import Json

DEPENDENCIES = "dependencies"
"""Id of the check."""

_HANDLE = re.compile(
    r"(^|_)(cursor|page_?token|next_?token|continuation|session(_?id)?|handle|etag|nonce|csrf"
    r"|access_?token|upload_?id|job_?id|request_?id|checksum)$",
    re.IGNORECASE,
)
_SIMILAR = 0.5
"""Fraction of common words from which two descriptions mean the same."""

ObservedResults = Mapping[tuple[str, str], Sequence[Json]]
"""(server id, tool name) -> observed results."""


class ArgumentSupply(NamedTuple):
    """Where a required argument may come from."""

    parameter: InputField
    fields: tuple[tuple[int, ResultField], ...]
    """(position in the chain, field) of earlier results that fit, the nearest first."""
    stateable: bool
    """Whether a request can state it."""


def supplies(
    chain: Sequence[AgentTool], fields: Callable[[AgentTool], Sequence[ResultField]]
) -> list[tuple[ArgumentSupply, ...]]:
    """For each tool of the chain, where its required arguments may come from.

    `fields`: the known fields of a tool's result. Raises Rejected if an argument can't be had.
    """
    earlier: list[tuple[int, AgentTool]] = []
    all_supplies: list[tuple[ArgumentSupply, ...]] = []
    for position, tool in enumerate(chain):
        name = tool.document.name
        of_tool: list[ArgumentSupply] = []
        for parameter in parameters_of(tool.document.parameters):
            if not parameter.required:
                continue
            schema = dict(parameter.schema)
            problem = schema_problem(schema)
            if schema.get("enum") == [] or ("not" in schema and schema["not"] in ({}, True)):
                problem = problem or "its schema allows nothing"
            if problem:
                reason = f"{name!r}: {parameter.name!r} can't be given: {problem}"
                raise Rejected(DEPENDENCIES, reason)
            matching = tuple(
                (source_position, field)
                for source_position, source in earlier
                for field in fields(source)
                if fits(parameter, field, source)
            )
            stateable = not is_handle(parameter)
            if not matching and not stateable:
                raise Rejected(
                    DEPENDENCIES,
                    f"{name!r} needs {parameter.name!r}, which no user can state, and no earlier "
                    "tool of the chain is known to return it",
                )
            of_tool.append(ArgumentSupply(parameter, matching, stateable))
        all_supplies.append(tuple(of_tool))
        earlier.insert(0, (position, tool))  # nearest first
    return all_supplies


def is_handle(parameter: InputField) -> bool:
    """Whether only a tool can have made such a value, so that no request states it."""
    has_values = any(parameter.schema.get(key) for key in ("enum", "examples", "default", "const"))
    named = _HANDLE.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", parameter.name))
    return not has_values and (named is not None or parameter.schema.get("format") == "uuid")


# --- what fits -----------------------------------------------------------------------------------


def fits(parameter: InputField, field: ResultField, source: AgentTool) -> bool:
    """Whether a parameter may mean a field of a tool's result: by kind, and name or description."""
    # A list of one can be made of a single value.
    single = parameter.kind == "array" and field.kind in ("string", "number", "boolean")
    items = parameter.schema.get("items")
    wanted = kind_of_schema(items) if single and isinstance(items, Mapping) else parameter.kind
    if not kinds_fit(wanted, field.kind):
        return False
    if names_fit(parameter.name, field.path, source.tool.document.name):
        return True
    first, second = set(words_of(parameter.description)), set(words_of(field.description))
    if min(len(first), len(second)) < 3:
        return False
    return len(first & second) / len(first | second) >= _SIMILAR


def kinds_fit(wanted: FieldKind, given: FieldKind) -> bool:
    """Whether a value of one kind may be given where another is wanted."""
    return wanted == given or "any" in (wanted, given)


def names_fit(parameter: str, path: str, tool: str) -> bool:
    """Whether a parameter may mean a field, by their names and the tool's.

    `event_id` fits `event_id`, `events.0.id`, and the `id` of `get_event`; `email` fits
    `organiser_email`. A bare `id` fits nothing, since everything has one.
    """
    wanted, last = words_of(parameter), words_of(path.rpartition(".")[2])
    if not wanted or not last or wanted == ["id"] or wanted[-1] != last[-1]:
        return False
    context = {*words_of(path), *words_of(tool)} if len(wanted) > 1 else {*last}
    return set(wanted) <= context


class KnownFields:
    """The result fields of tools, each tool read once."""

    def __init__(self, observed: ObservedResults | None = None) -> None:
        self._observed = observed or {}
        self._fields: dict[tuple[str, str], tuple[ResultField, ...]] = {}

    def __call__(self, tool: AgentTool) -> tuple[ResultField, ...]:
        key = (tool.server.id, tool.tool.document.name)
        if key not in self._fields:
            self._fields[key] = fields_of(tool.tool, self.observed(tool))
        return self._fields[key]

    def observed(self, tool: AgentTool) -> Sequence[Json]:
        """Observed results of the tool."""
        return self._observed.get((tool.server.id, tool.tool.document.name), ())


def bridges(tools: ToolSet, fields: KnownFields) -> list[tuple[str, str]]:
    """(tool, tool of another server) pairs: a field of the first fits a parameter of the second.

    By kind and name only. Descriptions would join nearly all servers: many use the same words.
    """
    by_word: dict[str, list[tuple[AgentTool, ResultField]]] = {}
    for tool in tools.values():
        for field in fields(tool):
            for word in words_of(field.path)[-1:]:
                by_word.setdefault(word, []).append((tool, field))
    pairs: set[tuple[str, str]] = set()
    for name, tool in tools.items():
        for parameter in parameters_of(tool.document.parameters):
            if not parameter.required:
                continue
            for source, field in by_word.get("".join(words_of(parameter.name)[-1:]), ()):
                if (
                    source.server.id != tool.server.id
                    and kinds_fit(parameter.kind, field.kind)
                    and names_fit(parameter.name, field.path, source.tool.document.name)
                ):
                    pairs.add((source.document.name, name))
    order = {name: position for position, name in enumerate(tools)}
    return sorted(pairs, key=lambda pair: (order[pair[0]], order[pair[1]]))


def last_words(tools: ToolSet, fields: KnownFields) -> tuple[set[str], set[str]]:
    """Last words of what the tools return, and of what they require.

    Without a word in common there is no bridge between two servers.
    """
    returned: set[str] = set()
    required: set[str] = set()
    for tool in tools.values():
        for field in fields(tool):
            returned.update(words_of(field.path)[-1:])
        for parameter in parameters_of(tool.document.parameters):
            if parameter.required:
                required.update(words_of(parameter.name)[-1:])
    return returned, required
