"""Check `mutants`: wrong calls and distractors do not solve a goal.

Catches tools that return their answer whatever is asked, also those that echo the key beside it.
Not covered: a tool that knows a decoy list and cheats on everything else; that decoys' answers are
right (only that they differ); other calls to a distractor, and small numbers found under another
field, which prove nothing.
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
from astra.arenas.certificate.distractor_calls import distractor_calls
from astra.arenas.certificate.wrong_calls import WrongCall, is_made_up, shortcut_calls, wrong_calls
from astra.core.text import as_number, scalars
from astra.protocols import CallOutcome
from astra.rewards import same_scalar, solves
from astra.types import Json, Matcher, Scalar, Target, members_of

LEAST_MUTANTS = 5
SHORTCUTS = frozenset({"everything", "option"})
"""Kinds that only count when they are answered. They do not add to the least number."""


async def check_mutants(under_test: ArenaUnderTest, own_mutants: Json) -> dict[str, Json]:
    """At least five wrong calls per goal do not solve it, decoys are answered with other answers,
    and no distractor answers a goal's call.

    `own_mutants`: evidence about the arena's own tools from before distractors were added, which
    can't have changed. None if there is none.
    """
    if own_mutants is None:
        rng = under_test.rng("mutants")
        mutants = [
            (step, [*wrong_calls(under_test, step, rng), *shortcut_calls(under_test, step)])
            for step in under_test.steps
        ]
        calls = [
            NamedCall(
                step.call.tool,
                mutant.arguments,
                f"a wrong call ({mutant.kind}) for {step.goal.id!r}",
            )
            for step, own in mutants
            for mutant in own
        ]
        # All goals' calls together: the sandbox answers a batch much faster than single calls.
        outcomes = iter(await under_test.run("plain", calls))
        own_mutants = {
            step.goal.id: _check_goal(step, [(mutant, next(outcomes)) for mutant in own])
            for step, own in mutants
        }
    return {"mutants": own_mutants, "distractor_calls": await _check_distractors(under_test)}


# --- the arena's own tools -------------------------------------------------------------------


def _check_goal(step: GoalStep, trials: list[tuple[WrongCall, CallOutcome]]) -> Json:
    goal, target = step.goal, step.target
    wrong = sum(mutant.kind not in SHORTCUTS for mutant, _ in trials)
    if wrong < LEAST_MUTANTS:
        raise CheckFinding(
            f"only {wrong} wrong calls can be made for goal {goal.id!r}, at least "
            f"{LEAST_MUTANTS} are needed: give the tool parameters with more possible values"
        )
    keyless = target.model_copy(update={"key": {}})
    for mutant, outcome in trials:
        call = call_evidence(NamedCall(step.call.tool, mutant.arguments, ""))
        if mutant.kind in SHORTCUTS and not is_answered(outcome):
            continue
        if solves(target, outcome.value):
            raise CheckFinding(
                f"goal {goal.id!r} is solved by a wrong call ({mutant.kind})", call=call
            )
        # With a key beside the answer guesses don't count: the tool names its entity with it.
        echo = (
            not target.key
            and mutant.kind in ("unknown", "option")
            and any(
                solves(Target(matcher=Matcher.text, value=value, field=target.field), outcome.value)
                for value in mutant.arguments.values()
                if is_made_up(value)
            )
        )
        if echo and is_answered(outcome):
            raise CheckFinding(
                f"the tool of goal {goal.id!r} gives back an argument where its answer is looked "
                "for, so that an agent that passes guesses solves it",
                call=call,
            )
        if mutant.kind == "unknown" and is_answered(outcome) and solves(keyless, outcome.value):
            raise CheckFinding(
                f"the tool of goal {goal.id!r} gives its answer for an entity that does not exist",
                call=call,
            )
    # A tool that knows its own entity only is a constant in disguise: asking it anything else
    # fails, so that the call needs no argument.
    decoys = [
        outcome for mutant, outcome in trials if mutant.kind == "decoy" and is_answered(outcome)
    ]
    if not decoys:
        raise CheckFinding(
            f"no decoy of goal {goal.id!r} is answered: its tool serves only its own entity"
        )
    # Without the key: a tool that returns one answer beside whatever key was asked is constant.
    others = sum(not solves(keyless, outcome.value) for outcome in decoys)
    if not others:
        raise CheckFinding(
            f"constant: every decoy of goal {goal.id!r} has the same answer as the goal"
        )
    return {
        "wrong": wrong,
        "short_cuts": len(trials) - wrong,
        "decoys_answered": len(decoys),
        "decoys_other_answer": others,
    }


# --- distractors -----------------------------------------------------------------------------


async def _check_distractors(under_test: ArenaUnderTest) -> int:
    """Number of calls made. Raises `CheckFinding` when a distractor answers or spoils a goal."""
    steps = under_test.steps
    probes = [
        (step, NamedCall(tool.name, arguments, f"a call to distractor {tool.name!r}"))
        for tool in under_test.arena.distractors
        for step in steps
        for arguments in distractor_calls(tool, step)
    ]
    if not probes:
        return 0
    # The gold calls come again in the same episode: a distractor may have spoilt something.
    calls = [*(call for _, call in probes), *(step.gold_call for step in steps)]
    outcomes = await under_test.run("plain", calls)
    targets = {step.goal.id: _loosened(step) for step in steps}
    for (step, call), outcome in zip(probes, outcomes[: len(probes)], strict=True):
        if is_answered(outcome) and any(solves(t, outcome.value) for t in targets[step.goal.id]):
            raise CheckFinding(
                f"distractor {call.tool!r} answers goal {step.goal.id!r}",
                call=call_evidence(call),
            )
    for step, outcome in zip(steps, outcomes[len(probes) :], strict=True):
        if not is_answered(outcome) or not solves(step.target, outcome.value):
            raise CheckFinding(
                f"after calls to distractors {step.gold_call.description} does not solve it"
            )
    return len(probes)


def _loosened(step: GoalStep) -> list[Target]:
    """The goal's target, then without its key, and without its field if the answer is distinct."""

    def is_distinct(value: Scalar) -> bool:
        """Text, or a number of at least four significant digits: no tool has it by chance."""
        number = as_number(value)
        if number is None:
            return isinstance(value, str)
        digits = f"{abs(number):.12g}".partition("e")[0].replace(".", "").strip("0")
        return len(digits) >= 4 or (len(digits) >= 1 and abs(number) >= 10_000)

    target = step.target
    members = members_of(target.value)
    arguments = list(scalars(step.call.arguments))
    # A tool that repeats its arguments would give an answer that is one of them.
    if any(same_scalar(member, value) for member in members for value in arguments):
        return [target]
    loosened = [target, target.model_copy(update={"key": {}})]
    if all(map(is_distinct, members)):
        loosened.append(target.model_copy(update={"key": {}, "field": None}))
    return loosened
