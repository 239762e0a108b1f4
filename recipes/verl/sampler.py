"""Batch filling for verl: a sampler for its v1 trainer that keeps what it does not use.

verl's own filter of groups knows equal rewards only, and throws surplus groups away. This one is
`astra.training.rl.filling`: flat groups make room for those that wait from earlier steps, then for
new ones. `trainer.v1.sampler.custom_sampler` names it, `sampler_kwargs` has its options. Groups
that wait stay in verl's queue.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Annotated, Any

import transfer_queue as tq
from omegaconf import OmegaConf
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from astra.configs.base import Config, at_least
from astra.configs.options import build
from astra.errors import StageError
from astra.training.rl.filling import BatchFilling

TRIES = 3
"""How often other prompts take the place of those that failed, per round."""


@dataclass(frozen=True, kw_only=True)
class FillingConfig(Config):
    """What `sampler_kwargs` may say, as in `astra train rl`."""

    max_sampling_rounds: Annotated[int, at_least(1)] = 8
    min_reward_std: Annotated[float, at_least(0)] = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """The episodes of a prompt, which are in verl's queue."""

    uid: str
    rewards: tuple[float, ...]
    step: int


class FillingBuffer(ReplayBuffer):
    """verl's buffer, but that batches for training are filled."""

    def __init__(
        self, *, sampler_kwargs: Any, refill_fn: Callable[[int], int], **more: Any
    ) -> None:
        """Raises ConfigError for options that are not FillingConfig's."""
        super().__init__(sampler_kwargs=sampler_kwargs, refill_fn=refill_fn, **more)
        self.options: FillingConfig = build(
            FillingConfig, {str(k): v for k, v in OmegaConf.to_container(sampler_kwargs).items()}
        )
        self._filling: BatchFilling[Group] | None = None

    def sample(
        self, global_steps: int, partition_id: str, batch_size: int
    ) -> tuple[Any, dict[str, Any]]:
        """A batch and metrics. The trainer has asked for the episodes of one batch before.

        Raises StageError if too few prompts could be played.
        """
        if partition_id == "val":
            return super().sample(global_steps, partition_id, batch_size)
        filling = self._of_size(batch_size)
        known = {group.uid for group in filling.waiting}
        failures, asked = 0, True
        while not filling.enough:
            groups, failed = self._round(partition_id, batch_size, known, asked=asked)
            known |= {group.uid for group in groups}
            failures, asked = failures + failed, False
            filling.add(groups)
        filled = filling.take(global_steps)
        chosen = [group.uid for group in filled.groups]
        waiting = {group.uid for group in filling.waiting}
        self._clear_groups(partition_id, known - waiting - set(chosen))
        batch = self._materialize_batch(partition_id, chosen, self.partitions[partition_id])
        return batch, {**filled.metrics(), "filling/failed_groups": failures}

    def restore(self, partition_id: str, batch_size: int) -> None:
        """Take up the groups that waited when the queue was saved; the rest of it is cleared."""
        self._sync_metadata_from_transfer_queue()
        waiting = self._groups(partition_id, self.finished_keys[partition_id])
        keep = {group.uid for group in waiting}
        used = {key for key in self.partitions[partition_id] if key.split("_")[0] not in keep}
        if used:
            tq.kv_clear(partition_id=partition_id, keys=list(used))
        self._of_size(batch_size).restore(waiting)

    def _of_size(self, size: int) -> BatchFilling[Group]:
        # Only with a batch does verl tell its size.
        if self._filling is None:
            self._filling = BatchFilling(
                size,
                min_reward_std=self.options.min_reward_std,
                max_rounds=self.options.max_sampling_rounds,
                active=self.options.max_sampling_rounds > 1,
            )
        return self._filling

    def _round(
        self, partition: str, size: int, known: set[str], *, asked: bool
    ) -> tuple[list[Group], int]:
        """New groups, at most `size`, and how many failed. Others are played in their place.

        `known`: groups of before. `asked`: whether the first ones are being played already.
        """
        groups: list[Group] = []
        failures = 0
        for attempt in range(TRIES + 1):
            missing = size - len(groups)
            # As in `astra train rl`: where most fail, those that are left are mostly episodes that
            # called no tool.
            if not missing or (attempt and 2 * missing > size):
                break
            if attempt or not asked:
                self.refill_fn(missing)
            self._wait_until_played(partition)
            ended = self.finished_keys[partition] | self.failure_keys[partition]
            new = self._groups(partition, self.finished_keys[partition] - known)
            groups += new
            known = known | {group.uid for group in new}
            self._clear_groups(partition, ended - known)
            failures += len(ended - known)
        if not groups:
            raise StageError(f"all {failures} groups of episodes failed: see the log of the loop")
        return groups, failures

    def _wait_until_played(self, partition: str) -> None:
        told = time.time()
        self._sync_metadata_from_transfer_queue()
        while self.pending_keys[partition] or self.running_keys[partition]:
            told = self._wait_for_next_poll(partition, told)
            self._sync_metadata_from_transfer_queue()

    def _groups(self, partition: str, uids: Set[str]) -> list[Group]:
        """Groups with episodes in the queue, in the order in which they were asked for."""
        # Outputs of an episode, if it has several, have one reward.
        keys = [key for key in self.partitions[partition] if key.endswith("_0")]
        keys = [key for key in keys if key.split("_")[0] in uids]
        if not keys:
            return []
        data = tq.kv_batch_get(keys=keys, partition_id=partition, select_fields=["rm_scores"])
        rewards: dict[str, list[float]] = defaultdict(list)
        for key, scores in zip(keys, data["rm_scores"], strict=True):
            rewards[key.split("_")[0]].append(float(scores.sum()))
        steps = self.prompt_global_steps[partition]
        return [Group(uid, tuple(rewards[uid]), steps[uid]) for uid in steps if uid in rewards]
