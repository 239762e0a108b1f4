"""The functions of `astra`, awaitable, for code that runs in an event loop of its own.

Same names, same arguments. `train_sft` and `train_rl` are not here: training runs on the thread
that calls it.
"""

from __future__ import annotations

from pathlib import Path

from astra.arenas.certificate import certify as examine
from astra.arenas.certificates import Certificate
from astra.arenas.sets import ArenaSet, load_arenas
from astra.configs.arenas import (
    MakeArenasConfig,
    ParaphraseArenasConfig,
    SynthesizeArenasConfig,
)
from astra.configs.base import configured
from astra.configs.evaluation import EvaluateConfig
from astra.configs.tools import CollectToolsConfig
from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.evaluation.evaluate import EvaluationReport, compare
from astra.models.policies import policy as reference_policy
from astra.rewards import score_trajectory as score
from astra.rollouts.environment import AsyncArenaEnvironment as ArenaEnvironment
from astra.rollouts.episodes import rollout, rollout_groups
from astra.sandbox.opening import SandboxLevel, shared_sandbox
from astra.trajectories.sets import TrajectorySet, load_trajectories
from astra.types import Arena

__all__ = [
    "ArenaEnvironment",
    "certify",
    "collect_tools",
    "compare",
    "evaluate",
    "load_arenas",
    "load_trajectories",
    "make_arenas",
    "make_trajectories",
    "paraphrase_arenas",
    "reference_policy",
    "rollout",
    "rollout_groups",
    "score",
    "synthesize_arenas",
]


async def certify(
    arena: Arena, *, all_checks: bool = False, seed: int = 0, sandbox: SandboxLevel = "auto"
) -> Certificate:
    """Run the checks of an arena. Stops at the first failure unless `all_checks`.

    Raises SandboxUnavailable if nothing confines tool code here.
    """
    async with shared_sandbox(sandbox) as server:
        return await examine(arena, server, seed=seed, all_checks=all_checks)


# The rooms are imported when they are used: together they take seconds.


@configured(MakeArenasConfig)
async def make_arenas(config: MakeArenasConfig) -> ArenaSet:
    """Make certified arenas from your tables, or from an OpenAPI document. No model is needed.

    Warns if fewer than `count` could be made, and says so in `summary["missing"]`. Raises
    StageError if none could, TableError for a file that is not a table. With `target` those are
    returned that this model solves sometimes.
    """
    if config.target is not None:
        from astra.evaluation.target import make_arenas_for_target

        return await make_arenas_for_target(config)
    from astra.arenas.make import make_arenas

    return await make_arenas(config)


@configured(SynthesizeArenasConfig)
async def synthesize_arenas(config: SynthesizeArenasConfig) -> ArenaSet:
    """Make certified arenas from questions, a corpus or domains, with a teacher.

    Warns if fewer than `count` could be made, and says so in `summary["missing"]`.
    """
    from astra.arenas.synthesize import synthesize_arenas

    return await synthesize_arenas(config)


@configured(ParaphraseArenasConfig)
async def paraphrase_arenas(config: ParaphraseArenasConfig) -> ArenaSet:
    """Reword the questions of arenas with a teacher, and certify them again."""
    from astra.arenas.paraphrase import paraphrase_arenas

    return await paraphrase_arenas(config)


@configured(EvaluateConfig)
async def evaluate(config: EvaluateConfig) -> EvaluationReport:
    """Evaluate a model, or a reference policy, on arenas.

    A stopped evaluation is resumed; a finished one is read. Raises StageError if none of the first
    episodes could be scored.
    """
    from astra.evaluation.evaluate import evaluate

    return await evaluate(config)


@configured(CollectToolsConfig)
async def collect_tools(config: CollectToolsConfig) -> Path:
    """Collect tools of MCP servers, OpenAPI documents and lists of functions into a run folder."""
    from astra.trajectories.collect_tools import collect_tools

    return await collect_tools(config)


@configured(MakeTrajectoriesConfig)
async def make_trajectories(config: MakeTrajectoriesConfig) -> TrajectorySet:
    """Make tasks for collected tools, let an agent carry them out, and judge the conversations."""
    from astra.trajectories.make import make_trajectories

    return await make_trajectories(config)
