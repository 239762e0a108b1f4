"""Adaptive batch filling (ASTRA 3.2): every step sees a full batch of groups that teach something.

A group of rollouts is valid when its rewards differ: Std(R) > δ. A step takes the valid groups
that earlier steps left over, oldest first, and new ones, round by round, until it has n; what is
too much waits for the next step. Fewer than n ever wait.

What is done when the rounds run out: the places that are left are taken by the newest flat
groups. The step is then what it would have been without filling (with δ = 0, their advantages under
GRPO are zero).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from astra.errors import StageError


class ScoredGroup(Protocol):
    """A group of rollouts, as far as filling cares."""

    @property
    def rewards(self) -> Sequence[float]: ...

    @property
    def step(self) -> int:
        """The step that sampled it."""
        ...


G = TypeVar("G", bound=ScoredGroup)


def spread(rewards: Sequence[float]) -> float:
    """Std(R) with Bessel's correction, as in the advantage; 0 for fewer than two."""
    return statistics.stdev(rewards) if len(rewards) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class FilledBatch(Generic[G]):
    """A batch, and how it came about."""

    groups: tuple[G, ...]
    """n of them: the valid ones, oldest first, then flat ones if the rounds ran out."""
    rounds: int
    sampled: int
    """Groups that were sampled for this step."""
    valid: int
    """How many of those are valid."""
    flat: int
    """Places taken by flat groups."""
    waiting: int
    """Groups left over for the next step."""
    ages: tuple[int, ...]
    """Per group: steps since it was sampled."""

    @property
    def valid_share(self) -> float:
        """Valid groups per sampled one; 0 for none."""
        return self.valid / self.sampled if self.sampled else 0.0


class BatchFilling(Generic[G]):
    """Fills batches of `places` groups. Use: `add` rounds while not `enough`, then `take`."""

    def __init__(
        self, places: int, *, threshold: float = 0.0, rounds: int = 8, active: bool = True
    ) -> None:
        """`active`: False takes one round as it comes and keeps nothing."""
        self._places = places
        self._threshold = threshold
        self._most_rounds = rounds if active else 1
        self._active = active
        self._valid: list[G] = []
        self._flat: list[G] = []
        self._rounds = self._sampled = self._new_valid = 0

    @property
    def waiting(self) -> tuple[G, ...]:
        """The valid groups at hand. Between steps: those left over, fewer than `places`."""
        return tuple(self._valid)

    def restore(self, groups: Iterable[G]) -> None:
        """Put back what waited when a checkpoint was written."""
        self._valid = list(groups)

    @property
    def enough(self) -> bool:
        """Whether the batch can be taken: it is full, or no further round is allowed."""
        return len(self._valid) >= self._places or self._rounds >= self._most_rounds

    def add(self, groups: Sequence[G]) -> None:
        """Add a round of at most `places` groups."""
        if len(groups) > self._places or self.enough:
            raise ValueError(f"{len(groups)} groups in round {self._rounds}: see `enough`")
        self._rounds += 1
        self._sampled += len(groups)
        for group in groups:
            if spread(group.rewards) > self._threshold:
                self._valid.append(group)
                self._new_valid += 1
            else:
                self._flat.append(group)

    def take(self, step: int) -> FilledBatch[G]:
        """The batch of this step; raises StageError when even flat groups are too few."""
        batch = self._valid[: self._places]
        missing = self._places - len(batch)
        if missing > len(self._flat):
            raise StageError(
                f"{len(batch) + len(self._flat)} groups of rollouts for a batch of {self._places}, "
                f"after {self._rounds} rounds: too many rollouts broke on our side; the metrics "
                "say how many"
            )
        flat = self._flat[len(self._flat) - missing :]
        left = self._valid[self._places :] if self._active else []
        groups = (*batch, *flat)
        filled = FilledBatch(
            groups=groups,
            rounds=self._rounds,
            sampled=self._sampled,
            valid=self._new_valid,
            flat=len(flat),
            waiting=len(left),
            ages=tuple(step - group.step for group in groups),
        )
        self._valid, self._flat = left, []
        self._rounds = self._sampled = self._new_valid = 0
        return filled
