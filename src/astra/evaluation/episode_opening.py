"""Opening the episodes of an evaluation, in this process or on workers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from astra.errors import WorkerLost
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import ArenaUser, UserReplyKind, arena_user
from astra.protocols import Model, Sandbox, ToolHost
from astra.rollouts.episodes import PlayedConversation
from astra.rollouts.loop import (
    RolloutJob,
    RolloutLimits,
    RolloutLog,
    RolloutTask,
    in_order,
    rollout,
)
from astra.runs.executor import Executor, at_once
from astra.types import Arena, StopReason, Trajectory

ModelFactory = Callable[[Arena, int], Model | PlayedConversation]
"""The model for a sample of an arena: one for all, a policy that knows the arena, or a conversation
of a local model."""


@dataclass(frozen=True, slots=True)
class EpisodeOpening:
    """What all episodes of an evaluation are opened with."""

    player: ModelFactory
    sandbox: Sandbox
    seed: int
    system_prompt: str | None
    user: Model | None

    def job(self, arena: Arena, sample: int) -> tuple[RolloutJob, ArenaUser | None]:
        """An episode, and the user who answers in it."""
        own = ArenaHost(arena, self.sandbox, seed=self.seed, sample=sample)
        answering = arena_user(arena, own, self.user)
        host: ToolHost = own
        model = self.player(arena, sample)
        if isinstance(model, PlayedConversation):
            host, model = model.enclosed(host), model.model()
        task = RolloutTask(arena.id, arena_messages(arena, self.system_prompt), sample)
        return RolloutJob(task, model, host, answering), answering


Replies = dict[UserReplyKind, int]
"""As in a `PlayedEpisode`."""


async def spread_play(
    places: Iterator[tuple[Arena, int]],
    opening: EpisodeOpening,
    limits: RolloutLimits,
    concurrency: int,
    executor: Executor,
) -> AsyncGenerator[tuple[Arena, Trajectory, Replies]]:
    """Play episodes on workers and yield them in their order.

    `concurrency`: episodes at once, or more if that leaves workers idle.
    """

    async def played(place: tuple[Arena, int]) -> tuple[Arena, Trajectory, Replies]:
        arena, sample = place
        try:
            return arena, *(
                await executor.call_waiting(play_episode, arena, sample, opening, limits)
            )
        except WorkerLost as error:
            return arena, _not_played(arena, sample, opening, error), {}

    async with aclosing(
        in_order(places, played, concurrency=at_once(concurrency, executor))
    ) as done:
        async for episode in done:
            yield episode


async def play_episode(
    arena: Arena, sample: int, opening: EpisodeOpening, limits: RolloutLimits
) -> tuple[Trajectory, Replies]:
    """Play an episode, on a worker."""
    job, answering = opening.job(arena, sample)
    trajectory = await rollout(job.task, job.model, job.host, limits, job.user)
    return trajectory, {} if answering is None else dict(answering.replies)


def _not_played(
    arena: Arena, sample: int, opening: EpisodeOpening, error: WorkerLost
) -> Trajectory:
    """The record of an episode that no worker could finish: never scored."""
    messages = arena_messages(arena, opening.system_prompt)
    task = RolloutTask(arena.id, messages, sample)
    return RolloutLog(list(messages)).trajectory(task, StopReason.host_error, str(error))
