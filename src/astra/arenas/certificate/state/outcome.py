"""Checks `state`, `null`, `already`, `necessary`: what the right calls bring about, and what less
does.

Not covered: that the request in words asks for what the goals declare. Whoever draws the request
computes both from one intent, and in another engine than the tools use.
"""

from __future__ import annotations

import json

from astra.arenas.certificate.arena_under_test import (
    CheckFinding,
    NamedCall,
    call_evidence,
    is_answered,
)
from astra.arenas.certificate.state.trials import (
    DUMP,
    Rows,
    Said,
    StateTrials,
    TrialStep,
    apply_changes,
)
from astra.models.policies import policy_text
from astra.protocols import CallOutcome, SandboxEpisode
from astra.rewards import solves
from astra.sandbox.database_image import state_hash
from astra.types import Json, StateGoal
from astra.users.script import MAX_EXTRA

_EPISODES = ((1, 4_117_859_112.25), (2, 951_868_799.0))
"""Hash seeds and clocks of further episodes: nothing may depend on them."""


async def check_state(trials: StateTrials) -> dict[str, Json]:
    """The gold calls bring about exactly what the goals declare, in every episode and order."""
    gold = trials.gold
    orders = [gold, _writes_reversed(trials)]
    for played in await trials.play(orders, whole=True):
        for call, outcome in zip(played.calls, played.outcomes, strict=True):
            if not is_answered(outcome):
                what = outcome.failure or outcome.value
                raise CheckFinding(
                    f"{call.description} failed: {str(what)[:300]}", call=call_evidence(call)
                )
        if played.score.f1 != 1 or not played.strict:
            raise CheckFinding(
                f"the gold calls score {played.score.f1!r}, with waste {played.score.waste} and "
                f"damage {played.score.damage}",
                solved=played.score.solved,
            )
    (first, _) = await trials.play(orders, whole=True)
    for goal, outcome in zip(trials.arena.goals, first.outcomes, strict=True):
        if goal.target is None or not solves(goal.target, outcome.value):
            raise CheckFinding(f"the gold call of goal {goal.id!r} does not return its answer")
    wanted = trials.first_rows()
    for goal in trials.state.goals:
        apply_changes(wanted, goal.changes)
    calls = [(call.tool, call.arguments) for call in trials.gold_calls]
    compared = None
    for hash_seed, clock in _EPISODES:
        episode = SandboxEpisode(hash_seed, hash_seed, clock, stateful=True)
        session = await trials.session(episode)
        *outcomes, dumped = await session.call_many([*calls, (DUMP, {})])
        for outcome, before in zip(outcomes, first.outcomes, strict=True):
            if not isinstance(outcome, CallOutcome) or (outcome.value, outcome.effect) != (
                before.value,
                before.effect,
            ):
                raise CheckFinding(
                    "a gold call did or returned something else in another episode: "
                    f"{str(outcome)[:200]}, before that {str(before)[:200]}"
                )
        text = dumped.value if isinstance(dumped, CallOutcome) else None
        if text is not None and text == compared:
            continue  # the same rows as in the episode before
        try:
            rows: dict[str, list[list[Json]]] = json.loads(text or "")
            _compare(trials, rows, wanted)
            state = state_hash(rows)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise CheckFinding(
                f"the rows can't be read after the gold calls: {str(dumped)[:200]}"
            ) from None
        if first.state is not None and state != first.state:
            raise CheckFinding("the rows after the gold calls are not those that calls reported")
        compared = text
    writes = len(trials.gold_writes)
    return {"episodes": 1 + len(_EPISODES), "orders": len(orders), "writes": writes}


def _writes_reversed(trials: StateTrials) -> list[TrialStep]:
    """The gold episode with the writes between two texts in the other order, after the reads."""
    steps: list[TrialStep] = []
    reads: list[TrialStep] = []
    writes: list[TrialStep] = []
    for step in trials.gold:
        if isinstance(step, NamedCall):
            (writes if trials.writes(step) else reads).append(step)
        else:
            steps += [*reads, *reversed(writes), step]
            reads, writes = [], []
    return [*steps, *reads, *reversed(writes)]


def _compare(trials: StateTrials, dumped: dict[str, list[list[Json]]], wanted: Rows) -> None:
    """Raise CheckFinding if the rows are not the wanted ones, but for what is free."""
    for table in trials.database.tables:
        names = [column.name for column in table.columns]
        rows = {
            row[names.index(table.key)]: dict(zip(names, row, strict=True))
            for row in dumped[table.name]
        }
        if rows == wanted[table.name]:
            continue
        for key in {*rows, *wanted[table.name]}:
            found = trials.compared(table.name, rows.get(key))
            declared = trials.compared(table.name, wanted[table.name].get(key))
            if found != declared:
                raise CheckFinding(
                    f"row {key!r} of {table.name!r} is {str(found)[:200]} after the gold calls, "
                    f"but the goals declare {str(declared)[:200]}",
                    table=table.name,
                )


async def _done_and_undone(trials: StateTrials) -> list[list[TrialStep]]:
    """Each gold write that tells what was there before, and the same call with that."""
    plans: list[list[TrialStep]] = []
    writes = [call for _, call in trials.gold_writes]
    for played in await trials.play([[call] for call in writes]):
        (call,), (outcome,) = played.calls, played.outcomes
        value = outcome.value if is_answered(outcome) else None
        if not isinstance(value, dict) or value.get("previous") is None:
            continue
        changed = {
            name
            for change in (outcome.effect.changes if outcome.effect is not None else ())
            for name in change.after or {}
        }
        column = next((name for name in call.arguments if name in changed), None)
        if column is not None:
            back = NamedCall(call.tool, {**call.arguments, column: value["previous"]}, "taken back")
            plans.append([call, back])
    return plans


async def check_null(trials: StateTrials) -> dict[str, Json]:
    """Doing nothing is worth nothing, and neither is reading all there is to read."""
    reads = [call for call in trials.gold_calls if not trials.writes(call)]
    said = [policy_text(name, trials.arena) for name in ("reader", "asker", "refuser")]
    rounds = (MAX_EXTRA + 1) * max(1, len(trials.state.turns))
    plans = [[], reads, *([*reads, *[Said(text)] * rounds] for text in said)]
    undone = await _done_and_undone(trials)
    for place, played in enumerate(await trials.play([*plans, *undone])):
        if place >= len(plans) and not all(map(is_answered, played.outcomes)):
            continue  # such as a status that a row stays in
        if played.score.f1 != 0 or played.score.solved:
            raise CheckFinding(
                f"an episode of {len(played.calls)} calls that change nothing in the end scores "
                f"{played.score.f1!r}, not 0"
            )
    return {}


def check_already(trials: StateTrials) -> dict[str, Json]:
    """No row is as it is asked for when its turn begins, and every goal says how its rows were."""
    rows = trials.first_rows()
    of_turn: list[StateGoal] = []
    for goal in sorted(trials.state.goals, key=lambda goal: goal.turn):
        if of_turn and of_turn[-1].turn != goal.turn:
            for earlier in of_turn:
                apply_changes(rows, earlier.changes)
            of_turn.clear()
        of_turn.append(goal)
        if goal.kind == "change" and not goal.changes:
            raise CheckFinding(f"goal {goal.id!r} declares no change")
        for change in goal.changes:
            now = rows.get(change.table, {}).get(change.key)
            before, after = change.before, change.after
            if before is None:
                fits = now is None and after is not None
            else:
                fits = now is not None and before.items() <= now.items() and before != after
            if not fits:
                raise CheckFinding(
                    f"goal {goal.id!r}: row {change.key!r} of {change.table!r} is not at first "
                    f"what the goal says, or is already as it is asked for: {str(now)[:200]}"
                )
    return {"goals": len(trials.state.goals)}


async def check_necessary(trials: StateTrials) -> dict[str, Json]:
    """Without any one of the writing gold calls a goal stays open."""
    gold = trials.gold
    without = [[*gold[:place], *gold[place + 1 :]] for place, _ in trials.gold_writes]
    if not without:
        raise CheckFinding("no gold call changes anything")
    for (_, call), played in zip(trials.gold_writes, await trials.play(without), strict=True):
        if played.strict or played.score.solved == played.score.goals:
            raise CheckFinding(
                f"{call.description} is not needed: without it all goals are solved",
                call=call_evidence(call),
            )
    return {"writes": len(without)}
