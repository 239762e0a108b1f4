"""Stage `rollouts`: tasks to trajectories, each with the recorded answers of its host.

An infrastructure failure (the model's endpoint, a host, the simulated user) becomes an error row,
which the next run tries again; it is never judged. Every other end of an episode is kept, with its
stop reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Literal, Protocol

from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.core.files import read_text_option
from astra.errors import (
    AstraError,
    BudgetExceeded,
    HostError,
    ModelUnavailable,
    Rejected,
)
from astra.hosts.live import server_starts
from astra.hosts.recorded import RecordingHost
from astra.protocols import Model, Sampling, ToolHost
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.runs.stage import Stage
from astra.teacher.prompt import In, Out, Prompt, Teacher
from astra.trajectories.play.simulated_user import SimulatedUser
from astra.trajectories.play.user_scripts import talk_key
from astra.trajectories.reading import ROLLOUTS
from astra.trajectories.records import (
    CollectedToolServer,
    RecordedRollout,
    TrajectoryTask,
    UserScript,
)
from astra.types import Language, Message, StopReason, content_hash

HostKind = Literal["live", "emulator"]

SYSTEM_PROMPTS: Mapping[Language, str] = {
    "en": (
        "You are a helpful assistant with tools. Do what the user asks with their help. Make calls "
        "that do not need each other's results at once, and none that the request does not need. "
        "If something you need is missing, ask for it. When you are done, answer without a call, "
        "with nothing that the tools or the user did not tell you."
    ),
    "zh": (
        "你是一个可以使用工具的助手，请借助工具完成用户的要求。互不依赖的调用可以同时发出，"
        "不要做与要求无关的调用。缺少必要的信息时请询问。完成后不再调用工具，直接回答，"
        "不要说工具和用户都没有告诉你的内容。"
    ),
}
"""Default system prompt of the agent."""


@dataclass(frozen=True, slots=True)
class EpisodeJob:
    """An episode to play."""

    task: TrajectoryTask
    sample: int
    model: str
    host: HostKind
    script: UserScript | None = None
    """What the simulated user says. None: the request is all that is said."""

    @property
    def key(self) -> str:
        """Id of its rollout."""
        return content_hash([self.task.id, self.sample, self.model, self.host])


class HostMaker(Protocol):
    """Makes the host of one episode. Raises HostError."""

    def __call__(self, job: EpisodeJob, teacher: Teacher) -> ToolHost: ...


def episode_jobs(
    tasks: Iterable[TrajectoryTask],
    servers: Mapping[str, CollectedToolServer],
    config: MakeTrajectoriesConfig,
    model: str,
    scripts: Mapping[str, UserScript] | None = None,
) -> Iterator[EpisodeJob]:
    """All episodes of the tasks, in order.

    `scripts`: what simulated users say, by key of the talk. An episode whose user must speak more
    than once and has no script is left out.
    """
    for task in tasks:
        kind = config.hosts
        if kind == "auto":
            owners = [servers.get(server) for server in task.servers]
            live = all(server is not None and server.connection is not None for server in owners)
            kind = "live" if live else "emulator"
        for sample in range(config.samples):
            script = (scripts or {}).get(talk_key(task, sample))
            if script is not None or config.min_user_turns == 1:
                yield EpisodeJob(task, sample, model, kind, script)


def rollouts_stage(
    teacher: Teacher,
    model: Callable[[EpisodeJob], Model],
    host: HostMaker,
    config: MakeTrajectoriesConfig,
) -> Stage[EpisodeJob, RecordedRollout]:
    """Tasks to recorded rollouts.

    `teacher`: plays emulated services and simulated users. `model`: bills its own replies (see
    `RecordingModel`).
    """
    prompts = system_prompts(config.system_prompt)
    sampling = Sampling(
        temperature=config.temperature, max_tokens=config.max_tokens, seed=config.seed
    )
    limits = RolloutLimits(
        turns=config.max_turns,
        episode_tokens=config.max_agent_tokens,
        seconds=config.episode_timeout,
        sampling=sampling,
    )

    async def work(job: EpisodeJob) -> RecordedRollout:
        task = job.task
        watched = _BudgetWatch(teacher)
        recording = RecordingHost(host(job, watched))
        user, opening = None, task.request
        if job.script is not None:
            user = SimulatedUser(task, job.script, watched, max_turns=config.max_user_turns)
            opening = job.script.opening
        messages = [Message(role="user", content=opening)]
        if system := prompts.get(task.language):
            messages.insert(0, Message(role="system", content=system))
        start = RolloutTask(task.id, tuple(messages), job.sample)
        trajectory = await rollout(start, model(job), recording, limits, user)
        # Before the stop reason: it would only say that the host or the user failed.
        if watched.exceeded is not None:
            raise watched.exceeded
        match trajectory.stop:
            case StopReason.model_error:
                raise ModelUnavailable(trajectory.error)
            case StopReason.host_error:
                raise HostError(trajectory.error)
            case StopReason.internal_error:
                raise AstraError(trajectory.error)
            case stop if not trajectory.turns:
                raise Rejected("no_message", f"it ended by {stop.value} before any message")
            case _:
                pass
        return RecordedRollout(
            id=job.key,
            task=task,
            sample=job.sample,
            model=job.model,
            host=job.host,
            tools=tuple(recording.tools()),
            trajectory=trajectory,
            recording=recording.recording,
            script=job.script,
            starts=server_starts(recording),
        )

    return Stage(ROLLOUTS, work, stored_key=itemgetter("id"))


def system_prompts(file: Path | str | None) -> Mapping[Language, str]:
    """The system prompt by language: the file's for all, none if it is empty, or the built-in."""
    text = read_text_option(file, "system_prompt")
    if text is None:
        return SYSTEM_PROMPTS
    return {"en": text, "zh": text} if text.strip() else {}


class _BudgetWatch:
    """A teacher that remembers when its budget is exceeded.

    The rollout loop records every error as the end of one episode; this one has to end the run.
    """

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self.exceeded: BudgetExceeded | None = None

    @property
    def name(self) -> str:
        return self._teacher.name

    async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
        try:
            return await self._teacher.ask(prompt, task, index=index)
        except BudgetExceeded as exceeded:
            self.exceeded = exceeded
            raise
