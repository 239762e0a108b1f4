"""Check `atomic`: a writing call does all of its work or none, wherever it is broken off.

Not covered: faults at steps that were not tried, and calls of tools that no gold call needs.
"""

from __future__ import annotations

from functools import partial

from astra.arenas.certificate.arena_under_test import CheckFinding, NamedCall, call_evidence
from astra.arenas.certificate.state.interrupts import INTERRUPTED, interrupted
from astra.arenas.certificate.state.trials import StateTrials
from astra.arenas.certificate.state.variants import refused_calls
from astra.protocols import RESTORE, CallOutcome
from astra.types import Json

_STEPS = (1, 7)
_MOST_STATEMENTS = 24


async def check_atomic(trials: StateTrials) -> dict[str, Json]:
    """Calls that are interrupted, or refused, leave the state as it was: the gold call then does
    exactly what it did without them, ids included."""
    writes = trials.gold_writes
    session = await trials.main_session()
    tried = 0
    for place, call in writes:
        # Some writes need what earlier ones did.
        before = [step for step in trials.gold[:place] if isinstance(step, NamedCall)]
        start = [RESTORE, *((made.tool, made.arguments) for made in before if trials.writes(made))]
        gold = (call.tool, call.arguments)
        whole = interrupted(call.tool, call.arguments, "statement", 0)
        measured = await session.call_many([*start, gold, *start, whole])
        wanted, counted = measured[len(start)], measured[-1]
        if not isinstance(wanted, CallOutcome) or wanted.effect is None:
            continue  # `state` says so
        statements = 0
        if isinstance(counted, CallOutcome) and isinstance(counted.value, dict):
            statements = min(int(counted.value.get("statements", 0)), _MOST_STATEMENTS)
        make = partial(interrupted, call.tool, call.arguments)
        tests = [make("statement", at + 1) for at in range(statements)]
        tests += [make("step", at) for at in _STEPS]
        tests += [(each.tool, each.arguments) for each in refused_calls(trials, call)]
        requests = [request for test in tests for request in (*start, test, gold)]
        outcomes = await session.call_many(requests)
        size = len(start) + 2
        for index, test in enumerate(tests):
            broken, again = outcomes[index * size + size - 2 : (index + 1) * size]
            tried += 1
            _compare(call, test, broken, again, wanted)
    return {"writes": len(writes), "broken_off": tried}


def _compare(
    call: NamedCall,
    test: tuple[str, dict[str, Json]],
    broken: object,
    again: object,
    wanted: CallOutcome,
) -> None:
    stopped = test[0].startswith(INTERRUPTED)
    if isinstance(broken, CallOutcome) and broken.effect is not None:
        if stopped and broken.effect != wanted.effect:
            raise CheckFinding(
                f"{call.description}, interrupted in the middle, kept a part of its changes: "
                f"{str(broken.effect.changes)[:200]}",
                call=call_evidence(call),
            )
        if not stopped and _says_failed(broken.value):
            raise CheckFinding(
                f"a call of {call.tool!r} with {str(test[1])[:120]} says that it failed and "
                f"changed rows all the same: return {{'error': {{…}}}}, which takes them back",
                call=call_evidence(call),
            )
        return
    if not isinstance(again, CallOutcome) or again.effect != wanted.effect:
        how = "interrupted" if stopped else "refused"
        raise CheckFinding(
            f"{call.description} does something else after one like it was {how}: "
            f"{str(again)[:200]}",
            call=call_evidence(call),
        )


def _says_failed(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    return bool(value.get("error")) or any(value.get(name) is False for name in ("ok", "success"))
