"""The whole line: from a folder of tools to judged trajectories, resumable.

`tasks` (and what comes before it) → `rollouts` → `judgements`, one after the other in one run
folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from astra.ports import Model
from astra.stage import Meter, StageReport, run
from astra.store import RunFolder
from astra.teacher.cost import Price
from astra.teacher.prompt import Teacher
from astra.trajectories.judge.stage import JUDGEMENTS, judgements_stage
from astra.trajectories.pipeline_tasks import TASKS, TaskOptions, make_tasks
from astra.trajectories.records import Rollout, Server, Task
from astra.trajectories.rollouts import (
    ROLLOUTS,
    HostMaker,
    Job,
    RolloutOptions,
    jobs,
    rollouts_stage,
)

SERVERS = "servers"


@dataclass(frozen=True, slots=True)
class Agent:
    """Who plays."""

    name: str
    model: Callable[[Job], Model]
    """The model of one episode."""
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class LineOptions:
    """What is made, and how it is judged."""

    tasks: TaskOptions
    rollouts: RolloutOptions
    judges: int = 1
    """How often each question of a judge is put."""
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class Line:
    """The parts that the line needs."""

    tools: RunFolder
    folder: RunFolder
    teacher: Teacher
    agent: Agent
    host: HostMaker
    console: Console | None = None
    meter: Callable[[str], Meter] = lambda _stage: Meter()
    """Stage name -> where what the teacher and the agent cost in it is counted."""

    async def make(self, options: LineOptions) -> dict[str, StageReport]:
        """Judged trajectories of as many tasks as can be made; the report of each stage."""
        reports = await make_tasks(
            self.tools, self.folder, self.teacher, options.tasks, self.console, self.meter
        )
        reports |= await self.play(options)
        return reports | await self.judge(options)

    async def play(self, options: LineOptions) -> dict[str, StageReport]:
        """The rollouts of the tasks on record."""
        servers = {server.id: server for server in self.tools.rows(SERVERS, Server)}
        stage = rollouts_stage(
            self.teacher,
            self.agent.model,
            self.host,
            options.rollouts,
            self.meter(ROLLOUTS),
            self.agent.price,
        )
        tasks = self.folder.rows(TASKS, Task)
        number = sum(1 for _ in self.folder.values(TASKS)) * options.rollouts.samples
        report = await run(
            stage,
            jobs(tasks, servers, options.rollouts, self.agent.name),
            self.folder,
            concurrency=options.concurrency,
            total=number,
            console=self.console,
        )
        return {ROLLOUTS: report}

    async def judge(self, options: LineOptions) -> dict[str, StageReport]:
        """The judgements of the rollouts on record."""
        stage = judgements_stage(self.teacher, options.judges, self.meter(JUDGEMENTS))
        report = await run(
            stage,
            self.folder.rows(ROLLOUTS, Rollout),
            self.folder,
            concurrency=options.concurrency,
            total=sum(1 for _ in self.folder.values(ROLLOUTS)),
            console=self.console,
        )
        return {JUDGEMENTS: report}
