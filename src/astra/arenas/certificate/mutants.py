"""Check `mutants`: wrong calls and distractors do not solve a goal.

Catches tools that return their answer whatever is asked, also those that echo the key beside it.
Not covered: a tool that knows a decoy list and cheats on everything else; decoys' answers are not
known to be right, only to differ.
"""

from __future__ import annotations

from astra.arenas.certificate.context import (
    ArenaUnderTest,
    CheckFinding,
    GoalStep,
    NamedCall,
    answered,
    shown,
)
from astra.arenas.certificate.distractor_probes import check_distractors
from astra.arenas.certificate.wrong_calls import WrongCall, is_odd, short_cuts, wrong_calls
from astra.protocols import CallOutcome
from astra.rewards import solves
from astra.types import Json, Matcher, Target

LEAST_MUTANTS = 5
SHORT_CUTS = frozenset({"everything", "option"})
"""Kinds that only count when they are answered; they are no part of the least number."""


async def check_mutants(case: ArenaUnderTest) -> dict[str, Json]:
    """At least five wrong calls per goal do not solve it, decoys are answered with other answers,
    and no distractor answers a goal's call.

    The first part sees no distractors: what was found before mixing stands.
    """
    own = case.carried_mutants
    if own is None:
        own = await _own_mutants(case)
    return {"mutants": own, "distractor_calls": await check_distractors(case)}


async def _own_mutants(case: ArenaUnderTest) -> dict[str, Json]:
    rng = case.rng("mutants")
    planned = [
        (step, mutant)
        for step in case.steps
        for mutant in (*wrong_calls(case, step, rng), *short_cuts(case, step))
    ]
    calls = [
        NamedCall(
            step.call.tool, mutant.arguments, f"a wrong call ({mutant.kind}) for {step.goal.id!r}"
        )
        for step, mutant in planned
    ]
    outcomes = await case.run("plain", calls)
    evidence: dict[str, Json] = {}
    for step in case.steps:
        mine = [
            (mutant, outcome)
            for (owner, mutant), outcome in zip(planned, outcomes, strict=True)
            if owner is step
        ]
        evidence[step.goal.id] = _check_goal(step, mine)
    return evidence


def _echoed(step: GoalStep, mutant: WrongCall, outcome: CallOutcome) -> bool:
    """Whether something that does not exist comes back where the answer would be.

    A key beside the answer keeps guesses out, for the tool answers with it for its entity alone.
    """
    if step.target.key or mutant.kind not in ("unknown", "option"):
        return False
    return any(
        solves(Target(matcher=Matcher.text, value=value, field=step.target.field), outcome.value)
        for value in mutant.arguments.values()
        if is_odd(value)
    )


def _check_goal(step: GoalStep, tried: list[tuple[WrongCall, CallOutcome]]) -> Json:
    goal, target = step.goal, step.target
    wrong = sum(mutant.kind not in SHORT_CUTS for mutant, _ in tried)
    if wrong < LEAST_MUTANTS:
        raise CheckFinding(
            f"only {wrong} wrong calls can be made for goal {goal.id!r}, at least "
            f"{LEAST_MUTANTS} are needed: give the tool parameters with more possible values"
        )
    anywhere = target.model_copy(update={"key": {}})
    for mutant, outcome in tried:
        call = shown(step.call.tool, mutant.arguments)
        if mutant.kind in SHORT_CUTS and not answered(outcome):
            continue
        if solves(target, outcome.value):
            raise CheckFinding(
                f"goal {goal.id!r} is solved by a wrong call ({mutant.kind})", call=call
            )
        if answered(outcome) and _echoed(step, mutant, outcome):
            raise CheckFinding(
                f"the tool of goal {goal.id!r} gives back an argument where its answer is looked "
                "for: whoever passes guesses solves it",
                call=call,
            )
        if mutant.kind == "unknown" and answered(outcome) and solves(anywhere, outcome.value):
            raise CheckFinding(
                f"the tool of goal {goal.id!r} gives its answer for what does not exist", call=call
            )
    decoys = [outcome for mutant, outcome in tried if mutant.kind == "decoy" and answered(outcome)]
    if not decoys:
        raise CheckFinding(
            f"no decoy of goal {goal.id!r} is answered: its tool serves only its own entity"
        )
    others = sum(not solves(anywhere, outcome.value) for outcome in decoys)
    if not others:
        raise CheckFinding(
            f"constant: every decoy of goal {goal.id!r} has the same answer as the goal"
        )
    return {
        "wrong": wrong,
        "short_cuts": len(tried) - wrong,
        "decoys_answered": len(decoys),
        "decoys_other_answer": others,
    }
