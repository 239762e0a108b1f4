"""The functions of `astra`, awaitable, for code that runs in an event loop of its own.

Same names, same arguments. `train_sft` and `train_rl` are not here: training runs on the thread
that calls it.
"""

from __future__ import annotations

from astra.arenas.certificate import certify as examine
from astra.arenas.sets import load_arenas
from astra.models.policies import policy as reference_policy
from astra.rewards import score_trajectory as score
from astra.rollouts.environment import AsyncArenaEnvironment as ArenaEnvironment
from astra.rollouts.episodes import rollout, rollout_groups
from astra.rollouts.shared_sandbox import SandboxLevel, shared_sandbox
from astra.types import Arena, Certificate

__all__ = [
    "ArenaEnvironment",
    "certify",
    "load_arenas",
    "reference_policy",
    "rollout",
    "rollout_groups",
    "score",
]


async def certify(
    arena: Arena, *, all_checks: bool = False, seed: int = 0, sandbox: SandboxLevel = "auto"
) -> Certificate:
    """Run the checks of an arena. Stops at the first failure unless `all_checks`.

    Raises SandboxUnavailable if nothing confines tool code here.
    """
    async with shared_sandbox(sandbox) as server:
        return await examine(arena, server, seed=seed, all_checks=all_checks)
