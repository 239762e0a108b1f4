"""Checks `collateral`, `undo`: whatever is done beyond or beside the request costs what it should.

Not covered: damage through calls that were not tried. Rewards compare whole states, so any change
of another row counts, whichever tool made it.
"""

from __future__ import annotations

import random

from astra.arenas.certificate.arena_under_test import (
    CheckFinding,
    NamedCall,
    call_evidence,
    is_answered,
)
from astra.arenas.certificate.state.trials import StateTrials, Trial, TrialStep
from astra.arenas.certificate.state.variants import keys_like
from astra.types import Json

_ROWS_TRIED = 4
_VALUES_TRIED = 2


async def check_collateral(trials: StateTrials, rng: random.Random) -> dict[str, Json]:
    """The right calls with a further change never count as right, nor do wrong ones in their place.

    What changes another row is damage, and worth nothing.
    """
    gold = trials.gold
    # Before the last text: after it the episode is over.
    *start, end = gold
    plans: list[tuple[str, NamedCall, list[TrialStep]]] = []
    for place, call in trials.gold_writes:
        for other in _other_calls(trials, call, rng):
            plans.append(("beside", other, [*start, other, end]))
            plans.append(("instead", other, [*gold[:place], other, *gold[place + 1 :]]))
        plans.append(("twice", call, [*start, call, end]))
    for other in _other_columns(trials, rng):
        plans.append(("beside", other, [*start, other, end]))
    tried = 0
    played = await trials.play([calls for _, _, calls in plans])
    for (kind, call, _), trial in zip(plans, played, strict=True):
        if _extra_effect(trial, call, kind) is None:
            continue
        tried += 1
        score = trial.score
        # Doing it again may be harmless, but is never free; a new row is one too many.
        if kind == "twice":
            fine = score.f1 < 1
        elif kind == "instead":
            fine = not trial.strict
        else:
            fine = score.f1 < 1 and not (trial.strict and score.damage)
        if not fine:
            raise CheckFinding(
                f"{call.description} {kind} the gold calls scores {score.f1!r}",
                call=call_evidence(call),
                kind=kind,
            )
    return {"episodes": len(plans), "with_effect": tried}


def _extra_effect(trial: Trial, call: NamedCall, kind: str) -> object:
    """What the call under test changed. Of one made twice: anything, its price is the call."""
    if kind == "twice":
        return call
    for made, outcome in zip(reversed(trial.calls), reversed(trial.outcomes), strict=True):
        if made is call:
            return outcome.effect
    return None


def _other_calls(trials: StateTrials, call: NamedCall, rng: random.Random) -> list[NamedCall]:
    """The call with another row, and with other values."""
    gold = [(other.tool, other.arguments) for other in trials.gold_calls]
    found: list[NamedCall] = []
    properties = trials.tools[call.tool].document.parameters["properties"]
    for name, value in call.arguments.items():
        keys = keys_like(trials, call.tool, name, value)
        options: list[Json] = rng.sample(keys, min(_ROWS_TRIED, len(keys)))
        if not keys:
            options = _values_like(trials, name, value, properties.get(name, {}), rng)
        for option in options:
            arguments = {**call.arguments, name: option}
            if (call.tool, arguments) not in gold:
                text = f"a call of {call.tool!r} with another {name}"
                found.append(NamedCall(call.tool, arguments, text))
    return found


def _other_columns(trials: StateTrials, rng: random.Random) -> list[NamedCall]:
    """Calls of other tools on the rows of the goals: what nobody asked to change of them."""
    meant = {call.tool for _, call in trials.gold_writes}
    found: list[NamedCall] = []
    for change in {(c.table, c.key): c for g in trials.state.goals for c in g.changes}.values():
        table = trials.database.table(change.table)
        row = table.rows_by_key.get(change.key)
        for name, tool in trials.tools.items() if row is not None else ():
            properties = tool.document.parameters["properties"]
            if name in meant or change.table not in trials.state.writes.get(name, ()):
                continue
            others = [parameter for parameter in properties if parameter != table.key]
            if table.key not in properties or len(others) != 1 or row is None:
                continue
            (column,) = others
            if column not in row:
                continue
            held = _shown_as(properties[column], row[column])
            for option in _values_like(trials, column, held, properties[column], rng):
                arguments = {table.key: change.key, column: option}
                found.append(NamedCall(name, arguments, f"a call of {name!r} on the same row"))
    return found


def _shown_as(schema: dict[str, Json], value: Json) -> Json:
    """A stored cell as a parameter of that type takes it."""
    return bool(value) if schema.get("type") == "boolean" else value


def _values_like(
    trials: StateTrials, name: str, value: Json, schema: dict[str, Json], rng: random.Random
) -> list[Json]:
    """Other values of a parameter."""
    if "enum" in schema:
        return [choice for choice in schema["enum"] if choice != value][:_VALUES_TRIED]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1]
    held = [
        row[name]
        for table in trials.database.tables
        for row in table.rows_by_key.values()
        if isinstance(row.get(name), str) and row[name] != value
    ]
    return rng.sample(held, min(_VALUES_TRIED, len(held)))


async def check_undo(trials: StateTrials) -> dict[str, Json]:
    """A wrong value can be put right; that counts as solved, and costs one call."""
    gold = trials.gold
    plans: list[list[TrialStep]] = []
    free: list[NamedCall | None] = []
    for place, call in trials.gold_writes:
        properties = trials.tools[call.tool].document.parameters["properties"]
        for other in _other_calls(trials, call, random.Random(call.tool)):
            (name,) = (n for n, value in call.arguments.items() if value != other.arguments[n])
            if _is_new(trials, call, name, other.arguments[name]):
                plans.append([*gold[:place], other, *gold[place:]])
                # A status may be one that a row stays in.
                one_of_few = "enum" in properties.get(name, {})
                of_a_row = any(
                    trials.key_table(call.tool, *each) for each in call.arguments.items()
                )
                sets = of_a_row and len(call.arguments) == 2 and not one_of_few
                free.append(call if sets else None)
                break
    tried = 0
    for call, played in zip(free, await trials.play(plans), strict=True):
        if not all(map(is_answered, played.outcomes)):
            if call is not None and _only_right_refused(call, played):
                raise CheckFinding(
                    f"{call.description} is refused after one with another value: a wrong value "
                    "can't be put right",
                    call=call_evidence(call),
                )
            continue  # a transfer can't be put right by another one
        tried += played.score.waste == 1
        if played.score.f1 == 1:
            raise CheckFinding("a wrong value that is put right afterwards costs nothing")
    return {"episodes": len(plans), "put_right": tried}


def _is_new(trials: StateTrials, call: NamedCall, name: str, value: Json) -> bool:
    """Whether a value is another one for the row of a call, and not another row."""
    if keys_like(trials, call.tool, name, call.arguments[name]):
        return False
    held = [
        row.get(name)
        for table in trials.database.tables
        if (row := table.rows_by_key.get(call.arguments.get(table.key)))
    ]
    return value not in held


def _only_right_refused(call: NamedCall, played: Trial) -> bool:
    """Whether all was answered but the gold call itself."""
    refused = [
        made
        for made, outcome in zip(played.calls, played.outcomes, strict=True)
        if not is_answered(outcome)
    ]
    return refused == [call]
