"""Scored episodes: a trajectory, its reward, and the tokens that a local model sampled."""

from __future__ import annotations

from astra.types import Record, Trajectory


class Score(Record):
    """The reward of an episode and its parts (ASTRA paper, trajectory-level reward)."""

    goals: int
    """n: goals with a call."""
    solved: int
    """n̂: goals solved."""
    calls: int
    """c: calls made, failed ones included, but for those that met a transient fault."""
    recall: float
    precision: float
    f1: float
    reward: float
    """The one of recall, precision, F1 that was selected."""
    increments: tuple[float, ...] = ()
    """Reward after turn k minus before it, per turn; sums to `reward`."""
    solved_by: dict[str, str] = {}
    """Goal id -> id of the call that solved it."""
    answer_correct: bool | None = None
    """The final answer under the arena's answer target; None: not asked. Not in the reward."""
    waste: int = 0
    """w: calls that helped nothing, in an arena with a state."""
    damage: int = 0
    """Rows changed beyond what was asked for, in an arena with a state."""


class Tokens(Record):
    """The tokens of an episode that a local model played, prompt first."""

    ids: tuple[int, ...]
    policy_mask: tuple[bool, ...]
    """Whether the model wrote the token."""
    logprobs: tuple[float, ...]
    """At sampling time, under the temperature's distribution. 0.0 outside the mask."""


class Episode(Record):
    """A trajectory with its score, and with the sampled tokens if the model ran locally."""

    arena: str | None
    """Id of the arena. None for tasks that are not arenas."""
    sample: int = 0
    trajectory: Trajectory
    score: Score | None
    """None for hosts without goals, and after an infrastructure failure."""
    tokens: Tokens | None = None

    @property
    def reward(self) -> float:
        """The selected reward. Raises ValueError for an episode that was not scored."""
        if self.score is None:
            why = self.trajectory.error or "its task has no goals"
            raise ValueError(f"the episode of {self.trajectory.task!r} has no score: {why}")
        return self.score.reward
