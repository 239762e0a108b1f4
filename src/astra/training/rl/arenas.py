"""Arenas as an environment of RL."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from astra.arenas.sets import ArenaSet
from astra.configs.spelling import option_name
from astra.configs.training import TruncatedReward
from astra.engines.episode import ClosingHost, EngineEpisode
from astra.episodes import Score
from astra.errors import ConfigError, StageError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.models.closings import answer_text
from astra.protocols import Sandbox
from astra.rewards import Reward, RewardFunction, score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.runs.jsonl import read_lines
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


def unseen(arenas: ArenaSet, rows: Path | str) -> ArenaSet:
    """The arenas that a file of SFT rows (`arenas export --format sft`) does not show.

    Raises ConfigError for rows without the id of an arena, and for rows that show none of these
    arenas or all of them: then the file is of another folder, or nothing is left to play.
    """
    where = f"{option_name('exclude_rows')} {str(rows)!r}"
    seen: set[str] = set()
    try:
        with Path(rows).open("rb") as file:
            for offset, line in read_lines(file, Path(rows)):
                row: Any = json.loads(line)
                if not isinstance(row, dict) or not isinstance(row.get("arena"), str):
                    raise ConfigError(
                        f"{where}: the row at byte {offset} has no `arena`: give rows that "
                        "`arenas export --format sft` wrote"
                    )
                seen.add(row["arena"])
    except OSError as error:
        raise ConfigError(f"{where}: can't read it: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{where}: not JSONL ({error})") from error
    left = arenas.filter(lambda arena: arena.id not in seen)
    if len(left) == len(arenas):
        raise ConfigError(f"{where}: shows none of the arenas in {str(arenas.path)!r}")
    if not left:
        raise ConfigError(
            f"{where}: shows all {len(arenas)} arenas in {str(arenas.path)!r}: export fewer "
            f"({option_name('limit')})"
        )
    return left


def without_reward(score: Score) -> Score:
    """The same score with a reward of 0. The last turn loses what the earlier ones had earned, so
    that increments still sum to the reward."""
    earned = score.increments
    if earned:
        earned = (*earned[:-1], -math.fsum(earned[:-1]))
    return score.model_copy(update={"reward": 0.0, "increments": earned})
