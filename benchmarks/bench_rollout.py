"""Episodes per second: the gold policy on arenas of one to five calls, in the real sandbox."""

from __future__ import annotations

import asyncio
import statistics
import time

from astra.evaluation.arenas import play, tallied
from astra.models.policies import policy
from astra.protocols import Sandbox
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import open_sandbox
from astra.types import Arena, Distractor
from tests.support.fakes import toy_arena, toy_tool

EPISODES = 200
ROUNDS = 5


def measure() -> dict[str, dict[str, object]]:
    """Median over rounds, after one that warms up; 16 episodes at once, 2 workers."""
    rate, calls = asyncio.run(_measure())
    return {
        "gold rollouts": {"value": rate, "goal": None, "unit": "per second", "ok": None},
        "gold rollouts, calls": {"value": calls, "goal": None, "unit": "per second", "ok": None},
    }


async def _measure() -> tuple[float, float]:
    # Eight distractors beside the arena's own tools, as after mixing.
    distractors = tuple(Distractor.of(toy_tool(f"far_{i}"), "random") for i in range(8))
    arenas = [
        toy_arena(1 + i % 5, domain=f"d{i}", distractors=distractors) for i in range(EPISODES)
    ]
    calls = sum(len(arena.goals) for arena in arenas)
    async with open_sandbox(workers=2) as sandbox:
        await _seconds(arenas, sandbox)
        seconds = statistics.median([await _seconds(arenas, sandbox) for _ in range(ROUNDS)])
    return EPISODES / seconds, calls / seconds


async def _seconds(arenas: list[Arena], sandbox: Sandbox) -> float:
    start = time.perf_counter()
    episodes = play(arenas, lambda arena, _: policy("gold", arena), sandbox, RolloutLimits())
    report = await tallied(episodes, seed=0)
    if report.f1 is None or report.f1.mean != 1.0:
        raise AssertionError(f"the gold policy must score 1, not {report.f1!r}")
    return time.perf_counter() - start
