"""Order of prompts: every task once per epoch, shuffled by the seed.

Prompts are drawn only when they are needed, so that none is lost. Those that failed are given back
and come first.
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
    """A task for one group of rollouts."""

    task: str
    """Id of the task."""
    epoch: int
    """Passes over all tasks before this draw. Seeds what varies between them, e.g. distractors."""
    number: int
    """Draws before this one. Seeds the sampling."""
    tries: int = 0
    """How often it was given back."""


class PromptSource(Protocol):
    """Source of prompts. Deterministic; its state is stored in checkpoints."""

    def take(self, count: int, step: int) -> list[PromptDraw]: ...

    def give_back(self, draws: Sequence[PromptDraw]) -> None:
        """Return prompts whose rollouts failed."""
        ...

    def observe(self, task: str, rewards: Sequence[float]) -> None:
        """Receive the rewards of a group of rollouts."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class ShuffledEpochs:
    """Passes over all tasks again and again, shuffled anew each time.

    `difficulty`: by task. Over `curriculum_steps` steps, the largest difficulty that is drawn rises
    evenly from the smallest to the largest. Harder tasks keep their place in the queue.
    """

    def __init__(
        self, difficulty: Mapping[str, int], *, seed: int, curriculum_steps: int = 0
    ) -> None:
        if not difficulty:
            raise ConfigError(
                "no tasks to train on: make arenas of split 'train', or give another folder"
            )
        self._difficulty = dict(difficulty)
        self._levels = sorted(set(difficulty.values()))
        self._seed = seed
        self._curriculum_steps = curriculum_steps
        self._queue: deque[tuple[str, int]] = deque()
        self._returned: deque[PromptDraw] = deque()
        self._epoch = self._number = 0

    def take(self, count: int, step: int) -> list[PromptDraw]:
        """The next prompts, those given back first."""
        hardest = self._levels[-1]
        if step < self._curriculum_steps:
            hardest = self._levels[step * len(self._levels) // self._curriculum_steps]
        draws: list[PromptDraw] = []
        while len(draws) < count:
            if self._returned:
                draws.append(self._returned.popleft())
                continue
            levels = (self._difficulty[task] for task, _ in self._queue)
            index = next((i for i, level in enumerate(levels) if level <= hardest), None)
            if index is None:
                # A new epoch. Tasks that are too hard so far are still queued, not queued twice.
                waiting = {task for task, _ in self._queue}
                tasks = sorted(task for task in self._difficulty if task not in waiting)
                random.Random(f"{self._seed} {self._epoch}").shuffle(tasks)
                self._queue.extend((task, self._epoch) for task in tasks)
                self._epoch += 1
                continue
            task, epoch = self._queue[index]
            del self._queue[index]
            draws.append(PromptDraw(task, epoch, self._number))
            self._number += 1
        return draws

    def give_back(self, draws: Sequence[PromptDraw]) -> None:
        self._returned.extend(draws)

    def observe(self, task: str, rewards: Sequence[float]) -> None:
        """Does nothing: the order does not depend on rewards."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "queue": [list(entry) for entry in self._queue],
            "returned": [asdict(draw) for draw in self._returned],
            "epoch": self._epoch,
            "number": self._number,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the order of a checkpoint. Raises StoreError if it was written with other
        tasks."""
        unknown = {task for task, _ in state["queue"]} - self._difficulty.keys()
        if unknown:
            raise StoreError(
                f"the checkpoint has a task {min(unknown)!r} that is not in the data: "
                "resume with the arenas that the run began with"
            )
        self._queue = deque((task, epoch) for task, epoch in state["queue"])
        self._returned = deque(PromptDraw(**draw) for draw in state["returned"])
        self._epoch, self._number = state["epoch"], state["number"]


class AlgorithmChosenPrompts:
    """Prompts chosen by an algorithm, whose own state holds what it has observed."""

    def __init__(self, tasks: Sequence[str], algorithm: ChoosesTasks) -> None:
        if not tasks:
            raise ConfigError(
                "no tasks to train on: make arenas of split 'train', or give another folder"
            )
        self._tasks = list(tasks)
        self._algorithm = algorithm
        self._returned: deque[PromptDraw] = deque()
        self._number = 0

    def take(self, count: int, step: int) -> list[PromptDraw]:
        """Those given back, then the algorithm's choice. An epoch has as many draws as there are
        tasks."""
        returned = [self._returned.popleft() for _ in range(min(count, len(self._returned)))]
        chosen: list[PromptDraw] = []
        while len(returned) + len(chosen) < count:
            missing = count - len(returned) - len(chosen)
            for task in self._algorithm.choose(self._tasks, min(missing, len(self._tasks))):
                chosen.append(PromptDraw(task, self._number // len(self._tasks), self._number))
                self._number += 1
        return returned + chosen

    def give_back(self, draws: Sequence[PromptDraw]) -> None:
        self._returned.extend(draws)

    def observe(self, task: str, rewards: Sequence[float]) -> None:
        self._algorithm.observe(task, rewards)

    def state_dict(self) -> dict[str, Any]:
        return {"returned": [asdict(draw) for draw in self._returned], "number": self._number}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._returned = deque(PromptDraw(**draw) for draw in state["returned"])
        self._number = state["number"]
