"""Estimates for `--dry-run`: the pipeline runs by rule, and its prompts are counted, not sent.

What this does not guarantee: that a model's answers lead to the same prompts. The agent's tokens
are not part of an estimate.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from astra.configs.base import TeacherConfig
from astra.configs.tools import CollectToolsConfig
from astra.configs.trajectories import (
    JudgeTrajectoriesConfig,
    MakeTrajectoriesConfig,
    ProbeUserConfig,
)
from astra.runs.folder import RunFolder
from astra.teacher.cost import Estimate, Estimator
from astra.teacher.opening import RULES, model_price
from astra.teacher.prompt import In, Out, Prompt, Teacher
from astra.teacher.prompts.chains import PROPOSE_CHAINS
from astra.teacher.render import PromptTemplates
from astra.trajectories.collect.stages import collect
from astra.trajectories.judge.judge import judge
from astra.trajectories.make import SCRIPTED, run_pipeline
from astra.trajectories.play.user_probes import probe_user
from astra.trajectories.reading import read_rollouts
from astra.trajectories.teachers import trajectory_teacher

SAMPLE = 10
"""Tasks that are made by rule; their prompts stand for all tasks."""


class _CountingTeacher:
    """Answers by rule, and counts what the prompts would cost a model."""

    def __init__(self, rules: Teacher, config: TeacherConfig, times: float = 1.0) -> None:
        """`times`: how often each prompt counts, except those of a server."""
        self._rules = rules
        self._times = times
        folder = Path(config.prompt_templates) if config.prompt_templates else None
        templates = PromptTemplates(folder) if folder else PromptTemplates()
        price = model_price(config.prices, config.teacher) if config.teacher else None
        self._once, self._scaled = Estimator(templates, price), Estimator(templates, price)

    @property
    def name(self) -> str:
        return self._rules.name

    async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
        # Chains are proposed per server, however many tasks are wanted.
        of_server = prompt.name == PROPOSE_CHAINS.name
        (self._once if of_server else self._scaled).add(prompt, task)
        return await self._rules.ask(prompt, task, index=index)

    def estimate(self) -> Estimate:
        once, scaled = self._once.result(), self._scaled.result()
        usage = scaled.usage.model_copy(
            update={
                name: round(getattr(scaled.usage, name) * self._times)
                for name in ("prompt_tokens", "completion_tokens")
            }
        )
        money = None
        if once.money is not None and scaled.money is not None:
            money = once.money + scaled.money * self._times
        requests = once.requests + round(scaled.requests * self._times)
        return Estimate(requests=requests, usage=once.usage + usage, money=money)


@asynccontextmanager
async def _counting(
    config: TeacherConfig, folder: RunFolder, seed: int, times: float = 1.0
) -> AsyncGenerator[_CountingTeacher]:
    by_rule = replace(config, teacher=RULES, teacher_url=None)
    async with trajectory_teacher(by_rule, folder, seed=seed) as rules:
        yield _CountingTeacher(rules, config, times)


async def estimate_collection(config: CollectToolsConfig) -> Estimate:
    """The cost of naming domains. Live servers are asked for their tools."""
    with tempfile.TemporaryDirectory(prefix="astra-") as path:
        folder = RunFolder.create(path, {})
        async with _counting(config, folder, config.seed) as teacher:
            await collect(config, folder, None if config.teacher is None else teacher)
            return teacher.estimate()


async def estimate_judging(config: JudgeTrajectoriesConfig) -> Estimate:
    """The cost of judging all rollouts of a run folder."""
    folder = RunFolder.open(config.run)
    async with _counting(config, folder, config.seed) as teacher:
        for rollout in read_rollouts(folder):
            await judge(rollout, teacher, config.judge_votes)
        return teacher.estimate()


async def estimate_probes(config: ProbeUserConfig) -> Estimate:
    """The cost of probing a simulated user."""
    with tempfile.TemporaryDirectory(prefix="astra-") as path:
        folder = RunFolder.create(path, {})
        async with _counting(config, folder, config.seed) as teacher:
            await probe_user(teacher, config.repeats)
            return teacher.estimate()


async def estimate_trajectories(config: MakeTrajectoriesConfig) -> Estimate:
    """The teacher's cost of tasks, emulated services, simulated users and judgements."""
    count = min(config.count, SAMPLE)
    # A dry run starts no server and asks no endpoint.
    sample = replace(
        config, count=count, model=SCRIPTED, base_url=None, hosts="emulator", progress=False
    )
    with tempfile.TemporaryDirectory(prefix="astra-") as path:
        folder = RunFolder.create(path, {})
        async with _counting(config, folder, config.seed, config.count / count) as teacher:
            await run_pipeline(sample, folder, teacher)
            return teacher.estimate()
