"""The teacher of the trajectory pipelines: a model, or the rule teacher for trying out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from astra.configs.base import TeacherConfig
from astra.runs.folder import RunFolder
from astra.teacher.opening import RULES, open_teacher
from astra.teacher.prompt import Teacher


@asynccontextmanager
async def trajectory_teacher(
    config: TeacherConfig, folder: RunFolder, *, seed: int, earlier: RunFolder | None = None
) -> AsyncGenerator[Teacher]:
    """The teacher of a config: `rules` without an endpoint, else a model.

    `earlier`: another run, whose recorded answers are used where the same is asked.
    """
    if config.teacher == RULES and config.teacher_url is None:
        # Late: a fixture, which ships for trying out only.
        from astra.testing.rule_teacher.trajectories import TrajectoryRules

        yield TrajectoryRules(seed=seed)
        return
    async with open_teacher(config, folder, seed=seed, earlier=earlier) as teacher:
        yield teacher
