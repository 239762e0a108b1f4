"""Settings of RL that are known to go together, by name.

`paper-14b` is that of the ASTRA paper (section 3.2); the others fit a machine. A preset only sets
options that can be set one by one, too: what is typed wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from astra.types import Json


@dataclass(frozen=True, slots=True)
class RLPreset:
    """What a preset sets: options of ours, and options of TRL's GRPOConfig."""

    about: str
    prompts: int
    """Groups of a batch, over all processes."""
    group: int
    """Rollouts of a prompt (G)."""
    rows_at_once: int
    """Rollouts per forward pass of the loss and process."""
    turns: int
    """Most messages of the policy in an episode."""
    message_tokens: int
    """Most tokens of one message."""
    context: int
    """Most tokens of an episode, prompt included."""
    steps: int
    concurrency: int
    """Episodes at once and process."""
    rounds: int = 8
    """Most rounds of rollouts to fill a batch; 1: no filling."""
    threshold: float = 0.0
    """δ: groups whose standard deviation of rewards is above it are valid."""
    lockstep: bool = True
    """Same bits for the same seed; False: episodes join a batch at the next token."""
    curriculum: int = 0
    """Steps over which the number of hops rises; 0: all from the start."""
    lora: int | None = None
    """Rank of LoRA; None: all weights are trained."""
    share_prompts: bool = False
    """The loss works a group's prompt through once: for sequences of some thousand tokens."""
    scale_lr: float = 0.0
    """Learning rate of the last norm's weights, which scale all logits alike; 0: the rest's."""
    trl: Mapping[str, Json] = field(default_factory=dict[str, Json])


_COMMON: dict[str, Json] = {
    "loss_type": "dapo",
    "beta": 0.0,
    "epsilon": 0.2,
    "temperature": 1.0,
    "num_iterations": 1,
    "max_grad_norm": 1.0,
    "lr_scheduler_type": "constant",
    "logging_steps": 1,
    "save_steps": 50,
    "bf16": True,
    "activation_checkpointing": True,
}

PRESETS: dict[str, RLPreset] = {
    "paper-14b": RLPreset(
        "the paper's settings for a 14B model: 256 rollouts a batch, strictly on-policy; many GPUs",
        prompts=32,
        group=8,
        rows_at_once=1,
        turns=32,
        message_tokens=16_384,
        context=25_600 + 49_152,
        steps=500,
        concurrency=64,
        lockstep=False,
        trl=_COMMON | {"learning_rate": 2e-6},
    ),
    "h200": RLPreset(
        "one GPU of 141 GB, all weights of a model of up to some 4B parameters",
        prompts=16,
        group=8,
        rows_at_once=2,
        turns=16,
        message_tokens=2_048,
        context=16_384,
        steps=300,
        concurrency=128,
        lockstep=False,
        trl=_COMMON | {"learning_rate": 2e-6},
    ),
    "laptop": RLPreset(
        "one small GPU or none: LoRA, short episodes",
        prompts=4,
        group=4,
        rows_at_once=2,
        turns=8,
        message_tokens=512,
        context=4_096,
        steps=200,
        concurrency=16,
        lora=16,
        trl=_COMMON | {"learning_rate": 1e-5, "bf16": False},
    ),
    "nano": RLPreset(
        "a nano model on a CPU",
        prompts=16,
        group=4,
        rows_at_once=64,
        turns=6,
        message_tokens=48,
        context=768,
        steps=200,
        concurrency=64,
        rounds=2,
        share_prompts=True,
        scale_lr=3e-2,
        trl=_COMMON
        | {
            "learning_rate": 1e-4,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 10,
            "bf16": False,
            "use_cpu": True,
            "activation_checkpointing": False,
        },
    ),
}

OURS = {
    "output_dir": "the folder is given with --out",
    "per_device_train_batch_size": "use --rows-at-once",
    "gradient_accumulation_steps": "it follows from --prompts, --group and --rows-at-once",
    "generation_batch_size": "it follows from --prompts and --group",
    "steps_per_generation": "it follows from --prompts, --group and --rows-at-once",
    "num_generations": "use --group",
    "max_completion_length": "use --context and --message-tokens",
    "max_steps": "use --steps",
    "num_train_epochs": "use --steps",
    "report_to": "use --report-to",
    "seed": "use --seed",
    "data_seed": "use --seed",
    "resume_from_checkpoint": "use --resume",
    "save_only_model": "use --keep-states",
    "save_total_limit": "use --keep-weights",
    "vllm_importance_sampling_correction": "it stays off: see docs/rl.md",
}
"""Options of TRL that are set by options of ours, and how."""
