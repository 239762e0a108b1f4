"""Check `robust`: no arguments, however wrong, crash or hang a tool or make it answer nonsense.

Wrong types in required arguments, missing and unknown arguments must be answered with an error.
Odd values of the right type may be answered, or refused with an error. A structured error is
`{"error": {...}}` with a message. Only the arena's own tools are tried; a distractor was tried in
the arena that it comes from. Not covered: inputs that were not tried.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from astra.arenas.certificate.context import (
    ArenaUnderTest,
    CheckFinding,
    canonical_result,
    is_error,
    short,
    shown,
)
from astra.arenas.certificate.context import NamedCall as SandboxCall
from astra.arenas.certificate.documents import has_type, parameters_of, required_of, types_of
from astra.protocols import CallOutcome
from astra.types import Json, Tool


def _nested(depth: int) -> Json:
    value: Json = []
    for _ in range(depth):
        value = [value]
    return value


_WRONG: tuple[Json, ...] = (12.5, "no number", True, None, {"a": 1}, _nested(40))
_ODD: dict[str, tuple[Json, ...]] = {
    "string": ("", "\u202e\u0000\U0001f4a9e\u0301 '; DROP {0} %s" + "x" * 10_000),
    "integer": (10**30, -1),
    "number": (1e308, -1.5),
    "array": ([],),
    "object": ({},),
}


class RobustnessCall(NamedTuple):
    """A call that tries a tool."""

    what: str
    arguments: dict[str, Json]
    must: Literal["error", "answer or error"]


async def check_robust(case: ArenaUnderTest) -> dict[str, Json]:
    """Wrong, missing, unknown and odd arguments give a structured error, never a crash or hang."""
    planned = [
        (tool, trial) for tool in case.arena.tools for trial in trials(tool, _base(case, tool))
    ]
    calls = [
        SandboxCall(tool.name, trial.arguments, f"tool {tool.name!r} with {trial.what}")
        for tool, trial in planned
    ]
    outcomes = await case.run("plain", calls)
    for (_, trial), call, outcome in zip(planned, calls, outcomes, strict=True):
        if problem := _problem(trial, call, outcome):
            raise CheckFinding(f"{call.what} {problem}", call=shown(call.tool, call.arguments))
    return {"calls": len(calls)}


def _base(case: ArenaUnderTest, tool: Tool) -> dict[str, Json]:
    return next((s.call.arguments for s in case.steps if s.call.tool == tool.name), {})


def trials(tool: Tool, base: dict[str, Json]) -> list[RobustnessCall]:
    """The calls that try a tool, each a change of a call that is known to work."""
    required = required_of(tool)
    found = [RobustnessCall("an unknown argument", {**base, "no_such_argument": 1}, "error")]
    if required:
        found.append(RobustnessCall("no arguments", {}, "error"))
    if len(required) > 1:
        found += [
            RobustnessCall(
                f"{name!r} missing", {k: v for k, v in base.items() if k != name}, "error"
            )
            for name in required
        ]
    for name, schema in parameters_of(tool).items():
        listed = schema.get("enum")
        must = "error" if name in required else "answer or error"
        found += [
            RobustnessCall(f"a wrong value for {name!r}", {**base, name: value}, must)
            for value in _WRONG
            if not has_type(schema, value) or (listed and value not in listed)
        ]
        found += [
            RobustnessCall(f"an odd value for {name!r}", {**base, name: value}, "answer or error")
            for kind in types_of(schema)
            for value in _ODD.get(kind, ())
            if not listed
        ]
    return found


def _problem(trial: RobustnessCall, call: SandboxCall, outcome: CallOutcome) -> str:
    failure = outcome.failure
    if failure is not None:
        if failure.kind == "arguments":
            return ""
        return f"failed ({failure.kind}): {failure.type}: {failure.message[:300]}"
    canonical_result(call, outcome.value)
    if is_error(outcome.value):
        return (
            ""
            if _has_message(outcome.value["error"])
            else (f"was answered with an error without a message: {short(outcome.value)}")
        )
    if trial.must == "error":
        return f"was answered instead of refused: {short(outcome.value)}"
    return ""


def _has_message(error: Json) -> bool:
    message = error.get("message") if isinstance(error, dict) else None
    return isinstance(message, str) and bool(message.strip())
