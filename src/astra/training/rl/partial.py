"""Partial rollouts: a batch is taken as soon as it is full, and the slowest groups go on.

A sampler begins half a batch more groups than a batch needs. Those that are not whole when it is
full run on, also while weights are copied (the engine then pauses between two tokens), and go into
the next batch. Each token keeps the log-probability under the weights that sampled it, so the
ratio of the loss is right token by token.

A group is as old as the weights that it began with: no token of it is older. One that would be too
old for the step after this one is waited for, so none is ever lost to its age, and long episodes
are trained on as often as short ones.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from astra.configs.spelling import option_name
from astra.engines.engine import Pausable
from astra.errors import ConfigError, StageError
from astra.training.rl.batch import RolloutGroup
from astra.training.rl.filling import BatchFilling
from astra.training.rl.prompts import PromptDraw, PromptSource
from astra.training.rl.rollouts import GroupPlayer, PlayedRound
from astra.training.rl.sampling import TRIES, BatchSampler, SampledBatch


@dataclass(frozen=True, slots=True)
class RunningGroup:
    """A group that has begun and is in no batch yet."""

    draw: PromptDraw
    version: int
    """Optimizer steps that had made the weights which it began with."""
    task: asyncio.Task[PlayedRound]


class PartialSampler(BatchSampler):
    """Fills batches with the groups that are whole first. One process."""

    def __init__(
        self,
        player: GroupPlayer,
        prompts: PromptSource,
        filling: BatchFilling[RolloutGroup],
        *,
        size: int,
        max_staleness: int,
    ) -> None:
        """`max_staleness`: at least 2. Raises ConfigError for an engine that can't pause."""
        super().__init__(player, prompts, filling, size=size, max_staleness=max_staleness)
        if not isinstance(player.engine, Pausable):
            kind = type(player.engine).__name__
            raise ConfigError(
                f"{option_name('partial_rollouts')}: the engine {kind} can't pause for new "
                "weights: leave it out"
            )
        self._engine: Pausable = player.engine
        self._oldest = max_staleness
        self._carried = max(1, size // 2)
        """Groups that run on when a batch is full."""
        self._running: list[RunningGroup] = []

    @property
    def unfinished(self) -> list[PromptDraw]:
        """Draws of the groups that are in no batch yet. Ask between two batches."""
        return [group.draw for group in self._running]

    async def pause(self) -> None:
        """Let no token be sampled until the next `sample`. Tools run on."""
        self._engine.pause()

    async def sample(self, step: int, version: int) -> SampledBatch:
        self._engine.resume()
        batch = await super().sample(step, version)
        batch.metrics["filling/unfinished"] = float(len(self._running))
        return batch

    async def _full_round(self, step: int, version: int) -> tuple[list[RolloutGroup], int]:
        groups: list[RolloutGroup] = []
        failures = failed = 0
        while True:
            need = self._filling.needs(groups)
            due = [group for group in self._running if step - group.version >= self._oldest]
            # Places are kept for those that this step must take.
            room = min(need, self._size - len(groups)) - len(due)
            if not due and not room:
                return groups, failures
            self._begin(need + self._carried, step, version)
            played = await self._first(self._running if room > 0 else due)
            failures += played.failures
            for group in played.groups:
                groups.append(group)
                self._prompts.observe(group.episodes[0].task, group.rewards)
            failed += len(played.incomplete)
            if failed > self._size:
                raise StageError(
                    f"stopped: {failed} groups of rollouts failed and {len(groups)} did not; "
                    f"{played.error}"
                )
            self._prompts.give_back([draw for draw in played.incomplete if draw.tries < TRIES])

    def _begin(self, count: int, step: int, version: int) -> None:
        """Begin groups until `count` are running."""
        missing = max(0, count - len(self._running))
        for draw in self._prompts.take(missing, step):
            task = asyncio.create_task(self._player.play([draw], version))
            # Of several errors, training ends with the first.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._running.append(RunningGroup(draw, version, task))

    async def _first(self, running: list[RunningGroup]) -> PlayedRound:
        """The result of the first of these groups that is finished; of several, the oldest."""
        await asyncio.wait([group.task for group in running], return_when=asyncio.FIRST_COMPLETED)
        group = next(group for group in running if group.task.done())
        self._running.remove(group)
        return group.task.result()
