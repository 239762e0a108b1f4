"""Checks `constraints`, `effects`, `reach`, `unique`: what tools do with calls nobody asked for.

Not covered: arguments that were not tried.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence, Set

from astra.arenas.certificate.arena_under_test import (
    CheckFinding,
    NamedCall,
    call_evidence,
    is_answered,
)
from astra.arenas.certificate.state.trials import StateTrials
from astra.arenas.certificate.state.variants import accepts
from astra.arenas.certificate.state.wording import (
    check_boundary,
    check_determined,
    check_orders,
    check_to_or_by,
    check_units,
)
from astra.core.text import contains_text
from astra.databases import Cell, Database, DatabaseTable, RowChange, shown_cell
from astra.models.arguments import random_arguments
from astra.rewards import same_scalar
from astra.types import Json, canonical_json

HOSTILE = (
    "'; DROP TABLE x; --",
    '" OR 1=1 --',
    "%",
    "x' OR 'x'='x",
    "",
    "  ",
    "\u0000",
    "a" * 5_000,
    "../../etc/passwd",
)
_RANDOM_CALLS = 2
_DENIED = re.compile(r"not authorized|readonly database|access to .* is prohibited")
"""What SQLite says where a tool reaches for what its call may not write."""
_VALUES_TRIED = 2
"""Of each parameter. The tools stand in many arenas, each of which draws other values."""
_WRONG: tuple[Json, ...] = (None, -1, 10**30, 1.5, True, [], {}, "no such thing")


async def check_constraints(trials: StateTrials, rng: random.Random) -> dict[str, Json]:
    """Unknown keys, wrong types, negative numbers and hostile texts change nothing but their row.

    They are answered: by an error, or by taking the text as the text that it is.
    """
    gold = {call.tool: call for call in reversed(trials.gold_calls)}
    calls: list[NamedCall] = []
    for name in trials.tools:
        base = gold[name].arguments if name in gold else {}
        properties = trials.tools[name].document.parameters["properties"]
        for parameter, schema in properties.items():
            tried = 0
            values = _values_for(schema)
            for value in rng.sample(values, len(values)):
                arguments = {**base, parameter: value}
                if not accepts(trials.tools[name].document.parameters, arguments):
                    continue
                tried += 1
                if tried > _VALUES_TRIED:
                    break
                text = f"a call of {name!r} with {parameter} {str(value)[:40]!r}"
                calls.append(NamedCall(name, arguments, text))
    answered = 0
    for played in await trials.play([[call] for call in calls]):
        (call,), (outcome,) = played.calls, played.outcomes
        if outcome.failure is not None and outcome.failure.kind == "raised":
            raise CheckFinding(
                f"{call.description} raised {outcome.failure.type}: "
                f"{outcome.failure.message[:200]}: return a structured error",
                call=call_evidence(call),
            )
        if outcome.effect is None:
            continue
        answered += 1
        for change in outcome.effect.changes:
            _require_plausible(trials, call, change)
        if len(outcome.effect.changes) > 2:
            raise CheckFinding(
                f"{call.description} changed {len(outcome.effect.changes)} rows",
                call=call_evidence(call),
            )
    return {"calls": len(calls), "taken": answered}


def _values_for(schema: dict[str, Json]) -> tuple[Json, ...]:
    """The hostile and wrong values that a parameter's type may let through."""
    if "enum" in schema:
        return ()
    numbers = tuple(v for v in _WRONG if isinstance(v, int | float) and not isinstance(v, bool))
    by_type = {"string": (*HOSTILE, "no such thing"), "integer": numbers, "number": numbers}
    return by_type.get(str(schema.get("type")), (*HOSTILE, *_WRONG))


def _require_plausible(trials: StateTrials, call: NamedCall, change: RowChange) -> None:
    """A call may not store what no row has: null, less than 0, another text where there are few."""
    table = trials.database.table(change.table)
    for name, value in (change.after or {}).items():
        column = table.column(name)
        if column.type == "boolean" or name == table.key:
            continue
        held = [row[name] for row in table.rows_by_key.values()]
        numbers = [cell for cell in held if isinstance(cell, int)]
        below = isinstance(value, int) and value < 0 <= min(numbers, default=0)
        empty = value is None and None not in held and change.before is not None
        if below or (empty and held) or (column.choices and value not in (*column.choices, None)):
            raise CheckFinding(
                f"{call.description} stored {value!r} as {name} of {change.table!r}, as no row has",
                call=call_evidence(call),
            )


async def check_effects(trials: StateTrials, rng: random.Random) -> dict[str, Json]:
    """Tools change only what is declared; each change of a goal can be made by one tool alone."""
    calls: list[NamedCall] = []
    for tool in trials.arena.tools:
        for _ in range(_RANDOM_CALLS):
            arguments = random_arguments(tool.document.parameters, rng)
            if arguments is not None:
                arguments = _with_keys(trials, tool.name, arguments, rng)
                text = f"a random call of {tool.name!r}"
                calls.append(NamedCall(tool.name, arguments, text))
    makers: dict[tuple[str, str, Cell], set[str]] = defaultdict(set)
    plans = [[call] for call in calls] + [
        [call] for call in trials.gold_calls if trials.writes(call)
    ]
    for played in await trials.play(plans):
        (call,), (outcome,) = played.calls, played.outcomes
        if outcome.failure is not None and _DENIED.search(outcome.failure.message):
            raise CheckFinding(
                f"{call.description} tried to write what it does not declare: "
                f"{outcome.failure.message[:200]}",
                call=call_evidence(call),
            )
        for change in outcome.effect.changes if outcome.effect is not None else ():
            _require_named(trials, call, change)
            declared = trials.state.writes.get(call.tool, ())
            if change.table not in declared:
                raise CheckFinding(
                    f"{call.description} changed table {change.table!r}, which it does not declare",
                    call=call_evidence(call),
                )
            for transition in _transitions(trials, change):
                makers[transition].add(call.tool)
    wanted = {
        transition
        for goal in trials.state.goals
        for change in goal.changes
        for transition in _transitions(trials, change)
    }
    for table, column, value in sorted(wanted, key=str):
        tools = makers[table, column, value]
        if len(tools) > 1:
            what = f"{column!r} of {table!r}" + (f" to {value!r}" if value else "")
            raise CheckFinding(f"several tools change {what}: {', '.join(sorted(tools))}")
    return {"calls": len(plans)}


def _require_named(trials: StateTrials, call: NamedCall, change: RowChange) -> None:
    """A row that is changed is named by the call, by its key or by what it refers to."""
    if change.before is None:
        return
    table = trials.database.table(change.table)
    row = table.rows_by_key.get(change.key, {})
    named = {str(value).casefold() for value in call.arguments.values()}
    if not {str(row.get(name)).casefold() for name in (table.key, *table.references)} & named:
        raise CheckFinding(
            f"{call.description} changed row {change.key!r} of {change.table!r}, which it does not "
            "name",
            call=call_evidence(call),
        )


def _transitions(trials: StateTrials, change: RowChange) -> list[tuple[str, str, Cell]]:
    """Table, column, and the new value where there are few: that may have a tool of its own.

    Of rows that come, and of those that go, this in place of the column."""
    if change.before is None or change.after is None:
        kind = "rows that come" if change.before is None else "rows that go"
        return [(change.table, kind, None)]
    table = trials.database.table(change.table)
    return [
        (change.table, name, value if table.column(name).choices else None)
        for name, value in change.after.items()
    ]


def _with_keys(
    trials: StateTrials, tool: str, arguments: dict[str, Json], rng: random.Random
) -> dict[str, Json]:
    """The arguments with real keys: random texts would be keys of nothing."""
    keyed = dict(arguments)
    for name in arguments:
        table = trials.key_table(tool, name)
        if table is not None and table.rows:
            keyed[name] = rng.choice(list(table.rows_by_key))
    return keyed


async def check_unique(trials: StateTrials) -> dict[str, Json]:
    """What a gold read finds is the row that is meant, or each of the rows that are; and no other
    reading of the request comes to another state.

    A list that can't be filtered holds others, too: they differ in something that is said.
    """
    await check_boundary(trials)
    check_to_or_by(trials)
    check_determined(trials)
    check_units(trials)
    await check_orders(trials)
    reads = [call for call in trials.gold_calls if not trials.writes(call)]
    written = {
        value
        for call in trials.gold_calls
        if trials.writes(call)
        for value in call.arguments.values()
        if isinstance(value, str | int)
    }
    written |= {
        value
        for goal in trials.state.goals
        if goal.refuses is not None
        for value in goal.refuses.arguments.values()
        if isinstance(value, str | int)
    }
    used = written | {
        value for call in reads for value in call.arguments.values() if isinstance(value, str | int)
    }
    # What is counted is meant as a whole.
    counted = [
        (goal.call.tool, goal.call.arguments)
        for goal in trials.arena.goals
        if goal.call is not None and goal.target is not None and goal.target.field == "total"
    ]
    goals = {
        canonical_json([goal.call.tool, goal.call.arguments]): goal
        for goal in trials.arena.goals
        if goal.call is not None
    }
    # Of the parts of a list, the last one holds the row.
    found_last = {
        goal.question: goal.target.value for goal in goals.values() if goal.target is not None
    }
    for played in await trials.play([[call] for call in reads]):
        (call,), (outcome,) = played.calls, played.outcomes
        if not is_answered(outcome) or (call.tool, call.arguments) in counted:
            continue
        table, keys = rows_in(trials.database, outcome.value)
        unused = [key for key in keys if key not in used]
        goal = goals.get(canonical_json([call.tool, call.arguments]))
        meant = None if goal is None else found_last.get(goal.question)
        if goal is not None and table is not None and meant in table.rows_by_key:
            asked_for = {v for v in call.arguments.values() if isinstance(v, str | int)}
            unused = [
                key
                for key in unused
                if key != meant
                and not _differs(trials, table, key, meant, goal.question, asked_for)
            ]
        if len(keys) > 1 and unused:
            raise CheckFinding(
                f"{call.description} finds {len(keys)} rows, of which {unused[0]!r} is not meant",
                call=call_evidence(call),
            )
    return {"reads": len(reads)}


def rows_in(database: Database, result: Json) -> tuple[DatabaseTable | None, list[Json]]:
    """The table and the keys of the rows in a result that lists rows of one table.

    Tables may have the same columns and keys: the rows are of the one whose cells they show.
    """
    lists = result.values() if isinstance(result, dict) else [result]
    for value in lists:
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            shown: list[tuple[int, DatabaseTable]] = []
            for table in database.tables:
                names = {column.name for column in table.columns}
                if all(
                    table.key in row and row.keys() <= names and row[table.key] in table.rows_by_key
                    for row in value
                ):
                    shown.append((_cells_shown(table, value), table))
            if shown:
                _, table = max(shown, key=lambda found: found[0])
                return table, [row[table.key] for row in value]
    return None, []


def _cells_shown(table: DatabaseTable, rows: Sequence[dict[str, Json]]) -> int:
    """How many values in rows of a result are those of the table's rows with the same keys."""
    columns = {column.name: column for column in table.columns}
    found = 0
    for row in rows:
        stored = table.rows_by_key[row[table.key]]
        for name, value in row.items():
            cell = stored[name]
            if columns[name].type == "decimal" and cell is not None:
                found += same_scalar(value, shown_cell(columns[name], cell))
            else:
                found += value == cell
    return found


def _differs(
    trials: StateTrials,
    table: DatabaseTable,
    other: Json,
    meant: Json,
    question: str,
    asked_for: Set[str | int],
) -> bool:
    """Whether a row has another value than the meant one where the question says a value: of the
    row itself, or of a row that it refers to.

    `asked_for`: what the call gave. A tool that finds other rows by it finds too many.
    """
    first, second = table.rows_by_key[meant], table.rows_by_key[other]
    said = False
    for column in table.columns:
        held = first[column.name]
        if held is None or held == second[column.name]:
            continue
        parent = table.references.get(column.name)
        texts = [held] if isinstance(held, str) else []
        if held in asked_for and (texts or parent is not None):
            return False
        if parent is not None:
            row = trials.database.table(parent).rows_by_key.get(held, {})
            texts += [cell for cell in row.values() if isinstance(cell, str)]
        said = said or any(contains_text(question, text) for text in texts)
    return said
