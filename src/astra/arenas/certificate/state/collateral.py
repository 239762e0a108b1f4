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
        keys = _keys_like(trials, name, value)
        options: list[Json] = rng.sample(keys, min(_ROWS_TRIED, len(keys)))
        if not keys:
            options = _values_like(trials, name, value, properties.get(name, {}), rng)
        for option in options:
            arguments = {**call.arguments, name: option}
            if (call.tool, arguments) not in gold:
                text = f"a call of {call.tool!r} with another {name}"
                found.append(NamedCall(call.tool, arguments, text))
    return found


def _keys_like(trials: StateTrials, name: str, value: Json) -> list[Json]:
    """Other keys of the table whose key a parameter takes."""
    for table in trials.database.tables:
        plain = name.removeprefix("from_").removeprefix("to_")
        if table.key in (name, plain) and value in table.rows_by_key:
            return [key for key in table.rows_by_key if key != value]
    return []


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
    """A wrong value that is put right counts as solved, and costs one call."""
    gold = trials.gold
    plans: list[list[TrialStep]] = []
    for place, call in trials.gold_writes:
        for other in _other_calls(trials, call, random.Random(call.tool)):
            (name,) = (n for n, value in call.arguments.items() if value != other.arguments[n])
            if not _keys_like(trials, name, call.arguments[name]):
                plans.append([*gold[:place], other, *gold[place:]])
                break
    tried = 0
    for played in await trials.play(plans):
        if not all(map(is_answered, played.outcomes)):
            continue  # a transfer can't be put right by another one
        tried += played.score.waste == 1
        if played.score.f1 == 1:
            raise CheckFinding("a wrong value that is put right afterwards costs nothing")
    return {"episodes": len(plans), "put_right": tried}
