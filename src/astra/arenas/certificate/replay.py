"""Check `replay`: the gold calls give the same outputs whenever they are made.

A tool is a pure function of its arguments and its data; otherwise the same episode is rewarded one
day and not the next, or a tool behaves in the certificate and cheats in training. Not covered:
behaviour that shows only at clocks, seeds or pauses that were not tried, and randomness that shows
too rarely.
"""

from __future__ import annotations

import itertools

from astra.arenas.certificate.arena_under_test import (
    REPLAYS,
    ArenaUnderTest,
    CheckFinding,
    NamedCall,
    call_evidence,
    canonical_result,
    is_error,
    shortened,
)
from astra.arenas.certificate.wrong_calls import planned_wrong_calls
from astra.protocols import CallOutcome
from astra.rewards import solves
from astra.rollouts.calls import as_sent
from astra.rollouts.loop import RolloutLimits
from astra.types import Json, canonical_json

LONGEST = RolloutLimits().result_characters
"""Characters of a result that a rollout sends and scores in full."""


async def check_replay(under_test: ArenaUnderTest, outputs: dict[str, Json]) -> dict[str, Json]:
    """The gold calls solve every goal with equal outputs in fresh, different episodes.

    Fills `outputs` with what the gold call of each goal returned in the first replay, by goal id.
    Begins the paced episode, which `check_paced` compares with them.
    """
    under_test.start_paced(paced_turns(under_test))
    calls = [step.gold_call for step in under_test.ordered]
    earlier: dict[str, str] = {}
    for name in REPLAYS:
        outcomes = await under_test.run(name, calls)
        for step, call, outcome in zip(under_test.ordered, calls, outcomes, strict=True):
            value, failure = outcome.value, outcome.failure
            if failure is not None:
                raise CheckFinding(
                    f"{call.description} failed ({failure.kind}): {failure.type}: "
                    f"{failure.message[:300]}",
                    call=call_evidence(call),
                )
            if is_error(value):
                raise CheckFinding(
                    f"{call.description} returned an error: {shortened(value)}",
                    call=call_evidence(call),
                )
            compare_result(earlier, call, outcome, f"replay {name!r}")
            if not solves(step.target, value):
                raise CheckFinding(
                    f"{call.description} does not solve it: {shortened(value)}", goal=step.goal.id
                )
            # A rollout scores what it sent to the model, so a cut result must still solve.
            if name == REPLAYS[0] and not solves(step.target, as_sent(value, LONGEST)[1]):
                raise CheckFinding(
                    f"the result of {call.description} has over {LONGEST} characters: a rollout "
                    "cuts it, so that it does not solve the goal",
                    goal=step.goal.id,
                )
            outputs.setdefault(step.goal.id, value)
    return {}


def paced_turns(under_test: ArenaUnderTest) -> list[list[NamedCall]]:
    """The turns of the paced episode: two wrong calls, then the gold call, of each goal.

    A turn has one call of each tool at most, so that every tool is called after a pause.
    """
    rng = under_test.rng("paced")
    wrong_calls = planned_wrong_calls(under_test)
    by_tool: dict[str, list[NamedCall]] = {}
    for step in under_test.ordered:
        calls = by_tool.setdefault(step.call.tool, [])
        # No pause precedes the first call of a process: it is the gold call, which comes again.
        if not calls:
            calls.append(step.gold_call)
        # One that the tool should answer and one that it may refuse: it could cheat in either.
        wrong = wrong_calls[step.goal.id]
        decoys = [call for call in wrong if call.kind == "decoy"]
        others = [call for call in wrong if call.kind != "decoy"]
        for chosen in (rng.choice(kind) for kind in (decoys, others) if kind):
            description = f"a wrong call ({chosen.kind}) for {step.goal.id!r}"
            calls.append(NamedCall(step.call.tool, chosen.arguments, description))
        calls.append(step.gold_call)
    return [
        [call for call in turn if call is not None]
        for turn in itertools.zip_longest(*by_tool.values())
    ]


async def check_paced(under_test: ArenaUnderTest, outputs: dict[str, Json]) -> dict[str, Json]:
    """Calls with a model's pauses between them return what they return without.

    Also wrong calls: else a tool could take any arguments in training, where a model thinks before
    each call, and only there.
    `outputs`: what the gold calls returned, by goal id.
    """
    calls = [call for turn in paced_turns(under_test) for call in turn]
    # Without a pause `replay` and `mutants` have made these calls already.
    made = {
        call_key(step.gold_call): CallOutcome(value=outputs[step.goal.id])
        for step in under_test.steps
        if step.goal.id in outputs
    }
    for step in under_test.steps:
        for kind, arguments, outcome in under_test.trials.get(step.goal.id, []):
            made.setdefault(call_key(NamedCall(step.call.tool, arguments, kind)), outcome)
    by_key = {call_key(call): call for call in calls}
    left = [call for key, call in by_key.items() if key not in made]
    made.update(zip(map(call_key, left), await under_test.run("plain", left), strict=True))
    earlier: dict[str, str] = {}
    for key, call in by_key.items():
        compare_result(earlier, call, made[key], "a call without a pause")
    for call, outcome in zip(calls, await under_test.paced_outcomes(), strict=True):
        compare_result(earlier, call, outcome, "an episode with pauses between the calls")
    return {
        "episodes": len(REPLAYS) + 1,
        "calls": len(REPLAYS) * len(under_test.steps) + len(calls),
    }


def call_key(call: NamedCall) -> str:
    """Key under which results of the same call are compared."""
    return f"{call.tool}:{canonical_json(call.arguments)}"


def compare_result(
    earlier: dict[str, str], call: NamedCall, outcome: CallOutcome, occasion: str
) -> None:
    """Raise `CheckFinding` if a call's result differs from the one in `earlier`; else record it."""
    failure = outcome.failure
    result = f"{failure.kind}: {failure.type}" if failure else canonical_result(call, outcome.value)
    before = earlier.setdefault(call_key(call), result)
    if result != before:
        raise CheckFinding(
            f"{call.description} gave {shortened(result)} in {occasion}, before that "
            f"{shortened(before)}",
            call=call_evidence(call),
        )
