"""Which arenas are played next: every one once per epoch, in an order of the seed's.

Nothing is drawn before it is needed, so that no prompt is ever lost; what could not be played is
given back and comes first.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from astra.errors import ConfigError, StoreError
from astra.training.algorithm import ChoosesTasks


@dataclass(frozen=True, slots=True)
class PromptDraw:
    """An arena that is to be played by one group of rollouts."""

    task: str
    """Id of the arena, as it stands in its folder."""
    epoch: int
    """Decides on its distractors, where they are drawn anew."""
    number: int
    """Draws before this one; seeds the sampling."""
    tries: int = 0
    """How often it was given back."""


class PromptSource(Protocol):
    """Where the prompts come from. Deterministic; its state goes into checkpoints."""

    def take(self, count: int, step: int) -> list[PromptDraw]: ...

    def give_back(self, draws: Sequence[PromptDraw]) -> None:
        """Take back what could not be played."""
        ...

    def learn(self, task: str, rewards: Sequence[float]) -> None:
        """Be told how a group of rollouts of a task came out."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class ShuffledEpochs:
    """Goes through all tasks again and again, shuffled anew each time.

    `hops` and `curriculum`: over that many steps, the largest number of hops that is drawn rises
    evenly from the smallest there is to the largest. Harder tasks keep their place in the queue.
    """

    def __init__(self, hops: Mapping[str, int], *, seed: int, curriculum: int = 0) -> None:
        if not hops:
            raise ConfigError("there are no arenas to train on: make some, or name another folder")
        self._hops = dict(hops)
        self._levels = sorted(set(hops.values()))
        self._seed = seed
        self._curriculum = curriculum
        self._queue: deque[tuple[str, int]] = deque()
        self._back: deque[PromptDraw] = deque()
        self._epoch = self._number = 0

    def take(self, count: int, step: int) -> list[PromptDraw]:
        """The next tasks, those given back first."""
        return [self._back.popleft() if self._back else self._next(step) for _ in range(count)]

    def _next(self, step: int) -> PromptDraw:
        hardest = self._hardest(step)
        while True:
            for place, (task, epoch) in enumerate(self._queue):
                if self._hops[task] <= hardest:
                    del self._queue[place]
                    self._number += 1
                    return PromptDraw(task, epoch, self._number - 1)
            self._begin_epoch()

    def _hardest(self, step: int) -> int:
        if step >= self._curriculum:
            return self._levels[-1]
        return self._levels[step * len(self._levels) // self._curriculum]

    def _begin_epoch(self) -> None:
        """Queue every task that is not waiting for its level already."""
        waiting = {task for task, _ in self._queue}
        tasks = sorted(task for task in self._hops if task not in waiting)
        random.Random(f"{self._seed} {self._epoch}").shuffle(tasks)
        self._queue.extend((task, self._epoch) for task in tasks)
        self._epoch += 1

    def give_back(self, draws: Sequence[PromptDraw]) -> None:
        self._back.extend(draws)

    def learn(self, task: str, rewards: Sequence[float]) -> None:
        """Of no use here: the order does not depend on what was learnt."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "queue": [list(entry) for entry in self._queue],
            "back": [asdict(draw) for draw in self._back],
            "epoch": self._epoch,
            "number": self._number,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a checkpoint was written; StoreError if it was with other arenas."""
        unknown = {task for task, _ in state["queue"]} - self._hops.keys()
        if unknown:
            raise StoreError(
                f"the checkpoint knows an arena {min(unknown)!r} that the folder does not hold: "
                "resume with the arenas that the run began with"
            )
        self._queue = deque((task, epoch) for task, epoch in state["queue"])
        self._back = deque(PromptDraw(**draw) for draw in state["back"])
        self._epoch, self._number = state["epoch"], state["number"]


class AlgorithmChosenPrompts:
    """Lets an algorithm say which tasks come next; its own state holds what it has seen."""

    def __init__(self, tasks: Sequence[str], algorithm: ChoosesTasks) -> None:
        if not tasks:
            raise ConfigError("there are no arenas to train on: make some, or name another folder")
        self._tasks = list(tasks)
        self._algorithm = algorithm
        self._back: deque[PromptDraw] = deque()
        self._number = 0

    def take(self, count: int, step: int) -> list[PromptDraw]:
        """Those given back, and what the algorithm chooses; an epoch is as many as there are."""
        back = [self._back.popleft() for _ in range(min(count, len(self._back)))]
        drawn: list[PromptDraw] = []
        while len(back) + len(drawn) < count:
            wanted = count - len(back) - len(drawn)
            for task in self._algorithm.choose(self._tasks, min(wanted, len(self._tasks))):
                drawn.append(PromptDraw(task, self._number // len(self._tasks), self._number))
                self._number += 1
        return back + drawn

    def give_back(self, draws: Sequence[PromptDraw]) -> None:
        self._back.extend(draws)

    def learn(self, task: str, rewards: Sequence[float]) -> None:
        self._algorithm.observe(task, rewards)

    def state_dict(self) -> dict[str, Any]:
        return {"back": [asdict(draw) for draw in self._back], "number": self._number}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._back = deque(PromptDraw(**draw) for draw in state["back"])
        self._number = state["number"]
