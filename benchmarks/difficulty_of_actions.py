"""What levels of arenas that ask for changes are worth to reference policies and a rash agent.

    python -m benchmarks.difficulty_of_actions RUN

Printed by level: calls, tools in view, F1 and strict of each.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from astra.arenas.difficulty import level_of
from astra.arenas.sets import ArenaSet
from astra.core.intervals import bootstrap
from astra.evaluation.arenas import ModelFactory, PlayedEpisode, play, tallied
from astra.models.policies import Policy, policy
from astra.protocols import Model
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits
from astra.sandbox.server import open_sandbox
from astra.types import Arena
from benchmarks.difficulty import shown
from tests.support.rash_agent import rash_agent

POLICIES: tuple[Policy, ...] = ("gold", "null", "asker", "careless")


def players() -> dict[str, ModelFactory]:
    """Name -> what plays an arena."""

    def reference(name: Policy) -> ModelFactory:
        return lambda arena, sample: policy(name, arena, sample)

    def rash(arena: Arena, sample: int) -> Model:
        del sample
        return rash_agent(arena)

    return {**{name: reference(name) for name in POLICIES}, "rash": rash}


async def played(arenas: Sequence[Arena], player: ModelFactory) -> list[PlayedEpisode]:
    episodes: list[PlayedEpisode] = []
    async with open_sandbox() as sandbox:
        await tallied(play(arenas, player, sandbox, RolloutLimits(turns=100)), 0, episodes.append)
    return episodes


def main(run: str) -> None:
    by_level: dict[int | None, list[Arena]] = defaultdict(list)
    for arena in ArenaSet(run):
        by_level[level_of(arena.provenance)].append(arena)
    for level, arenas in sorted(by_level.items(), key=str):
        calls, tools = fmean(a.hops for a in arenas), fmean(len(a.tools) for a in arenas)
        print(f"level {level}: {len(arenas)} arenas, {calls:.1f} calls, {tools:.1f} tools in view")
        for name, player in players().items():
            pairs = list(zip(arenas, asyncio.run(played(arenas, player)), strict=True))
            for reward in ("f1", "strict"):
                values = [[score_trajectory(a, e.trajectory, reward).reward] for a, e in pairs]
                print(f"  {name} {reward}: {shown(bootstrap(values, 0))}")


if __name__ == "__main__":
    main(sys.argv[1])
