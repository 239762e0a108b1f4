"""Check `mutants`: wrong calls and distractors do not solve a goal.

Catches tools that return their answer whatever is asked, also those that echo the key beside it.
Not covered: a tool that knows a decoy list and cheats on everything else; that decoys' answers are
right (only that they differ). What is looked for in distractors says `distractors`.
"""

from __future__ import annotations

from astra.arenas.certificate.arena_under_test import (
    ArenaUnderTest,
    CheckFinding,
    GoalStep,
    NamedCall,
    call_evidence,
    is_answered,
)
from astra.arenas.certificate.distractors import check_distractors
from astra.arenas.certificate.results import (
    says_one_nothing,
    values_shown,
    without_arguments,
)
from astra.arenas.certificate.wrong_calls import is_made_up, planned_wrong_calls
from astra.rewards import solves
from astra.types import Json, Matcher, Target

LEAST_MUTANTS = 5
NEAR = frozenset({"number", "date"})
"""Changes that a step function may leave without effect: a weight of 101 instead of 100 g, or the
same question a day later."""


async def check_mutants(under_test: ArenaUnderTest, own_mutants: Json) -> dict[str, Json]:
    """At least five wrong calls per goal do not solve it, decoys are answered with other answers,
    and no distractor answers a goal's call.

    `own_mutants`: evidence about the arena's own tools from before distractors were added, which
    can't have changed. None if there is none.
    """
    if own_mutants is None:
        wrong = planned_wrong_calls(under_test)
        mutants = [(step, wrong[step.goal.id]) for step in under_test.steps]
        calls = [
            NamedCall(
                step.call.tool,
                mutant.arguments,
                f"a wrong call ({mutant.kind}) for {step.goal.id!r}",
            )
            for step, own in mutants
            for mutant in own
        ]
        outcomes = iter(await under_test.run("plain", calls))
        under_test.trials = {
            step.goal.id: [(mutant.kind, mutant.arguments, next(outcomes)) for mutant in own]
            for step, own in mutants
        }
        own_mutants = {step.goal.id: _check_goal(under_test, step) for step in under_test.steps}
    return {"mutants": own_mutants, "distractor_calls": await check_distractors(under_test)}


# --- the arena's own tools -------------------------------------------------------------------


def _check_goal(under_test: ArenaUnderTest, step: GoalStep) -> Json:
    goal, target = step.goal, step.target
    trials = under_test.trials[goal.id]
    keyless = target.model_copy(update={"key": {}})
    unsolved = 0
    for kind, arguments, outcome in trials:
        call = call_evidence(NamedCall(step.call.tool, arguments, ""))
        if solves(target, outcome.value):
            if kind in NEAR:
                continue
            raise CheckFinding(f"goal {goal.id!r} is solved by a wrong call ({kind})", call=call)
        unsolved += 1
        # With a key beside the answer guesses don't count: the tool names its entity with it.
        echo = (
            not target.key
            and kind == "unknown"
            and any(
                solves(Target(matcher=Matcher.text, value=value, field=target.field), outcome.value)
                for value in arguments.values()
                if is_made_up(value)
            )
        )
        if echo and is_answered(outcome):
            raise CheckFinding(
                f"the tool of goal {goal.id!r} gives back an argument where its answer is looked "
                "for, so that an agent that passes guesses solves it",
                call=call,
            )
        if kind == "unknown" and is_answered(outcome) and solves(keyless, outcome.value):
            raise CheckFinding(
                f"the tool of goal {goal.id!r} gives its answer for an entity that does not exist",
                call=call,
            )
    if unsolved < LEAST_MUTANTS:
        raise CheckFinding(
            f"only {unsolved} wrong calls can be made for goal {goal.id!r} that do not solve it, "
            f"at least {LEAST_MUTANTS} are needed: give the tool parameters with more possible "
            "values"
        )
    near = [
        solves(keyless, outcome.value)
        for kind, _, outcome in trials
        if kind in NEAR and values_shown(target, outcome)
    ]
    if len(near) > 2 and all(near):
        raise CheckFinding(
            f"constant: no other number or date that was tried changes the answer of {goal.id!r}"
        )
    # A tool that knows its own entity only is a constant in disguise: asking it anything else
    # fails, so that the call needs no argument. What it says of an entity that does not exist is
    # not an answer about a decoy either.
    refusals = {
        without_arguments(shown, arguments)
        for kind, arguments, outcome in trials
        if kind == "unknown" and (shown := values_shown(target, outcome))
    }
    refusal = refusals if len(refusals) == 1 else set[str]()
    decoys = [
        (outcome, shown)
        for kind, arguments, outcome in trials
        if kind == "decoy"
        and (shown := values_shown(target, outcome))
        and without_arguments(shown, arguments) not in refusal
    ]
    if not decoys or says_one_nothing([value for _, shown in decoys for value in shown]):
        raise CheckFinding(
            f"no decoy of goal {goal.id!r} is answered with a value where the goal's answer is "
            "looked for: its tool serves only its own entity"
        )
    # Without the key: a tool that returns one answer beside whatever key was asked is constant.
    others = sum(
        not solves(keyless, outcome.value)
        for kind, _, outcome in trials
        if kind == "decoy" and values_shown(target, outcome)
    )
    if not others:
        raise CheckFinding(
            f"constant: every decoy of goal {goal.id!r} has the same answer as the goal"
        )
    return {"wrong": unsolved, "decoys_answered": len(decoys), "decoys_other_answer": others}
