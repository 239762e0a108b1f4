"""From a folder of tools to judged trajectories, resumable.

`tasks` (with the stages before it) → `talks` (with simulated users) → `rollouts` → `judgements`,
one after the other in one run
folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console

from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.protocols import Model
from astra.runs.folder import RunFolder
from astra.runs.runner import StageRunner
from astra.runs.stage import StageReport
from astra.teacher.prompt import Teacher
from astra.trajectories.judge.stage import judgements_stage
from astra.trajectories.play.rollouts import (
    ROLLOUTS,
    EpisodeJob,
    HostMaker,
    episode_jobs,
    rollouts_stage,
)
from astra.trajectories.play.user_scripts import (
    TALKS,
    PlannedUserScript,
    TalkRequest,
    talks_stage,
    user_turns,
)
from astra.trajectories.records import (
    CollectedToolServer,
    RecordedRollout,
    TrajectoryTask,
    UserScript,
)
from astra.trajectories.tasks.server_groups import ServerGroup, group_of
from astra.trajectories.tasks.task_maker import TASKS, make_tasks

SERVERS = "servers"
TRIAL = "trial"
"""Stands for the model in episodes in which servers are probed and plans are tried."""


@dataclass(frozen=True, slots=True)
class TrajectoryAgent:
    """The model that carries out the tasks."""

    name: str
    model: Callable[[EpisodeJob], Model]
    """The model of one episode. It bills its own replies."""


@dataclass(frozen=True, slots=True)
class TrajectoryPipeline:
    """Makes tasks, plays them, and judges the rollouts."""

    tools: RunFolder
    folder: RunFolder
    teacher: Teacher
    agent: TrajectoryAgent
    host: HostMaker
    config: MakeTrajectoriesConfig
    console: Console | None = None

    async def run(self) -> dict[str, StageReport]:
        """Judged trajectories of at most `count` tasks; the report of each stage."""
        config = self.config
        reports = await make_tasks(
            self.tools,
            self.folder,
            self.teacher,
            config,
            self.console,
            host=lambda task: self.host(EpisodeJob(task, 0, TRIAL, "live"), self.teacher),
        )
        runner = StageRunner(self.folder, config.concurrency, self.console, reports=reports)
        servers = {server.id: server for server in self.tools.rows(SERVERS, CollectedToolServer)}
        scripts = await self._scripts(runner, servers) if config.user == "simulated" else {}
        jobs = episode_jobs(
            self.folder.rows(TASKS, TrajectoryTask), servers, config, self.agent.name, scripts
        )
        stage = rollouts_stage(self.teacher, self.agent.model, self.host, config)
        tasks = sum(1 for _ in self.folder.values(TASKS))
        await runner.run(stage, jobs, total=tasks * config.samples)
        await runner.run(
            judgements_stage(self.teacher, config.judge_votes),
            self.folder.rows(ROLLOUTS, RecordedRollout),
            total=sum(1 for _ in self.folder.values(ROLLOUTS)),
        )
        return runner.reports

    async def _scripts(
        self, runner: StageRunner, servers: Mapping[str, CollectedToolServer]
    ) -> dict[str, UserScript]:
        """What the simulated users say who speak more than once, by key of the talk."""
        groups: dict[tuple[str, ...], ServerGroup] = {}
        requests: list[TalkRequest] = []
        for task in self.folder.rows(TASKS, TrajectoryTask):
            if task.servers not in groups:
                groups[task.servers] = group_of([servers[one] for one in task.servers])
            for sample in range(self.config.samples):
                turns = user_turns(task, sample, self.config)
                if turns > 1:
                    requests.append(TalkRequest(task, sample, groups[task.servers], turns))
        stage = talks_stage(self.teacher, self.config.seed)
        await runner.run(stage, requests, total=len(requests))
        return {row.key: row.script for row in self.folder.rows(TALKS, PlannedUserScript)}
