"""The dependency check by schema: can every required argument of a chain be had at all?

An argument can come from a field that an earlier tool is known to return and that fits, or from
the request, if a person could state it. Nobody states page cursors, session handles and the like:
those need an earlier tool.

What this does not guarantee: that the field means what the parameter means. It compares names,
kinds and words of descriptions; the teacher judges sense afterwards.
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
_ALIKE = 0.5
"""Share of common words at which two descriptions speak of the same."""

ObservedResults = Mapping[tuple[str, str], Sequence[Json]]
"""(server id, tool name) -> results that were seen."""


class ArgumentSupply(NamedTuple):
    """Where a required argument may come from."""

    parameter: InputField
    fields: tuple[tuple[int, ResultField], ...]
    """(position in the chain, field) of earlier results that fit, the nearest first."""
    stateable: bool
    """Whether a request can state it."""


def supplies(
    chain: Sequence[AgentTool], known: Callable[[AgentTool], Sequence[ResultField]]
) -> list[tuple[ArgumentSupply, ...]]:
    """For each tool of the chain, how its required arguments can be had.

    Raises Rejected for one that can't. `known`: a tool's fields.
    """
    earlier: list[tuple[int, AgentTool]] = []
    found: list[tuple[ArgumentSupply, ...]] = []
    for position, shown in enumerate(chain):
        required = [p for p in parameters_of(shown.document.parameters) if p.required]
        given = tuple(_supply(shown, parameter, earlier, known) for parameter in required)
        found.append(given)
        earlier.insert(0, (position, shown))
    return found


def _supply(
    shown: AgentTool,
    parameter: InputField,
    earlier: Sequence[tuple[int, AgentTool]],
    known: Callable[[AgentTool], Sequence[ResultField]],
) -> ArgumentSupply:
    if (broken := _impossible(parameter)) is not None:
        raise Rejected(
            DEPENDENCIES, f"{shown.document.name!r}: {parameter.name!r} can't be given: {broken}"
        )
    fields = tuple(
        (position, field)
        for position, source in earlier
        for field in known(source)
        if fits(parameter, field, source)
    )
    stateable = not is_handle(parameter)
    if not fields and not stateable:
        raise Rejected(
            DEPENDENCIES,
            f"{shown.document.name!r} needs {parameter.name!r}, which no user can state, and no "
            "earlier tool of the chain is known to return it",
        )
    return ArgumentSupply(parameter, fields, stateable)


def is_handle(parameter: InputField) -> bool:
    """Whether only a tool can have made such a value, so that no request states it."""
    known = any(parameter.schema.get(key) for key in ("enum", "examples", "default", "const"))
    named = _HANDLE.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", parameter.name))
    return not known and (named is not None or parameter.schema.get("format") == "uuid")


def _impossible(parameter: InputField) -> str | None:
    """Why no value whatever fits a parameter, as far as can be told; None: one may."""
    schema = dict(parameter.schema)
    if problem := schema_problem(schema):
        return problem
    if schema.get("enum") == [] or ("not" in schema and schema["not"] in ({}, True)):
        return "its schema allows nothing"
    return None


# --- what fits -----------------------------------------------------------------------------------


def fits(parameter: InputField, field: ResultField, source: AgentTool) -> bool:
    """Whether a field of a tool's result may be meant by a parameter: kind, and name or words."""
    return kinds_fit(parameter.kind, field.kind) and (
        names_fit(parameter.name, field.path, source.tool.document.name)
        or _alike(parameter.description, field.description)
    )


def kinds_fit(wanted: FieldKind, given: FieldKind) -> bool:
    """Whether a value of one kind may be given where another is wanted."""
    return wanted == given if "any" not in (wanted, given) else True


def names_fit(parameter: str, path: str, tool: str) -> bool:
    """Whether a field may be meant by a parameter, by their names and the tool's.

    `event_id` fits `event_id`, `events.0.id`, and the `id` of `get_event`; `email` fits
    `organiser_email`. A bare `id` fits nothing, since everything has one.
    """
    wanted, last = words_of(parameter), words_of(path.rpartition(".")[2])
    if not wanted or not last or wanted == ["id"] or wanted[-1] != last[-1]:
        return False
    around = {*words_of(path), *words_of(tool)} if len(wanted) > 1 else {*last}
    return set(wanted) <= around


def _alike(one: str, other: str) -> bool:
    first, second = set(words_of(one)), set(words_of(other))
    if min(len(first), len(second)) < 3:
        return False
    return len(first & second) / len(first | second) >= _ALIKE


class KnownFields:
    """The fields of tools, read once each."""

    def __init__(self, observed: ObservedResults | None = None) -> None:
        self._observed = observed or {}
        self._fields: dict[tuple[str, str], tuple[ResultField, ...]] = {}

    def __call__(self, shown: AgentTool) -> tuple[ResultField, ...]:
        key = (shown.server.id, shown.tool.document.name)
        if key not in self._fields:
            self._fields[key] = fields_of(shown.tool, self.observed(shown))
        return self._fields[key]

    def observed(self, shown: AgentTool) -> Sequence[Json]:
        """Results of the tool that were seen."""
        return self._observed.get((shown.server.id, shown.tool.document.name), ())


def bridges(tools: ToolSet, known: KnownFields) -> list[tuple[str, str]]:
    """(tool, tool of another server) whose required argument a field of the first fits by name.

    Descriptions alone join no servers: too many speak of the same words.
    """
    by_word: dict[str, list[tuple[str, ResultField]]] = {}
    for name in tools:
        for field in known(tools[name]):
            for word in words_of(field.path)[-1:]:
                by_word.setdefault(word, []).append((name, field))
    found: dict[tuple[str, str], None] = {}
    for name in tools:
        for parameter in parameters_of(tools[name].document.parameters):
            if not parameter.required:
                continue
            for source, field in by_word.get("".join(words_of(parameter.name)[-1:]), ()):
                if _joins(tools[source], field, tools[name], parameter):
                    found[source, name] = None
    order = {name: position for position, name in enumerate(tools)}
    return sorted(found, key=lambda pair: (order[pair[0]], order[pair[1]]))


def _joins(source: AgentTool, field: ResultField, target: AgentTool, parameter: InputField) -> bool:
    return (
        source.server.id != target.server.id
        and kinds_fit(parameter.kind, field.kind)
        and names_fit(parameter.name, field.path, source.tool.document.name)
    )


def last_words(tools: ToolSet, known: KnownFields) -> tuple[set[str], set[str]]:
    """Last words of what the tools return, and of what they require: no bridge without one in
    common."""
    given = {w for name in tools for f in known(tools[name]) for w in words_of(f.path)[-1:]}
    wanted = {
        word
        for name in tools
        for parameter in parameters_of(tools[name].document.parameters)
        if parameter.required
        for word in words_of(parameter.name)[-1:]
    }
    return given, wanted
