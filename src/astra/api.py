"""The functions of `astra`: those of `astra.aio`, which wait for the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astra import aio
from astra.configs.base import configured
from astra.configs.training import TrainRLConfig, TrainSFTConfig
from astra.core.loop import iterated, synchronous

if TYPE_CHECKING:
    from astra.training.result import TrainResult

certify = synchronous(aio.certify)
collect_tools = synchronous(aio.collect_tools)
evaluate = synchronous(aio.evaluate)
make_arenas = synchronous(aio.make_arenas)
make_trajectories = synchronous(aio.make_trajectories)
paraphrase_arenas = synchronous(aio.paraphrase_arenas)
rollout = synchronous(aio.rollout)
rollout_groups = iterated(aio.rollout_groups)
synthesize_arenas = synchronous(aio.synthesize_arenas)


# Training runs on the calling thread, and needs torch.


@configured(TrainSFTConfig)
def train_sft(config: TrainSFTConfig) -> TrainResult:
    """Fine-tune a model on conversations with tools, and write it to OUT/final.

    A stopped run is resumed; a finished one is returned as it is.
    """
    from astra.training.requirements import require_training

    require_training()
    from astra.training.sft.train import train_sft

    return train_sft(config)


@configured(TrainRLConfig)
def train_rl(config: TrainRLConfig) -> TrainResult:
    """Train a model by multi-turn reinforcement learning in arenas, and write it to OUT/final.

    A stopped run is resumed; a finished one is returned as it is.
    """
    from astra.training.requirements import require_training

    require_training()
    from astra.training.rl.train import train_rl

    return train_rl(config)
