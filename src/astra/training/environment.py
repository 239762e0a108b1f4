"""What RL trains on: tasks that a policy plays for a reward."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from astra.engines.episode import EngineEpisode
from astra.episodes import Score
from astra.types import Trajectory


class RolloutOutcome(NamedTuple):
    """The result of one rollout. A trajectory that ended in an infrastructure failure is never
    rewarded: it is played again, and left out if it fails again."""

    reward: float
    trajectory: Trajectory | None = None
    """None for single-turn tasks."""
    score: Score | None = None
    """Goals solved step by step, for credit assignment. None without goals."""


class RolloutEnvironment(Protocol):
    """Anything that RL can train on: arenas, problems, own games.

    An environment that is an async context manager is entered before its first rollout and left
    after its last one. It may also have `difficulty` and `answer` (see `HasDifficulty`,
    `HasAnswers`).
    """

    def tasks(self) -> Sequence[str]:
        """Ids of all tasks. The rollouts of one task in a step form a group."""
        ...

    def play(
        self, task: str, model: EngineEpisode, *, seed: int, epoch: int
    ) -> Awaitable[RolloutOutcome]:
        """Play a task once with `model`, the policy in a conversation of its own.

        `model` records the tokens; the run's temperature and message limit apply where a request
        leaves them None. `epoch`: how often the run has gone through the tasks, for tasks that
        vary.
        An AstraError raised here counts as an infrastructure failure.
        """
        ...


@runtime_checkable
class HasDifficulty(Protocol):
    """An environment whose tasks differ in difficulty, for curricula."""

    def difficulty(self, task: str) -> int: ...


@runtime_checkable
class HasAnswers(Protocol):
    """An environment that knows the right answers, for attribution by likelihood."""

    def answer(self, task: str) -> str:
        """The right answer as text. Empty if it is not known."""
        ...
