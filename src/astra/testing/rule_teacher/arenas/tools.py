"""Tools for single steps, cut out of an arena's table tools: documents, sources, data, decoys.

An arena's tool serves all its steps of one kind. Here each step gets one of its own, which
doesn't hold what only the others ask for, so that merging them again has work to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from astra.arenas.tables.operations import OPERATIONS
from astra.arenas.tables.operations.parameters import ToolParameter, ToolTexts
from astra.arenas.tables.slices import TableSlice
from astra.arenas.tables.tools import tool_source
from astra.teacher.prompts.arenas import DocumentOut, Implementation
from astra.types import Arena, Goal, GoldCall, Json, Language, Tool, ToolSchema, canonical_json

_OPTIONS: dict[str, tuple[str, ...]] = {
    "lookup": ("format",),
    "find": ("match_case",),
    "list": ("order", "limit", "format"),
    "filter": ("order", "limit"),
    "count": ("format",),
    "count_where": ("format",),
    "rank": ("position",),
    "aggregate": ("decimals",),
    "compare": ("absolute",),
    "difference": ("absolute",),
    "days_between": ("inclusive",),
    "convert": ("decimals",),
}
"""Optional parameters that any data can serve, by operation."""
_ROWS = ("lookup", "find", "compare")
"""Operations whose calls name rows; the others name groups, or nothing that is held."""


def document_of(arena: Arena, goals: Sequence[Goal], name: str) -> DocumentOut:
    """The plain document of a tool for some steps that share a table tool: nothing optional."""
    tool = _shared(arena, goals)
    parameters = tool.document.parameters
    properties = {key: dict(parameters["properties"][key]) for key in parameters["required"]}
    calls, others = _calls(arena, goals), _others(arena, goals)
    for key in ("attribute", "by"):
        if key in properties and "enum" in properties[key]:
            mine = {call[key] for call in calls}
            theirs = {call.arguments[key] for call in others}
            choices = properties[key]["enum"]
            kept = [choice for choice in choices if choice in mine or choice not in theirs]
            properties[key] = _fewer(properties[key], kept)
    return DocumentOut(
        name=name,
        description=tool.document.description,
        parameters=dict(parameters) | {"properties": properties},
    )


def scaled(document: DocumentOut, operation: str, language: Language) -> DocumentOut:
    """The document with all optional parameters that its operation knows."""
    properties = dict(document.parameters["properties"])
    for name in _OPTIONS[operation]:
        option = next(p for p in OPERATIONS[operation].options if p.name == name)
        parameter = option.of_tool(TableSlice(), ToolTexts(language, "", "", "", ""))
        if name == "limit":
            parameter = replace(parameter, default=100)
        properties.setdefault(name, parameter.schema())
    return document.model_copy(
        update={"parameters": document.parameters | {"properties": properties}}
    )


def implementation_of(arena: Arena, goals: Sequence[Goal], document: DocumentOut) -> Implementation:
    """The module that serves the steps under the given document.

    Raises ValueError when the document's parameters are not those of the table tool.
    """
    first = goals[0]
    assert first.call is not None and first.target is not None
    golds = [arguments_of(goal) for goal in goals]
    decoys = {canonical_json(decoy): decoy for decoy in decoys_of(arena, goals)}
    operation, data = goals[0].operation, _data(arena, goals)
    parameters = _parameters(arena, goals, document)
    entity = next(iter(data["rows"][0])) if "rows" in data else ""
    source = tool_source(OPERATIONS[operation], document.name, parameters, entity, arena.language)
    if data:
        source = f"RECORDS = {_literal(data)}\n\n{source.replace('DATA[', 'RECORDS[')}"
    return Implementation(
        source=source,
        field=first.target.field,
        key_fields=tuple(key for key in first.target.key if key in first.call.arguments),
        decoys=tuple(decoy for decoy in decoys.values() if decoy not in golds),
    )


def arguments_of(goal: Goal) -> dict[str, Json]:
    """The gold arguments of a step that has a call."""
    assert goal.call is not None
    return dict(goal.call.arguments)


def tool_of(arena: Arena, goals: Sequence[Goal]) -> Tool:
    """The scaled tool of some steps, as a tool of an arena."""
    shared = _shared(arena, goals)
    plain = document_of(arena, goals, shared.name)
    document = scaled(plain, goals[0].operation, arena.language)
    return Tool(
        document=ToolSchema(**document.model_dump()),
        source=implementation_of(arena, goals, document).source,
        domain=shared.domain,
        language=arena.language,
    )


def name_of(arena: Arena, goal: Goal, taken: Sequence[str] = ()) -> str:
    """A name that no other step of the arena would get, nor stands in `taken`."""
    call = goal.call
    assert call is not None
    mates = [g.id for g in arena.goals if g.call is not None and g.call.tool == call.tool]
    number = mates.index(goal.id) + 1
    names = (call.tool if n == 1 else f"{call.tool}_{n}" for n in range(number, 10_000))
    return next(name for name in names if name not in taken)


# --- what a step's tool holds ----------------------------------------------------------------


def _shared(arena: Arena, goals: Sequence[Goal]) -> Tool:
    names = {goal.call.tool for goal in goals if goal.call is not None}
    if len(names) != 1:
        raise ValueError(f"the steps call {sorted(names)!r}, not one table tool")
    return arena.tool(names.pop())


def _others(arena: Arena, goals: Sequence[Goal]) -> list[GoldCall]:
    """Calls to the same tool that these steps don't make."""
    name = _shared(arena, goals).name
    mine = {goal.id for goal in goals}
    calls = [goal.call for goal in arena.goals if goal.id not in mine]
    return [call for call in calls if call is not None and call.tool == name]


def decoys_of(arena: Arena, goals: Sequence[Goal]) -> list[dict[str, Json]]:
    """The arena's, but for those that ask about what only other steps ask about."""
    theirs = [_subject(call.arguments) for call in _others(arena, goals)]
    decoys = [decoy for goal in goals for decoy in goal.decoys]
    return [decoy for decoy in decoys if _subject(decoy) not in theirs]


def _subject(arguments: dict[str, Json]) -> dict[str, Json]:
    return {k: v for k, v in arguments.items() if k not in ("attribute", "order", "function")}


def _calls(arena: Arena, goals: Sequence[Goal]) -> list[dict[str, Json]]:
    return [*map(arguments_of, goals), *decoys_of(arena, goals)]


def _fewer(schema: dict[str, Json], kept: list[str]) -> dict[str, Json]:
    """A parameter with fewer choices, also in its description, which lists them in order."""
    description, choices = schema["description"], schema["enum"]
    starts: list[int] = []
    for choice in choices:
        pattern = re.compile(rf"(?<!\w){re.escape(choice)}(?= \(|[,.。])")
        match = pattern.search(description, starts[-1] + 1 if starts else 0)
        if match is None:
            return schema | {"enum": kept}
        starts.append(match.start())
    end = len(description) - 1  # the full stop
    ends = [*(start - len(", ") for start in starts[1:]), end]
    pieces = zip(choices, starts, ends, strict=True)
    listed = ", ".join(description[start:stop] for choice, start, stop in pieces if choice in kept)
    described = description[: starts[0]] + listed + description[end:]
    return schema | {"enum": kept, "description": described}


def _data(arena: Arena, goals: Sequence[Goal]) -> dict[str, Json]:
    """The table tool's data without what only other steps ask for."""
    tool, operation = _shared(arena, goals), goals[0].operation
    data: dict[str, Json] = {key: tool.data[key] for key in tool.data if key != "translations"}
    if "rows" not in data:
        return data
    data.setdefault("labels", {})
    mine, theirs = _calls(arena, goals), [call.arguments for call in _others(arena, goals)]
    if operation in _ROWS:
        entity = next(iter(data["rows"][0]))
        asked = {_row(row, call, entity) for row in data["rows"] for call in mine}
        data["rows"] = [
            row
            for row in data["rows"]
            if row[entity] in asked or not any(_row(row, call, entity) for call in theirs)
        ]
    else:
        kept = {(call["by"], call["value"]) for call in mine}
        gone = {(call["by"], call["value"]) for call in theirs} - kept
        data["groups"] = {
            by: [value for value in values if (by, value) not in gone]
            for by, values in data["groups"].items()
        }
    return data


def _row(row: dict[str, Json], call: dict[str, Json], entity: str) -> str | None:
    """The row's name if the call asks about it."""
    if entity in call or "first" in call:
        named = row[entity] in (call.get(entity), call.get("first"), call.get("second"))
        return row[entity] if named else None
    return row[entity] if row.get(call["attribute"]) == call["value"] else None


# --- sources ---------------------------------------------------------------------------------


def _parameters(arena: Arena, goals: Sequence[Goal], document: DocumentOut) -> list[ToolParameter]:
    wanted = document_of(arena, goals, document.name).parameters["properties"]
    given: dict[str, dict[str, Any]] = document.parameters["properties"]
    known = {*wanted, *_OPTIONS[goals[0].operation]}
    if not set(wanted) <= set(given) <= known:
        raise ValueError(
            f"the parameters {sorted(given)!r} of {document.name!r} are not {sorted(wanted)!r} "
            f"with some of {sorted(known - set(wanted))!r}"
        )
    return [
        ToolParameter(
            name=name,
            kind=schema["type"],
            description=schema["description"],
            choices=tuple(schema["enum"]) if "enum" in schema else None,
            default=schema.get("default"),
            required=name in wanted,
        )
        for name, schema in sorted(given.items(), key=lambda item: item[0] not in wanted)
    ]


def _literal(value: Json, depth: int = 1) -> str:
    """Python for JSON data, a row a line."""
    pad = "    " * depth
    if isinstance(value, dict) and depth == 1:
        inner = "".join(f"{pad}{k!r}: {_literal(v, depth + 1)},\n" for k, v in value.items())
        return f"{{\n{inner}}}"
    if isinstance(value, list) and depth == 2 and value:
        return "[\n" + "".join(f"{pad}{row!r},\n" for row in value) + "    ]"
    return repr(value)
