"""Calls like a gold call, with other arguments: what several checks try."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from functools import lru_cache

from astra.arenas.certificate.arena_under_test import NamedCall
from astra.arenas.certificate.state.trials import StateTrials
from astra.core.json_schema import fits
from astra.databases import RowChange, shown_cell
from astra.types import Json, Tool, canonical_json

_WRONG: tuple[Json, ...] = ("no such thing", 10**12)
_MOST_ASSIGNMENTS = 100
_KEYS_TRIED = 1


def accepts(parameters: Mapping[str, Json], arguments: dict[str, Json]) -> bool:
    """Whether a tool's document allows arguments: a rollout refuses all others."""
    return _accepts(canonical_json(parameters), canonical_json(arguments))


@lru_cache(maxsize=8192)
def _accepts(parameters: str, arguments: str) -> bool:
    # The same tools stand in many arenas, and are tried with the same wrong values.
    return fits(json.loads(arguments), json.loads(parameters))


def refused_calls(trials: StateTrials, call: NamedCall) -> list[NamedCall]:
    """The call with each argument replaced by what no row and no choice has, and by other rows:
    some may be in a state in which it is refused."""
    parameters = trials.tools[call.tool].document.parameters
    found: list[NamedCall] = []
    for name in call.arguments:
        for value in (
            *_WRONG,
            *keys_like(trials, call.tool, name, call.arguments[name])[:_KEYS_TRIED],
        ):
            arguments = {**call.arguments, name: value}
            if accepts(parameters, arguments):
                found.append(NamedCall(call.tool, arguments, f"a call with {name} {value!r}"))
    return found


def keys_like(trials: StateTrials, tool: str, name: str, value: Json) -> list[Json]:
    """Other keys of the table whose key a parameter of a tool takes."""
    table = trials.key_table(tool, name, value)
    return [] if table is None else [key for key in table.rows_by_key if key != value]


def calls_for(
    trials: StateTrials, tool: Tool, change: RowChange, rng: random.Random
) -> list[NamedCall]:
    """Calls of a tool that could bring a change about: its key, column and value as arguments."""
    parameters = tool.document.parameters
    columns = change.after or change.before or {}
    table = trials.database.table(change.table)
    values: list[Json] = [change.key, *columns]
    for name, cell in columns.items():
        column = table.column(name)
        values.append(cell)
        if column.type == "decimal" and isinstance(cell, int):
            values.append(float(shown_cell(column, cell)))
        if column.type == "boolean":
            values.append(bool(cell))
    values += [value for call in trials.gold_calls for value in call.arguments.values()]
    options: list[Sequence[Json]] = []
    names = list(parameters["properties"])
    for name in names:
        fitting = [change.key] if name == table.key else values
        unlike = {"type": "object", "properties": {name: parameters["properties"][name]}}
        kept = [value for value in fitting if accepts(unlike, {name: value})]
        options.append(list({repr(value): value for value in kept}.values()))
    assignments = list(itertools.islice(itertools.product(*options), 4_096))
    chosen = rng.sample(assignments, min(_MOST_ASSIGNMENTS, len(assignments)))
    return [
        NamedCall(tool.name, dict(zip(names, each, strict=True)), f"a call of {tool.name!r}")
        for each in chosen
    ]
