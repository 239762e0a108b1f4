"""Arenas as an environment of RL."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from types import TracebackType
from typing import Self

from astra.arenas.sets import ArenaSet
from astra.configs.training import TruncatedReward
from astra.engines.episode import ClosingHost, EngineEpisode
from astra.episodes import Score
from astra.errors import StageError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.models.closings import answer_text
from astra.protocols import Sandbox
from astra.rewards import Reward, RewardFunction, score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.training.environment import RolloutOutcome
from astra.training.rl.rollout_metrics import TRUNCATED
from astra.types import Arena


class ArenaRollouts:
    """A `RolloutEnvironment` over a set of arenas. Enter it before playing."""

    def __init__(
        self,
        arenas: ArenaSet,
        sandbox: Callable[[], AbstractAsyncContextManager[Sandbox]],
        limits: RolloutLimits,
        *,
        reward: Reward | RewardFunction = "f1",
        system_prompt: str | None = None,
        truncated: TruncatedReward | None = None,
    ) -> None:
        """`system_prompt`: None is the built-in one in the language of the question.

        `truncated`: "zero" takes back what an episode earned that a limit cut short.
        """
        self._open_sandbox = sandbox
        self._limits = limits
        self._reward: Reward | RewardFunction = reward
        self._system_prompt = system_prompt
        self._truncated = truncated
        self._context: AbstractAsyncContextManager[Sandbox] | None = None
        self._sandbox: Sandbox | None = None
        # A group plays its arena several times with the same distractors.
        self._in_epoch = lru_cache(maxsize=256)(arenas.in_epoch)
        self.arenas: Mapping[str, Arena] = {
            arena.id: arena for arena in arenas.with_distractors("stored")
        }

    async def __aenter__(self) -> Self:
        self._context = self._open_sandbox()
        self._sandbox = await self._context.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._context is not None:
            await self._context.__aexit__(kind, error, trace)

    def tasks(self) -> Sequence[str]:
        return list(self.arenas)

    def difficulty(self, task: str) -> int:
        """Number of sub-questions."""
        return self.arenas[task].hops

    def answer(self, task: str) -> str:
        return answer_text(self.arenas[task].answer)

    async def play(
        self, task: str, model: EngineEpisode, *, seed: int, epoch: int
    ) -> RolloutOutcome:
        if self._sandbox is None:
            raise StageError("no sandbox is open: use `async with` on the environment")
        arena = self._in_epoch(task, epoch)
        host = ArenaHost(arena, self._sandbox, seed=seed)
        start = RolloutTask(task, arena_messages(arena, self._system_prompt))
        trajectory = await rollout(
            start, model, ClosingHost(host, model), self._limits, arena_user(arena, host)
        )
        if trajectory.infrastructure_failure:
            return RolloutOutcome(0.0, trajectory)
        result = score_trajectory(arena, trajectory, self._reward)
        if self._truncated == "zero" and trajectory.stop in TRUNCATED:
            result = without_reward(result)
        return RolloutOutcome(result.reward, trajectory, result)


def without_reward(score: Score) -> Score:
    """The same score with a reward of 0. The last turn loses what the earlier ones had earned, so
    that increments still sum to the reward."""
    earned = score.increments
    if earned:
        earned = (*earned[:-1], -math.fsum(earned[:-1]))
    return score.model_copy(update={"reward": 0.0, "increments": earned})
