"""Check `robust`: no arguments, however wrong, crash or hang a tool or make it answer nonsense.

Wrong types in required arguments, missing and unknown arguments must be answered with an error.
Odd values of the right type may be answered, or refused with an error. An error is
`{"error": {...}}` with a message, or a ValueError with one. A tool that reads numeric texts as
numbers may also read 12.5 and True as whole ones. A policy in training tries anything: a tool that
hangs stalls a rollout, and one that answers nonsense can be exploited. Not covered: inputs that
were not tried.
"""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

from astra.arenas.certificate.arena_under_test import (
    ArenaUnderTest,
    CheckFinding,
    NamedCall,
    call_evidence,
    canonical_result,
    is_answered,
    is_error,
    shortened,
)
from astra.arenas.certificate.parameters import has_type, parameters_of, required_of, types_of
from astra.arenas.certificate.results import error_shows
from astra.arenas.certificate.source_reading import pauses
from astra.types import Json, Tool

_DEEP: Json = functools.reduce(lambda inner, _: [inner], range(40), [])
_WRONG: tuple[Json, ...] = (12.5, "no number", True, None, {"a": 1}, _DEEP)
_ODD: dict[str, tuple[Json, ...]] = {
    # An override of direction, NUL, an emoji, a combining mark, SQL, format directives, length.
    "string": ("", "\u202e\u0000\U0001f4a9e\u0301 '; DROP {0} %s" + "x" * 10_000),
    "integer": (10**30, -1),
    "number": (1e308, -1.5),
    "array": ([],),
    "object": ({},),
}


class RobustnessCall(NamedTuple):
    """A call that tries a tool with unusual arguments."""

    description: str
    arguments: dict[str, Json]
    allowed: Literal["error", "answer or error"]
    parameter: str = ""
    """The parameter that gets a number or True of the wrong type. Empty for other calls."""


async def check_robust(under_test: ArenaUnderTest) -> dict[str, Json]:
    """Wrong, missing, unknown and odd arguments give a structured error, never a crash or hang."""
    # The arena's own tools only: a distractor was tried in the arena that it comes from.
    trials: list[tuple[RobustnessCall, NamedCall]] = []
    for tool in under_test.arena.tools:
        steps = (step for step in under_test.steps if step.call.tool == tool.name)
        working = next((step.call.arguments for step in steps), {})
        trials += [
            (
                trial,
                NamedCall(
                    tool.name, trial.arguments, f"tool {tool.name!r} with {trial.description}"
                ),
            )
            for trial in robustness_calls(tool, working)
        ]
    converting = _reading_calls(under_test)
    calls = [
        *(call for _, call in trials),
        *(call for pair in converting.values() for call in pair),
    ]
    outcomes = await under_test.run("plain", calls)
    read = iter(outcomes[len(trials) :])
    # Tool and parameter, where a numeric text is answered as the number is.
    reads = {
        place
        for place in converting
        if is_answered(text := next(read)) & (text.value == next(read).value)
    }
    outcomes = outcomes[: len(trials)]
    for (trial, call), outcome in zip(trials, outcomes, strict=True):
        failure, value = outcome.failure, outcome.value
        problem = ""
        if failure is not None:
            # Arguments that do not fit the function's signature are refused before its code runs.
            # A ValueError says what is wrong, and reaches the agent as an error of the call.
            refused = failure.kind == "raised" and failure.type == "ValueError"
            if failure.kind != "arguments" and not (refused and failure.message.strip()):
                problem = f"failed ({failure.kind}): {failure.type}: {failure.message[:300]}"
        else:
            canonical_result(call, value)
            if is_error(value):
                message = value["error"].get("message")
                if not isinstance(message, str) or not message.strip():
                    problem = f"returned an error without a message: {shortened(value)}"
            elif trial.allowed == "error" and (call.tool, trial.parameter) not in reads:
                problem = f"was answered instead of refused: {shortened(value)}"
        if not problem and any(
            error_shows(step.target, outcome, call.arguments)
            for step in under_test.steps
            if step.call.tool == call.tool
            and not step.call.arguments.items() <= call.arguments.items()
        ):
            problem = "was refused with an error that states an answer"
        if problem:
            raise CheckFinding(f"{call.description} {problem}", call=call_evidence(call))
    for tool in under_test.arena.tools:
        if pauses(tool.source):
            raise CheckFinding(
                f"tool {tool.name!r} sleeps, which makes every episode wait: answer at once"
            )
    return {"calls": len(trials)}


def _reading_calls(under_test: ArenaUnderTest) -> dict[tuple[str, str], list[NamedCall]]:
    """By tool and number parameter: a gold call with its number as a text, and as a number."""
    calls: dict[tuple[str, str], list[NamedCall]] = {}
    for step in under_test.steps:
        for name, value in step.call.arguments.items():
            kinds = types_of(parameters_of(under_test.tools[step.call.tool])[name])
            if kinds and {"integer", "number"}.issuperset(kinds):
                described = f"{step.gold_call.description} with {name!r} as a text"
                pair = [
                    NamedCall(step.call.tool, step.call.arguments | {name: spelled}, described)
                    for spelled in (str(value), value)
                ]
                calls.setdefault((step.call.tool, name), pair)
    return calls


def robustness_calls(tool: Tool, working: dict[str, Json]) -> list[RobustnessCall]:
    """The calls that try a tool, each a change of the arguments of a call that works."""
    required = required_of(tool)
    calls = [RobustnessCall("an unknown argument", {**working, "no_such_argument": 1}, "error")]
    if required:
        calls.append(RobustnessCall("no arguments", {}, "error"))
    if len(required) > 1:
        calls += [
            RobustnessCall(
                f"{name!r} missing", {k: v for k, v in working.items() if k != name}, "error"
            )
            for name in required
        ]
    for name, schema in parameters_of(tool).items():
        listed = schema.get("enum")
        # A tool may well ignore a wrong value of an argument that it does not need.
        allowed = "error" if name in required else "answer or error"
        calls += [
            RobustnessCall(
                f"a wrong value for {name!r}",
                {**working, name: value},
                allowed,
                name if isinstance(value, float | bool) else "",
            )
            for value in _WRONG
            # True is an instance of int in Python, but not an integer in JSON.
            if not has_type(schema, value) or (listed and value not in listed)
        ]
        calls += [
            RobustnessCall(
                f"an odd value for {name!r}", {**working, name: value}, "answer or error"
            )
            for kind in types_of(schema)
            for value in _ODD.get(kind, ())
            if not listed
        ]
    return calls
