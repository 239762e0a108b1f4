"""What the teacher server does wrong on purpose, and when."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from astra.errors import ConfigError


class TeacherServerFault(StrEnum):
    """A way in which a request goes wrong."""

    rate_limited = "rate_limited"
    """429 with `Retry-After`."""
    server_error = "server_error"
    """500."""
    reset = "reset"
    """The connection is torn down without an answer."""
    timeout = "timeout"
    """Nothing comes for `hold` seconds, then the connection is closed."""
    truncated = "truncated"
    """Half of the announced body, then the end."""
    malformed_json = "malformed_json"
    """A whole answer whose content is the first half of the JSON."""
    wrong_schema = "wrong_schema"
    """A whole answer whose content is JSON that was not asked for."""
    empty = "empty"
    """A whole answer without content."""
    refusal = "refusal"
    """A whole answer that refuses."""
    huge = "huge"
    """10 MiB of content."""
    slow = "slow"
    """The right answer, spread over `hold` seconds."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How often requests go wrong. Raises ConfigError for a rate that can't be.

    What happens depends on the seed, the task and the number of times that it was asked alone.
    """

    rate: float = 0.0
    """Share of requests; 1: all."""
    seed: int = 0
    kinds: Sequence[TeacherServerFault] = tuple(TeacherServerFault)
    in_a_row: int = 2
    """Most faults one after the other for the same task, unless the rate is 1: so that a client
    with three attempts always gets an answer."""
    hold: float = 2.0
    """Seconds of `timeout` and `slow`."""
    retry_after: float = 1.0
    """Seconds that `rate_limited` asks to wait."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ConfigError(f"the rate of faults {self.rate!r} is not between 0 and 1")
        if self.rate and not self.kinds:
            raise ConfigError("no kinds of fault are given: name at least one, or a rate of 0")

    def fault(self, task: str, attempt: int, behind: int) -> TeacherServerFault | None:
        """What goes wrong with the `attempt`-th request of a task, after `behind` faults."""
        # By task and attempt, not by arrival: with many clients the order of arrival is chance.
        rng = random.Random(f"{self.seed}:{task}:{attempt}")
        if rng.random() >= self.rate or (behind >= self.in_a_row and self.rate < 1):
            return None
        return rng.choice(list(self.kinds))


class FaultCounter:
    """Which fault is due, over all requests of a server."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.committed: Counter[TeacherServerFault] = Counter()
        self._asked: Counter[str] = Counter()
        self._row: Counter[str] = Counter()

    def next(self, task: str) -> TeacherServerFault | None:
        """What goes wrong with the next request of a task; None: nothing."""
        fault = self.plan.fault(task, self._asked[task], self._row[task])
        self._asked[task] += 1
        if fault is None:
            self._row.pop(task, None)
        else:
            self._row[task] += 1
            self.committed[fault] += 1
        return fault
