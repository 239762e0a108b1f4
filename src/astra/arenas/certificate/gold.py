"""Check `gold` (with its part `null`): the gold episode scores 1, doing nothing scores 0.

It keeps the reward honest at both ends: a perfect episode gets all of it, and an agent that makes
no call, or only empty ones, gets nothing. Not covered: whether the answers are true of the world,
and whether the main answer follows from the goals' answers. Both rest on the source that computed
them.
"""

from __future__ import annotations

from astra.arenas.certificate.arena_under_test import (
    ArenaUnderTest,
    CheckFinding,
    GoalStep,
    NamedCall,
    call_evidence,
)
from astra.arenas.certificate.leak import is_choice
from astra.arenas.certificate.parameters import parameters_of, required_of, types_of
from astra.arenas.certificate.wrong_calls import canonical_call
from astra.core.text import as_number, normalise, scalars
from astra.rewards import matches, same_scalar, score, solves
from astra.types import Answer, CallRecord, CallStatus, Json, Matcher, Target, members_of

EMPTY_WORDS = frozenset({"none", "null", "n/a", "undefined"})
_EMPTY_VALUES: dict[str, Json] = {
    "string": "",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "array": [],
    "object": {},
    "null": None,
}


def check_answers(under_test: ArenaUnderTest) -> dict[str, Json]:
    """Every answer is there and agrees with its target. The part of `gold` that calls no tool."""
    arena = under_test.arena
    _check_answer("the arena's answer", arena.answer, arena.answer_target)
    if arena.answer_target.field is not None or arena.answer_target.key:
        raise CheckFinding("the arena's answer target has a field or a key; a final text has none")
    for goal in arena.goals:
        _check_answer(f"the answer of goal {goal.id!r}", goal.answer, goal.target)
        if goal.target is not None and goal.target.key and goal.target.field is None:
            raise CheckFinding(
                f"the target of goal {goal.id!r} has a key but no field to find it by"
            )
        # Random play would be right half of the time.
        if goal.target is not None and not goal.target.key and is_choice(goal.answer):
            raise CheckFinding(
                f"goal {goal.id!r} has the answer {goal.answer!r} and no key beside it, so that "
                "half of all other calls solve it: name the key of the entity that is asked about"
            )
    # A main answer from nowhere can't be earned by calls: no step of the episode leads to it.
    goal_answers = [value for goal in arena.goals for value in scalars(goal.answer)]
    for value in scalars(arena.answer):
        if not any(same_scalar(value, other) for other in goal_answers):
            raise CheckFinding(f"the arena's answer {value!r} is not the answer of any goal")
    return {}


def _check_answer(what: str, answer: Answer, target: Target | None) -> None:
    members = members_of(answer)
    for member in members:
        if isinstance(member, str):
            text = normalise(member)
            empty = text in EMPTY_WORDS or not any(character.isalnum() for character in text)
        else:
            # NaN and infinity do not count as numbers.
            empty = not isinstance(member, bool) and as_number(member) is None
        if empty:
            raise CheckFinding(f"{what} is empty: {answer!r}")
    if not members:
        raise CheckFinding(f"{what} is empty: {answer!r}")
    if target is None:
        return
    if target.matcher is Matcher.text:
        # `matches` searches a text for the value; here the two must be equal.
        values = members_of(target.value)
        agrees = len(values) == len(members) and all(map(same_scalar, values, members))
    else:
        agrees = matches(target, answer)
    if not agrees:
        raise CheckFinding(f"{what} is {answer!r}, but its target wants {target.value!r}")
    # A wide tolerance would make wrong answers right: a relative one of 0.9 takes nearly anything.
    number = as_number(target.value) or 0.0
    if not 0 <= target.relative <= 0.05 or not 0 <= target.absolute <= max(0.5, abs(number) / 20):
        raise CheckFinding(
            f"{what} has tolerances {target.absolute!r} and {target.relative!r}: at most 5 %"
        )


async def check_gold(under_test: ArenaUnderTest, outputs: dict[str, Json]) -> dict[str, Json]:
    """Gold scores exactly 1, each gold call solves its own goal only, null and empty calls 0.

    `outputs`: what the gold calls returned, by goal id.
    """
    steps = under_test.steps
    records = [
        CallRecord(
            id=str(turn),
            turn=turn,
            tool=step.call.tool,
            arguments=step.call.arguments,
            status=CallStatus.ok,
            result=outputs.get(step.goal.id),
        )
        for turn, step in enumerate(under_test.ordered)
    ]
    best = score(records, under_test.arena.goals)
    if best.reward != 1.0 or best.solved != best.goals:
        raise CheckFinding(f"the gold episode scores {best.reward!r}, not 1", solved=best.solved)
    nothing = score([], under_test.arena.goals)
    if nothing.reward != 0.0:
        raise CheckFinding(f"an episode without calls scores {nothing.reward!r}, not 0")
    # Else one call earns two goals, and the other goal asks for nothing.
    for step in steps:
        for other in steps:
            if (
                other.goal.id != step.goal.id
                and other.call.tool == step.call.tool
                and solves(other.target, outputs.get(step.goal.id))
            ):
                raise CheckFinding(
                    f"{step.gold_call.description} also solves goal {other.goal.id!r}"
                )
    # Tools that fall back to their first row, or that search with an empty text, answer these.
    empty_calls = {
        f"{call.tool}:{canonical_call(under_test.tools[call.tool], call.arguments)}": call
        for step in steps
        for call in _empty_calls(under_test, step)
    }
    calls = list(empty_calls.values())
    for call, outcome in zip(calls, await under_test.run("plain", calls), strict=True):
        for step in steps:
            if step.call.tool == call.tool and solves(step.target, outcome.value):
                raise CheckFinding(
                    f"goal {step.goal.id!r} is solved by a call with empty or default arguments",
                    call=call_evidence(call),
                )
    # How strongly goals are matched: by a field beside a key, by a field alone, or in a text.
    keyed = sum(step.target.field is not None and bool(step.target.key) for step in steps)
    text = sum(step.target.field is None for step in steps)
    return {
        "reward": best.reward,
        "null": nothing.reward,
        "empty_calls": len(calls),
        "matched": {"keyed": keyed, "field": len(steps) - keyed - text, "containment": text},
    }


def _empty_calls(under_test: ArenaUnderTest, step: GoalStep) -> list[NamedCall]:
    """Calls without arguments, with empty required ones, and with defaults for all others, too."""
    tool = under_test.tools[step.call.tool]
    required = required_of(tool)
    empty: dict[str, Json] = {}
    everything: dict[str, Json] = {}
    for name, schema in parameters_of(tool).items():
        value = schema["enum"][0] if schema.get("enum") else _EMPTY_VALUES[types_of(schema)[0]]
        if name in required:
            empty[name] = value
        else:
            everything[name] = schema.get("default", value)
    variants: list[dict[str, Json]] = [{}, empty, empty | everything]
    gold_spelling = canonical_call(tool, step.call.arguments)
    for arguments in variants:
        if canonical_call(tool, arguments) == gold_spelling:
            raise CheckFinding(
                f"{step.gold_call.description} has empty or default arguments only: ask for "
                "something else",
                call=call_evidence(NamedCall(tool.name, arguments, "")),
            )
    return [
        NamedCall(tool.name, arguments, f"an empty call to {tool.name!r}") for arguments in variants
    ]
