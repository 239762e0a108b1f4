"""Options of ours in the names of TRL's trainer configs."""

from __future__ import annotations

from typing import Any

from astra.configs.training import TrainRLConfig, TrainSFTConfig
from astra.training.final_model import CHECKPOINTS
from astra.training.processes import on_cpu
from astra.training.progress import quiet


def trl_options(config: TrainSFTConfig | TrainRLConfig) -> dict[str, Any]:
    """What SFT and RL have in common, from resolved options; those of `trl` last."""
    schedule = config.lr_schedule
    # transformers' `constant` ignores the warm-up without a word.
    if schedule == "constant" and config.warmup:
        schedule = "constant_with_warmup"
    return {
        "output_dir": f"{config.out}/{CHECKPOINTS}",
        "per_device_train_batch_size": config.micro_batch_size,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": schedule,
        "warmup_steps": config.warmup,
        "save_steps": config.save_every,
        "bf16": config.precision == "bf16",
        "activation_checkpointing": config.activation_checkpointing,
        "seed": config.seed,
        "data_seed": config.seed,
        "report_to": list(config.report_to) or "none",
        "disable_tqdm": quiet(config),
        **config.trl,
        "use_cpu": on_cpu(config.trl),
    }
