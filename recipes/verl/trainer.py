"""verl's synchronous trainer with our credit as its advantages.

`trainer.v1.trainer_mode=astra` chooses it, `+trainer.v1.astra.algorithm=gigpo` the algorithm, and
`+trainer.v1.astra.credit.discount=0.9` an option of it.
Imported through VERL_USE_EXTERNAL_MODULES, so that it is registered in each of verl's processes.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl.trainer.ppo.utils import need_critic
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.workers.utils.padding import response_to_nested

from astra.configs.options import build
from astra.errors import ConfigError, StageError
from recipes.verl.credit import AdvantageConfig, credit, scored_batch
from recipes.verl.sampler import FillingBuffer

FIELDS = ["uid", "response_mask", "rm_scores", "rollout_log_probs", "extra_fields"]
QUEUE = "astra_queue"


@register_trainer("astra")
class AstraTrainer(PPOTrainerSync):
    """verl's trainer but for the advantages, and for what waits in the sampler at a checkpoint."""

    def __init__(self, config: Any) -> None:
        """Raises ConfigError for settings that our advantages would contradict."""
        self.advantages = checked(config)
        super().__init__(config)

    def _build_replay_buffer(self) -> Any:
        # verl asks for the mode by name in several places, this one first.
        self.trainer_mode = "sync"
        return super()._build_replay_buffer()

    def _compute_advantage(self, batch: Any, metrics: dict[str, float]) -> Any:
        """verl's own metrics and corrections, then our advantages in place of its."""
        rows = [n for n, tag in enumerate(batch.tags) if not tag.get("is_padding", False)]
        if any(batch.keys[n].rsplit("_", 1)[1] != "0" for n in rows):
            raise StageError("an agent loop gave several outputs for an episode: credit needs one")
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=FIELDS
        )
        batch = super()._compute_advantage(batch, metrics)
        nested = data["response_mask"]
        mask_BT = nested.to_padded_tensor(0)
        rewards_BT = data["rm_scores"].to_padded_tensor(0.0)
        logprobs_BT = data["rollout_log_probs"].to_padded_tensor(0.0)
        lengths, uids = nested.offsets().diff().tolist(), list(data["uid"])
        told = [getattr(value, "data", value).get("astra") for value in data["extra_fields"]]
        found = credit(
            self.advantages,
            scored_batch(
                [str(getattr(uids[n], "data", uids[n])) for n in rows],
                rewards_BT[rows].sum(1),
                [lengths[n] for n in rows],
                mask_BT[rows],
                logprobs_BT[rows],
                [told[n] for n in rows],
            ),
        )
        metrics.update({f"astra/{name}": value for name, value in found.metrics.items()})
        # Rows of padding get none: their mask is empty.
        advantages_BT = torch.zeros(mask_BT.shape)
        advantages_BT[rows] = found.advantages_BT.float()
        put = response_to_nested(advantages_BT, nested)
        # Returns are for verl's metrics alone: there is no critic.
        fields = TensorDict({"advantages": put, "returns": put.clone()}, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    def _save_checkpoint(self) -> None:
        super()._save_checkpoint()
        if isinstance(self.replay_buffer, FillingBuffer):
            trainer = self.config.trainer
            tq.save_checkpoint(
                Path(trainer.default_local_dir) / f"global_step_{self.global_steps}" / QUEUE
            )

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        trainer = self.config.trainer
        folder = Path(trainer.default_local_dir) / f"global_step_{self.global_steps}"
        if trainer.resume_mode == "resume_path":
            folder = Path(trainer.resume_from_path)
        waiting = self.global_steps and (folder / QUEUE).exists()
        if waiting and isinstance(self.replay_buffer, FillingBuffer):
            tq.load_checkpoint(folder / QUEUE)
            self.replay_buffer.restore("train", self.config.data.train_batch_size)


def checked(config: Any) -> AdvantageConfig:
    """Our part of verl's settings. Raises ConfigError where another part contradicts it."""
    correction = config.algorithm.get("rollout_correction") or {}
    refused = {
        "algorithm.use_kl_in_reward": config.algorithm.use_kl_in_reward,
        "algorithm.rollout_correction.rollout_rs": correction.get("rollout_rs"),
    }
    for name, value in refused.items():
        if value:
            raise ConfigError(f"{name} changes what credit is computed from: leave it unset")
    if need_critic(config):
        name = "critic.enable" if config.critic.enable else "algorithm.adv_estimator=gae"
        raise ConfigError(
            f"{name} trains a critic, which our advantages have no returns for: set "
            "critic.enable=false, and algorithm.adv_estimator=grpo"
        )
    sampler = config.trainer.v1.sampler.custom_sampler.get("name")
    if sampler == FillingBuffer.__name__ and config.data.gen_batch_size != 1:
        # verl takes prompts from the data set in portions of this number.
        raise ConfigError(f"data.gen_batch_size: {sampler} replaces single prompts, so set it to 1")
    own = config.trainer.v1.get("astra")
    if own is None:
        raise ConfigError("trainer.v1.astra.algorithm names the algorithm of the advantages")
    return build(AdvantageConfig, OmegaConf.to_container(own, resolve=True))
