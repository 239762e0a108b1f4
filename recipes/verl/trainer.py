"""verl's synchronous trainer with our credit as its advantages.

`trainer.v1.trainer_mode=astra` chooses it, `+trainer.v1.astra.algorithm=gigpo` the algorithm.
Imported through VERL_USE_EXTERNAL_MODULES, so that it is registered in each of verl's processes.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

from typing import Any

import torch
import transfer_queue as tq
from tensordict import TensorDict
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.workers.utils.padding import response_to_nested

from astra.errors import ConfigError, StageError
from recipes.verl.credit import credit, scored_batch

FIELDS = ["uid", "response_mask", "rm_scores", "rollout_log_probs", "extra_fields"]


@register_trainer("astra")
class AstraTrainer(PPOTrainerSync):
    """verl's trainer but for the advantages."""

    def _build_replay_buffer(self) -> Any:
        # verl asks for the mode by name in several places, this one first.
        self.trainer_mode = "sync"
        return super()._build_replay_buffer()

    def _compute_advantage(self, batch: Any, metrics: dict[str, float]) -> Any:
        """verl's own metrics and corrections, then our advantages in place of its."""
        refuse(self.config)
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
            self.config.trainer.v1.astra.algorithm,
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
        fields = TensorDict({"advantages": put, "returns": put.clone()}, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)


def refuse(config: Any) -> None:
    """Raises ConfigError where verl would change rewards or masks after the loop set them."""
    correction = config.algorithm.get("rollout_correction") or {}
    refused = {
        "algorithm.use_kl_in_reward": config.algorithm.use_kl_in_reward,
        "algorithm.rollout_correction.rollout_rs": correction.get("rollout_rs"),
    }
    for name, value in refused.items():
        if value:
            raise ConfigError(f"{name} changes what credit is computed from: leave it unset")
