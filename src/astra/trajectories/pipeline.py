"""The whole line: from a folder of tools to judged trajectories, resumable.

`tasks` (and what comes before it) → `rollouts` → `judgements`, one after the other in one run
folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rich.console import Console

from astra.protocols import Model
from astra.runs.cost import StageMeter
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.runs.stage import StageReport
from astra.teacher.cost import Price
from astra.teacher.prompt import Teacher
from astra.trajectories.judge.stage import JUDGEMENTS, judgements_stage
from astra.trajectories.play.rollouts import (
    ROLLOUTS,
    EpisodeJob,
    HostMaker,
    RolloutOptions,
    episode_jobs,
    rollouts_stage,
)
from astra.trajectories.records import CollectedToolServer, RecordedRollout, TrajectoryTask
from astra.trajectories.tasks.pipeline import TASKS, TaskOptions, make_tasks

SERVERS = "servers"


@dataclass(frozen=True, slots=True)
class PlayingAgent:
    """Who plays."""

    name: str
    model: Callable[[EpisodeJob], Model]
    """The model of one episode."""
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class TrajectoryOptions:
    """What is made, and how it is judged."""

    tasks: TaskOptions
    rollouts: RolloutOptions
    judges: int = 1
    """How often each question of a judge is put."""
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class TrajectoryPipeline:
    """The parts that the line needs."""

    tools: RunFolder
    folder: RunFolder
    teacher: Teacher
    agent: PlayingAgent
    host: HostMaker
    console: Console | None = None
    meter: Callable[[str], StageMeter] = lambda _stage: StageMeter()
    """Stage name -> where what the teacher and the agent cost in it is counted."""

    async def make(self, options: TrajectoryOptions) -> dict[str, StageReport]:
        """Judged trajectories of as many tasks as can be made; the report of each stage."""
        reports = await make_tasks(
            self.tools, self.folder, self.teacher, options.tasks, self.console, self.meter
        )
        reports |= await self.play(options)
        return reports | await self.judge(options)

    async def play(self, options: TrajectoryOptions) -> dict[str, StageReport]:
        """The rollouts of the tasks on record."""
        servers = {server.id: server for server in self.tools.rows(SERVERS, CollectedToolServer)}
        stage = rollouts_stage(
            self.teacher,
            self.agent.model,
            self.host,
            options.rollouts,
            self.meter(ROLLOUTS),
            self.agent.price,
        )
        tasks = self.folder.rows(TASKS, TrajectoryTask)
        number = sum(1 for _ in self.folder.values(TASKS)) * options.rollouts.samples
        report = await run(
            stage,
            episode_jobs(tasks, servers, options.rollouts, self.agent.name),
            self.folder,
            concurrency=options.concurrency,
            total=number,
            console=self.console,
        )
        return {ROLLOUTS: report}

    async def judge(self, options: TrajectoryOptions) -> dict[str, StageReport]:
        """The judgements of the rollouts on record."""
        stage = replace(
            judgements_stage(self.teacher, options.judges), meter=self.meter(JUDGEMENTS)
        )
        report = await run(
            stage,
            self.folder.rows(ROLLOUTS, RecordedRollout),
            self.folder,
            concurrency=options.concurrency,
            total=sum(1 for _ in self.folder.values(ROLLOUTS)),
            console=self.console,
        )
        return {JUDGEMENTS: report}
