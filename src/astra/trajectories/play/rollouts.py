"""Stage `rollouts`: tasks to trajectories, each with the recorded answers of its host.

An infrastructure failure (the model's endpoint, a host, the simulated user) becomes an error row,
which the next run tries again; it is never judged. Every other end of an episode is kept, with its
stop reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from astra.errors import AstraError, BudgetExceeded, HostError, ModelUnavailable, Rejected
from astra.hosts.recorded import RecordingHost
from astra.protocols import Model, ToolHost
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.runs.cost import StageMeter
from astra.runs.stage import Stage
from astra.teacher.cost import Price
from astra.teacher.prompt import In, Out, Prompt, Teacher
from astra.trajectories.play.simulated_user import SimulatedUser
from astra.trajectories.records import CollectedToolServer, RecordedRollout, TrajectoryTask
from astra.types import Json, Language, Message, StopReason, content_hash

ROLLOUTS = "rollouts"
HostKind = Literal["live", "emulator"]
HostChoice = Literal["auto", "live", "emulator"]
"""`auto`: live if all servers of a task have a connection, else emulated."""

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

    @property
    def key(self) -> str:
        """Id of its rollout."""
        return content_hash([self.task.id, self.sample, self.model, self.host])


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """How tasks are played."""

    samples: int = 1
    """Episodes per task."""
    hosts: HostChoice = "auto"
    system: Mapping[Language, str] = field(default_factory=lambda: dict(SYSTEM_PROMPTS))
    """System prompt by language; a missing language gets none."""
    limits: RolloutLimits = field(default_factory=RolloutLimits)
    simulate: bool = False
    """Whether a teacher plays the user, who says piece by piece what they want."""
    failure_rate: float = 0.20
    """Fraction of emulated calls that fail."""
    seed: int = 0
    """Decides which emulated calls fail and how simulated users behave."""

    def config(self) -> dict[str, Json]:
        """What decides the rollouts, for `config.toml`."""
        limits = self.limits
        return {
            "samples": self.samples,
            "hosts": self.hosts,
            "system": dict(self.system),
            "user": "simulate" if self.simulate else None,
            "failure_rate": self.failure_rate,
            "turns": limits.turns,
            "episode_tokens": limits.episode_tokens,
            "seconds": limits.seconds,
            "temperature": limits.sampling.temperature,
            "max_tokens": limits.sampling.max_tokens,
        }


class HostMaker(Protocol):
    """Makes the host of one episode. Raises HostError."""

    def __call__(self, job: EpisodeJob, teacher: Teacher) -> ToolHost: ...


def episode_jobs(
    tasks: Iterable[TrajectoryTask],
    servers: Mapping[str, CollectedToolServer],
    options: RolloutOptions,
    model: str,
) -> Iterator[EpisodeJob]:
    """All episodes of the tasks, in order."""
    for task in tasks:
        kind = options.hosts
        if kind == "auto":
            owners = [servers.get(server) for server in task.servers]
            live = all(server is not None and server.connection is not None for server in owners)
            kind = "live" if live else "emulator"
        for sample in range(options.samples):
            yield EpisodeJob(task, sample, model, kind)


def rollouts_stage(
    teacher: Teacher,
    model: Callable[[EpisodeJob], Model],
    host: HostMaker,
    options: RolloutOptions,
    meter: StageMeter,
    price: Price | None = None,
) -> Stage[EpisodeJob, RecordedRollout]:
    """`teacher`: plays emulated services and simulated users. `price`: of the agent's model."""

    async def work(job: EpisodeJob) -> RecordedRollout:
        task = job.task
        watched = _BudgetWatch(teacher)
        recording = RecordingHost(host(job, watched))
        user, opening = None, task.request
        if options.simulate:
            user = SimulatedUser(task, watched, sample=job.sample, seed=options.seed)
            opening = await user.open()
        messages = [Message(role="user", content=opening)]
        if system := options.system.get(task.language):
            messages.insert(0, Message(role="system", content=system))
        start = RolloutTask(task.id, tuple(messages), job.sample)
        trajectory = await rollout(start, model(job), recording, options.limits, user)
        usage = trajectory.usage
        meter.add(usage, 0.0 if price is None else price.of(usage))
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
        )

    return Stage(
        name=ROLLOUTS,
        work=work,
        key=lambda job: job.key,
        stored_key=lambda row: row["id"],
        meter=meter,
    )


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
