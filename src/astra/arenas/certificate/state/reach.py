"""Check `reach`: what a goal wants is brought about by the tools that are meant, and no others.

Not covered: ways of three calls and more, and arguments that were not tried.
"""

from __future__ import annotations

import random

from astra.arenas.certificate.arena_under_test import CheckFinding, NamedCall, call_evidence
from astra.arenas.certificate.state.trials import StateTrials
from astra.arenas.certificate.state.variants import calls_for
from astra.types import Json

_PAIRS = 20


async def check_reach(trials: StateTrials, rng: random.Random) -> dict[str, Json]:
    """No call of another tool, and no pair of such calls, solves a goal."""
    meant = {call.tool for _, call in trials.gold_writes}
    calls: list[NamedCall] = []
    alike: set[tuple[str, tuple[str, ...]]] = set()
    for goal in trials.state.goals:
        for change in goal.changes:
            # One row of a group stands for all.
            what = (change.table, tuple(change.after or ()))
            if what in alike:
                continue
            alike.add(what)
            for tool in trials.arena.tools:
                writes = trials.state.writes.get(tool.name, ())
                if tool.name not in meant and change.table in writes:
                    calls += calls_for(trials, tool, change, rng)
    alone = await trials.play([[call] for call in calls])
    # Whoever changes nothing alone may do so after another; but most do nothing at all.
    working = [t.calls[0] for t in alone if any(outcome.effect for outcome in t.outcomes)]
    pairs = [rng.sample(working, 2) for _ in range(_PAIRS if len(working) > 1 else 0)]
    for played in (*alone, *await trials.play(pairs)):
        if played.state is not None and played.score.solved:
            tools = ", ".join(repr(call.tool) for call in played.calls)
            raise CheckFinding(
                f"goal {min(played.score.solved_by)!r} is solved by {tools}, too, which is not "
                "meant for it",
                call=call_evidence(played.calls[-1]),
            )
    return {"calls": len(calls), "pairs": len(pairs)}
