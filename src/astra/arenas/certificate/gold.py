"""Check `gold` (with its part `null`): the gold episode scores 1, doing nothing scores 0.

Not covered: whether the answers are true of the world, and whether the main answer follows from
the goals' answers. Both rest on the source that computed them.
"""

from __future__ import annotations

from typing import Any

from astra.arenas.certificate.containment import scalars
from astra.arenas.certificate.context import (
    ArenaUnderTest,
    CheckFinding,
    GoalStep,
    NamedCall,
    gold,
    shown,
)
from astra.arenas.certificate.documents import parameters_of, required_of, types_of
from astra.arenas.certificate.leak import is_choice
from astra.arenas.certificate.wrong_calls import canonical
from astra.core.text import as_number, normalise
from astra.rewards import matches, same_scalar, score, solves
from astra.types import Arena, CallRecord, CallStatus, Json, Matcher, Scalar, Target, Tool

EMPTY_WORDS = frozenset({"none", "null", "n/a", "undefined"})
_EMPTY: dict[str, Json] = {
    "string": "",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "array": [],
    "object": {},
    "null": None,
}


def check_answers(case: ArenaUnderTest) -> dict[str, Json]:
    """Every answer is there, and is what its target asks for. The static part of `gold`."""
    arena = case.arena
    _check_answer("the arena's answer", arena.answer, arena.answer_target)
    if arena.answer_target.field is not None or arena.answer_target.key:
        raise CheckFinding("the arena's answer target has a field or a key; a final text has none")
    for goal in arena.goals:
        _check_answer(f"the answer of goal {goal.id!r}", goal.answer, goal.target)
        if goal.target is not None and goal.target.key and goal.target.field is None:
            raise CheckFinding(
                f"the target of goal {goal.id!r} has a key but no field to find it by"
            )
        if goal.target is not None and not goal.target.key and is_choice(goal.answer):
            raise CheckFinding(
                f"goal {goal.id!r} has the answer {goal.answer!r} and no key beside it, so that "
                "calls for half of all others solve it: name the key of what is asked"
            )
    _check_main(arena)
    return {}


def _check_main(arena: Arena) -> None:
    """The main answer is that of a goal, or several goals'."""
    known = [value for goal in arena.goals for value in scalars(goal.answer)]
    for value in scalars(arena.answer):
        if not any(same_scalar(value, other) for other in known):
            raise CheckFinding(f"the arena's answer {value!r} is the answer of none of its goals")


def _check_answer(what: str, answer: Scalar | tuple[Scalar, ...], target: Target | None) -> None:
    members = answer if isinstance(answer, tuple) else (answer,)
    if not members or any(_empty(member) for member in members):
        raise CheckFinding(f"{what} is empty: {answer!r}")
    if target is None:
        return
    if not _agrees(target, answer):
        raise CheckFinding(f"{what} is {answer!r}, but its target wants {target.value!r}")
    number = as_number(target.value) or 0.0
    if not 0 <= target.relative <= 0.05 or not 0 <= target.absolute <= max(0.5, abs(number) / 20):
        raise CheckFinding(
            f"{what} has tolerances {target.absolute!r} and {target.relative!r}: at most 5 %"
        )


def _empty(value: Scalar) -> bool:
    if isinstance(value, str):
        text = normalise(value)
        return text in EMPTY_WORDS or not any(character.isalnum() for character in text)
    return not isinstance(value, bool) and as_number(value) is None


def _agrees(target: Target, answer: Scalar | tuple[Scalar, ...]) -> bool:
    if target.matcher is not Matcher.text:
        return matches(target, answer)
    wanted, given = (v if isinstance(v, tuple) else (v,) for v in (target.value, answer))
    return len(wanted) == len(given) and all(map(same_scalar, wanted, given))


async def check_gold(case: ArenaUnderTest) -> dict[str, Json]:
    """Gold scores exactly 1, each gold call solves its own goal only, null and empty calls 0."""
    records = [
        CallRecord(
            id=str(turn),
            turn=turn,
            tool=step.call.tool,
            arguments=step.call.arguments,
            status=CallStatus.ok,
            result=case.outputs.get(step.goal.id),
        )
        for turn, step in enumerate(case.ordered)
    ]
    best = score(records, case.arena.goals)
    if best.reward != 1.0 or best.solved != best.goals:
        raise CheckFinding(f"the gold episode scores {best.reward!r}, not 1", solved=best.solved)
    nothing = score([], case.arena.goals)
    if nothing.reward != 0.0:
        raise CheckFinding(f"an episode without calls scores {nothing.reward!r}, not 0")
    _check_own(case)
    empties = [(step, call) for step in case.steps for call in _empty_calls(case, step)]
    calls = list({canonical_key(case, call): call for _, call in empties}.values())
    outcomes = await case.run("plain", calls)
    for call, outcome in zip(calls, outcomes, strict=True):
        for step in case.steps:
            if step.call.tool == call.tool and solves(step.target, outcome.value):
                raise CheckFinding(
                    f"goal {step.goal.id!r} is solved by a call with empty or default arguments",
                    call=shown(call.tool, call.arguments),
                )
    return {"reward": best.reward, "null": nothing.reward, "empty_calls": len(calls), **_how(case)}


def canonical_key(case: ArenaUnderTest, call: NamedCall) -> str:
    """Calls with the same key are one call."""
    return f"{call.tool}:{canonical(case.tools[call.tool], call.arguments)}"


def _check_own(case: ArenaUnderTest) -> None:
    for step in case.steps:
        for other in case.steps:
            if (
                other.goal.id != step.goal.id
                and other.call.tool == step.call.tool
                and solves(other.target, case.outputs.get(step.goal.id))
            ):
                raise CheckFinding(f"{gold(step).what} also solves goal {other.goal.id!r}")


def _empty_calls(case: ArenaUnderTest, step: GoalStep) -> list[NamedCall]:
    tool = case.tools[step.call.tool]
    required = {name: _empty_value(parameters_of(tool)[name]) for name in required_of(tool)}
    variants = [{}, required, required | {n: _default(s) for n, s in _optional(tool).items()}]
    mine = canonical(tool, step.call.arguments)
    for arguments in variants:
        if canonical(tool, arguments) == mine:
            raise CheckFinding(
                f"{gold(step).what} has empty or default arguments only: ask for something else",
                call=shown(tool.name, arguments),
            )
    return [
        NamedCall(tool.name, arguments, f"an empty call to {tool.name!r}") for arguments in variants
    ]


def _optional(tool: Tool) -> dict[str, Any]:
    required = required_of(tool)
    return {name: s for name, s in parameters_of(tool).items() if name not in required}


def _default(schema: dict[str, Json]) -> Json:
    return schema["default"] if "default" in schema else _empty_value(schema)


def _empty_value(schema: dict[str, Json]) -> Json:
    if schema.get("enum"):
        return schema["enum"][0]
    return _EMPTY[types_of(schema)[0]]


def _how(case: ArenaUnderTest) -> dict[str, Json]:
    """How strongly goals are matched: under a field beside a key, under a field, or in a text."""
    keyed = sum(step.target.field is not None and bool(step.target.key) for step in case.steps)
    text = sum(step.target.field is None for step in case.steps)
    return {
        "matched": {"keyed": keyed, "field": len(case.steps) - keyed - text, "containment": text}
    }
