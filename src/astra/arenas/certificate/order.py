"""Check `order`: no order, repetition or other call changes what a gold call returns.

Otherwise an agent's reward depends on which goal it works on first. Not covered: state that shows
only after calls or orders that were not tried.
"""

from __future__ import annotations

from astra.arenas.certificate.arena_under_test import (
    ArenaUnderTest,
    EpisodeName,
    GoalStep,
    NamedCall,
    canonical_result,
)
from astra.arenas.certificate.replay import call_key, compare_result
from astra.types import Json


async def check_order(under_test: ArenaUnderTest, outputs: dict[str, Json]) -> dict[str, Json]:
    """In episodes that keep state, gold calls return what they returned in the first replay.

    Any order must work, not only topological ones: the gold arguments are given, so a call that
    fails without another one before it depends on traces which that one left.
    `outputs`: what the gold calls returned, by goal id.
    """

    def first_decoy(step: GoalStep) -> list[NamedCall]:
        return [
            NamedCall(step.call.tool, decoy, f"a decoy of goal {step.goal.id!r}")
            for decoy in step.goal.decoys[:1]
        ]

    # The decoys: some tools remember their first answer, or wear out after so many calls.
    # A dependency order and its reverse put every call before and after every other.
    plans: dict[EpisodeName, list[NamedCall]] = {
        "reversed": [
            call
            for step in reversed(under_test.ordered)
            for call in (*first_decoy(step), step.gold_call)
        ],
        "stateful": [
            call
            for step in under_test.order(under_test.rng("order"))
            for call in (*first_decoy(step), step.gold_call, step.gold_call)
        ],
    }
    earlier = {
        call_key(step.gold_call): canonical_result(step.gold_call, outputs[step.goal.id])
        for step in under_test.steps
        if step.goal.id in outputs
    }
    for name, calls in plans.items():
        outcomes = await under_test.run(name, calls)
        for call, outcome in zip(calls, outcomes, strict=True):
            compare_result(earlier, call, outcome, f"another order of calls ({name!r})")
    return {"episodes": len(plans), "calls": sum(map(len, plans.values()))}
