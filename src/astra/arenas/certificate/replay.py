"""Checks `replay` and `order`: the gold calls give the same outputs whenever they are made.

A tool is a pure function of its arguments and its data. Not covered: behaviour that shows only
at clocks, seeds or orders that were not tried, and randomness that shows too rarely.
"""

from __future__ import annotations

from astra.arenas.certificate.context import (
    REPLAYS,
    ArenaUnderTest,
    CheckFinding,
    EpisodeName,
    GoalStep,
    NamedCall,
    canonical_result,
    gold,
    short,
    shown,
    value_of,
)
from astra.protocols import CallOutcome
from astra.rewards import solves
from astra.rollouts.calls import as_sent
from astra.rollouts.loop import RolloutLimits
from astra.types import Json, canonical_json

LONGEST = RolloutLimits().result_characters
"""Characters of a result that a rollout sends and scores whole."""


async def check_replay(case: ArenaUnderTest) -> dict[str, Json]:
    """The gold calls solve every goal with equal outputs in three fresh, different episodes."""
    calls = [gold(step) for step in case.ordered]
    seen: dict[str, str] = {}
    for name in REPLAYS:
        outcomes = await case.run(name, calls)
        for step, call, outcome in zip(case.ordered, calls, outcomes, strict=True):
            value = value_of(call, outcome)
            _compare(seen, call, outcome, f"replay {name!r}")
            if not solves(step.target, value):
                raise CheckFinding(
                    f"{call.what} does not solve it: {short(value)}", goal=step.goal.id
                )
            if name == REPLAYS[0] and not solves(step.target, as_sent(value, LONGEST)[1]):
                raise CheckFinding(
                    f"the result of {call.what} has over {LONGEST} characters: a rollout cuts it, "
                    "so that it does not solve the goal",
                    goal=step.goal.id,
                )
            case.outputs.setdefault(step.goal.id, value)
    return {"episodes": len(REPLAYS), "calls": len(REPLAYS) * len(calls)}


async def check_order(case: ArenaUnderTest) -> dict[str, Json]:
    """In episodes that keep state, no order, repetition or other call changes what is returned.

    Any order must do, not only topological ones: the gold arguments are given, so a call that
    fails without another one before it reads that one's traces. Dependency order and its reverse
    put every call before and after every other.
    """
    rng = case.rng("order")
    reverse = [call for step in reversed(case.ordered) for call in (*_decoys(step), gold(step))]
    mixed = [call for step in case.order(rng) for call in (*_decoys(step), gold(step), gold(step))]
    seen = {
        _key(gold(step)): canonical_result(gold(step), case.outputs[step.goal.id])
        for step in case.steps
        if step.goal.id in case.outputs
    }
    made = 0
    plans: dict[EpisodeName, list[NamedCall]] = {
        "reversed": reverse,
        "stateful": mixed,
    }
    for name, calls in plans.items():
        outcomes = await case.run(name, calls)
        for call, outcome in zip(calls, outcomes, strict=True):
            _compare(seen, call, outcome, f"another order of calls ({name!r})")
        made += len(calls)
    return {"episodes": 2, "calls": made}


def _decoys(step: GoalStep) -> list[NamedCall]:
    return [
        NamedCall(step.call.tool, decoy, f"a decoy of goal {step.goal.id!r}")
        for decoy in step.goal.decoys[:1]
    ]


def _key(call: NamedCall) -> str:
    return f"{call.tool}:{canonical_json(call.arguments)}"


def _compare(seen: dict[str, str], call: NamedCall, outcome: CallOutcome, where: str) -> None:
    """The same call gives the same result as when it was first made."""
    failure = outcome.failure
    result = f"{failure.kind}: {failure.type}" if failure else canonical_result(call, outcome.value)
    before = seen.setdefault(_key(call), result)
    if result != before:
        raise CheckFinding(
            f"{call.what} gave {short(result)} in {where}, before {short(before)}",
            call=shown(call.tool, call.arguments),
        )
