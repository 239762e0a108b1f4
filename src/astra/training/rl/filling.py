"""Adaptive batch filling (ASTRA 3.2): every step gets a full batch of groups with a gradient.

A group of rollouts is valid if its rewards differ: Std(R) > δ. A step takes the valid groups that
earlier steps left over, oldest first, and new ones, round by round, until it has n. The rest waits
for the next step; fewer than n ever wait.

When the rounds run out, the newest zero-variance groups fill the batch. The step is then what it
would have been without filling (with δ = 0, their advantages under GRPO are zero).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from astra.errors import StageError


class ScoredGroup(Protocol):
    """The part of a group of rollouts that filling needs."""

    @property
    def rewards(self) -> Sequence[float]: ...

    @property
    def step(self) -> int:
        """Optimizer steps that had made the weights which sampled it."""
        ...


G = TypeVar("G", bound=ScoredGroup)


def reward_std(rewards: Sequence[float]) -> float:
    """Std(R) with Bessel's correction, as in the advantage. 0 for fewer than two rewards."""
    return statistics.stdev(rewards) if len(rewards) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class FilledBatch(Generic[G]):
    """A batch, and the statistics of filling it."""

    groups: tuple[G, ...]
    """n groups: valid ones, oldest first, then zero-variance ones if the rounds ran out."""
    rounds: int
    sampled: int
    """Groups that were sampled for this step."""
    valid: int
    """Valid groups among those."""
    zero_variance: int
    """Zero-variance groups in the batch."""
    waiting: int
    """Groups left over for the next step."""
    ages: tuple[int, ...]
    """Per group: optimizer steps between the weights that sampled it and those it trains."""

    @property
    def valid_share(self) -> float:
        """Fraction of sampled groups that are valid. 0 if none was sampled."""
        return self.valid / self.sampled if self.sampled else 0.0

    def metrics(self) -> dict[str, float]:
        """What a trainer logs of it, by the names of the metrics log."""
        rewards = [reward for group in self.groups for reward in group.rewards]
        return {
            "filling/reward": sum(rewards) / len(rewards),
            "filling/rounds": self.rounds,
            "filling/groups": self.sampled,
            "filling/valid_share": self.valid_share,
            "filling/zero_variance": self.zero_variance,
            "filling/waiting": self.waiting,
            "filling/age_mean": sum(self.ages) / len(self.ages),
            "filling/age_max": max(self.ages),
        }


class BatchFilling(Generic[G]):
    """Fills batches of `size` groups. Use: `add` rounds until `enough`, then `take`."""

    def __init__(
        self, size: int, *, min_reward_std: float = 0.0, max_rounds: int = 8, active: bool = True
    ) -> None:
        """`active`: False takes one round unchanged and keeps nothing for later."""
        self._size = size
        self._min_reward_std = min_reward_std
        self._max_rounds = max_rounds if active else 1
        self._active = active
        self._valid: list[G] = []
        self._zero_variance: list[G] = []
        self._rounds = self._sampled = self._new_valid = 0

    @property
    def waiting(self) -> tuple[G, ...]:
        """The valid groups at hand. Between steps: those left over, fewer than `size`."""
        return tuple(self._valid)

    def restore(self, groups: Iterable[G]) -> None:
        """Restore the groups that waited when a checkpoint was written."""
        self._valid = list(groups)

    def drop_before(self, step: int) -> int:
        """Drop the waiting groups that were sampled before a step. Returns how many there were."""
        before = len(self._valid)
        self._valid = [group for group in self._valid if group.step >= step]
        return before - len(self._valid)

    @property
    def enough(self) -> bool:
        """Whether the batch can be taken: it is full, or the rounds are used up."""
        return len(self._valid) >= self._size or self._rounds >= self._max_rounds

    def needs(self, groups: Sequence[G]) -> int:
        """Groups that this step can use beside these of a round: as many as are missing, at most
        what the rounds leave."""
        valid = len(self._valid) + sum(map(self._is_valid, groups))
        left = (self._max_rounds - self._rounds) * self._size - len(groups)
        return max(0, min(self._size - valid, left))

    def _is_valid(self, group: G) -> bool:
        return reward_std(group.rewards) > self._min_reward_std

    def add(self, groups: Sequence[G]) -> None:
        """Add a round of at most `size` groups."""
        if len(groups) > self._size or self.enough:
            raise ValueError(f"{len(groups)} groups in round {self._rounds}: see `enough`")
        self._rounds += 1
        self._sampled += len(groups)
        for group in groups:
            if self._is_valid(group):
                self._valid.append(group)
                self._new_valid += 1
            else:
                self._zero_variance.append(group)

    def take(self, step: int) -> FilledBatch[G]:
        """The batch of this step. Raises StageError if there are too few groups of any kind."""
        batch = self._valid[: self._size]
        missing = self._size - len(batch)
        if missing > len(self._zero_variance):
            groups = len(batch) + len(self._zero_variance)
            raise StageError(
                f"{groups} groups of rollouts for a batch of {self._size}, after {self._rounds} "
                "rounds: too many rollouts had infrastructure failures (see the metric "
                "'infrastructure_failures')"
            )
        # Not [-missing:], which is the whole list if none is missing.
        fillers = self._zero_variance[len(self._zero_variance) - missing :]
        rest = self._valid[self._size :] if self._active else []
        groups = (*batch, *fillers)
        filled = FilledBatch(
            groups=groups,
            rounds=self._rounds,
            sampled=self._sampled,
            valid=self._new_valid,
            zero_variance=len(fillers),
            waiting=len(rest),
            ages=tuple(step - group.step for group in groups),
        )
        self._valid, self._zero_variance = rest, []
        self._rounds = self._sampled = self._new_valid = 0
        return filled
