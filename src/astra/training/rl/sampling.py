"""A batch is sampled in rounds until it is full: in turns with training, or one step ahead."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from accelerate.utils import gather_object

from astra.training.rl.batch import RolloutGroup, from_json, to_json
from astra.training.rl.filling import BatchFilling
from astra.training.rl.prompts import PromptSource
from astra.training.rl.rollouts import GroupPlayer, PlayedRound, require_completed

TRIES = 3
"""How often a prompt is drawn whose rollouts end in infrastructure failures, before it is
skipped."""


@dataclass(frozen=True, slots=True)
class SampledBatch:
    """Everything that was sampled for a step, used or not."""

    rounds: list[list[RolloutGroup]]
    waiting: tuple[RolloutGroup, ...]
    """Groups that earlier steps had left over."""
    dropped: int
    """Groups that were left over, too, and would have become too old."""
    failures: int
    """Infrastructure failures."""
    metrics: dict[str, float]
    """Times and numbers of tokens, by name."""

    @property
    def groups(self) -> list[RolloutGroup]:
        """The groups of all rounds."""
        return [group for groups in self.rounds for group in groups]

    def to_json(self) -> dict[str, Any]:
        """As JSON values, without `waiting`."""
        rounds = [[to_json(group) for group in groups] for groups in self.rounds]
        return {
            "rounds": rounds,
            "dropped": self.dropped,
            "failures": self.failures,
            "metrics": self.metrics,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], waiting: tuple[RolloutGroup, ...]) -> SampledBatch:
        """The inverse of `to_json`."""
        rounds = [[from_json(group) for group in groups] for groups in value["rounds"]]
        return cls(
            rounds=rounds,
            waiting=waiting,
            dropped=value["dropped"],
            failures=value["failures"],
            metrics=value["metrics"],
        )


class BatchSampler:
    """Plays rounds until a batch is full. Several processes split the rollouts of a round, and each
    gets all of them."""

    def __init__(
        self,
        player: GroupPlayer,
        prompts: PromptSource,
        filling: BatchFilling[RolloutGroup],
        *,
        size: int,
        max_staleness: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """`size`: groups of a batch. `max_staleness`: steps that a group may be old when it is
        trained on. None: no limit."""
        self._player = player
        self._prompts = prompts
        self._filling = filling
        self._size = size
        self._max_staleness = max_staleness
        self._rank = rank
        self._world = world

    async def sample(self, step: int, version: int) -> SampledBatch:
        """Fill the batch that step `step` trains on, with the weights after `version` steps."""
        timings = self._player.engine.timings
        timings.reset()
        start = time.perf_counter()
        oldest = None if self._max_staleness is None else step - self._max_staleness
        dropped = 0 if oldest is None else self._filling.drop_before(oldest)
        waiting = self._filling.waiting
        rounds: list[list[RolloutGroup]] = []
        failures = 0
        while not self._filling.enough:
            groups, failed = await self._full_round(step, version)
            failures += failed
            rounds.append(groups)
            self._filling.add(groups)
        seconds = time.perf_counter() - start
        timings.settle()
        metrics = {
            "time/rollouts": seconds,
            "time/generation": timings.generation,
            "time/idle": timings.idle,
            "time/tools": timings.tools,
            "tokens/prompt": float(timings.prompt_tokens),
            "tokens/sampled": float(timings.sampled_tokens),
            "tokens/sampled_per_second": timings.sampled_tokens / max(seconds, 1e-9),
        }
        return SampledBatch(rounds, waiting, dropped, failures, metrics)

    async def _full_round(self, step: int, version: int) -> tuple[list[RolloutGroup], int]:
        """Groups of a round and its infrastructure failures.

        Failed prompts are drawn again, and others in their place once their tries are used up.
        """
        groups: list[RolloutGroup] = []
        failures = 0
        for attempt in range(TRIES + 1):
            missing = self._size - len(groups)
            # Not if most of a round failed: what remains would mostly be rollouts that called no
            # tool, and training on them would teach that.
            if not missing or (attempt and 2 * missing > self._size):
                break
            new, failed = await self._round(step, version, missing, first=not attempt)
            groups += new
            failures += failed
        return groups, failures

    async def _round(
        self, step: int, version: int, count: int, *, first: bool
    ) -> tuple[list[RolloutGroup], int]:
        """Rollouts of `count` prompts, split over the processes; every process gets all of them.

        `first`: raises StageError if none was completed.
        """
        draws = self._prompts.take(count, step)
        rank, world = self._rank, self._world
        played = await self._player.play(draws[rank::world], version)
        rounds: list[PlayedRound] = gather_object([played])
        if first:
            require_completed(rounds)
        order = {(draw.task, draw.number): index for index, draw in enumerate(draws)}
        group_at: dict[int, RolloutGroup] = {}
        for share, part in zip((draws[r::world] for r in range(world)), rounds, strict=True):
            incomplete = {draw.number for draw in part.incomplete}
            complete = [draw for draw in share if draw.number not in incomplete]
            for draw, group in zip(complete, part.groups, strict=True):
                group_at[order[draw.task, draw.number]] = group
        again = [draw for part in rounds for draw in part.incomplete if draw.tries < TRIES]
        self._prompts.give_back(sorted(again, key=lambda draw: draw.number))
        groups = [group_at[index] for index in sorted(group_at)]
        for group in groups:
            self._prompts.observe(group.episodes[0].task, group.rewards)
        return groups, sum(part.failures for part in rounds)
