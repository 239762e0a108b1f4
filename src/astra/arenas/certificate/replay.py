"""Checks `replay` and `order`: the gold calls give the same outputs whenever they are made.

A tool is a pure function of its arguments and its data. Not covered: behaviour that shows only
at clocks, seeds or orders that were not tried, and randomness that shows too rarely.
"""

from __future__ import annotations

from collections.abc import Sequence

from astra.arenas.certificate.case import (
    LIMITS,
    Call,
    Case,
    Finding,
    Step,
    canonical_result,
    gold,
    short,
    value_of,
)
from astra.ports import CallOutcome, Episode
from astra.rewards import solves
from astra.types import Json

CLOCKS = (951_868_799.0, 1_773_144_305.5, 4_118_083_512.25)
"""Clocks of the replays: a Tuesday in February 2000 before midnight, a Tuesday noon in March
2026, a Monday morning in June 2100."""
HASH_SEEDS = (0, 1, 2)


async def check_replay(case: Case) -> dict[str, Json]:
    """The gold calls solve every goal with equal outputs in three fresh, different episodes."""
    calls = [gold(step) for step in case.ordered]
    for number, (clock, hash_seed) in enumerate(zip(CLOCKS, HASH_SEEDS, strict=True)):
        episode = Episode(case.seed + number, hash_seed, clock, limits=LIMITS)
        outcomes = await case.run(calls, episode)
        for step, call, outcome in zip(case.ordered, calls, outcomes, strict=True):
            value = value_of(call, outcome)
            canonical_result(call, value)
            if number == 0:
                case.outputs[step.goal.id] = value
            _compare(case, step, call, value, f"replay {number + 1}")
    return {"episodes": len(CLOCKS), "calls": len(CLOCKS) * len(calls)}


async def check_order(case: Case) -> dict[str, Json]:
    """In episodes that keep state, no order, repetition or other call changes what is returned.

    Any order must do, not only topological ones: the gold arguments are given, so a call that
    fails without another one before it reads that one's traces.
    """
    rng = case.rng("order")
    decoys = [
        Call(step.call.tool, decoy, f"a decoy of goal {step.goal.id!r}")
        for step in case.steps
        for decoy in step.goal.decoys[:2]
    ]
    plans: list[list[Step | Call]] = [
        [*reversed(case.ordered), *_twice(case.order(rng))],
        [*decoys, *_mixed(case.order(rng), decoys), *case.order(rng)],
    ]
    made = 0
    for plan in plans:
        calls = [gold(item) if isinstance(item, Step) else item for item in plan]
        episode = Episode(case.seed, stateful=True, limits=LIMITS)
        outcomes = await case.run(calls, episode)
        _compare_plan(case, plan, calls, outcomes)
        made += len(calls)
    return {"episodes": len(plans), "calls": made}


def _twice(steps: Sequence[Step]) -> list[Step]:
    return [step for step in steps for _ in range(2)]


def _mixed(steps: Sequence[Step], decoys: Sequence[Call]) -> list[Step | Call]:
    """The steps with a decoy of their own tool right before each, where there is one."""
    mixed: list[Step | Call] = []
    for step in steps:
        mixed.extend([call for call in decoys if call.tool == step.call.tool][:1])
        mixed.append(step)
    return mixed


def _compare_plan(
    case: Case, plan: Sequence[Step | Call], calls: Sequence[Call], outcomes: Sequence[CallOutcome]
) -> None:
    for position, (item, call, outcome) in enumerate(zip(plan, calls, outcomes, strict=True)):
        if isinstance(item, Step):
            value = value_of(call, outcome)
            where = f"at place {position + 1} of another order of calls"
            case.outputs.setdefault(item.goal.id, value)
            _compare(case, item, call, value, where)


def _compare(case: Case, step: Step, call: Call, value: Json, where: str) -> None:
    first = canonical_result(call, case.outputs[step.goal.id])
    if canonical_result(call, value) != first:
        raise Finding(
            f"{call.what} returned {short(value)} in {where}, before {short(first)}",
            goal=step.goal.id,
        )
    if not solves(step.target, value):
        raise Finding(f"{call.what} does not solve it: {short(value)}", goal=step.goal.id)
