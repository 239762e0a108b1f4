"""Settings of SFT that are known to go together, by name.

`paper-14b` and `paper-32b` are those of the ASTRA paper (section on SFT); the others fit a machine.
A preset only sets options that can be set one by one, too: what is typed wins.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from astra.errors import ConfigError
from astra.types import Json


@dataclass(frozen=True, slots=True)
class SFTPreset:
    """What a preset sets: options of ours, and options of TRL's SFTConfig."""

    about: str
    batch: int
    """Rows per optimiser step, over all processes."""
    rows_at_once: int
    """Rows per forward pass and process."""
    context_parallel: int = 1
    """Processes that share one row's tokens."""
    lora: int | None = None
    """Rank of LoRA; None: all weights are trained."""
    grouped: bool = False
    """Whether rows of like length share a batch: less padding, the same order every epoch."""
    whole: float = 0.0
    """Share of the rows with loss on every token, for models that have to learn the language."""
    vector_lr: float = 0.0
    """Learning rate of embeddings, norms and biases; 0: that of the matrices."""
    trl: Mapping[str, Json] = field(default_factory=dict[str, Json])


_PAPER: dict[str, Json] = {
    "num_train_epochs": 2,
    "max_length": 20_000,
    "packing": False,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,
    "activation_checkpointing": True,
    "bf16": True,
    "save_steps": 50,
}

PRESETS: dict[str, SFTPreset] = {
    "paper-14b": SFTPreset(
        "the paper's settings for Qwen3-14B; launch with accelerate, 2 processes a row",
        batch=32,
        rows_at_once=1,
        context_parallel=2,
        trl=_PAPER | {"learning_rate": 5e-6},
    ),
    "paper-32b": SFTPreset(
        "the paper's settings for Qwen3-32B; launch with accelerate, 4 processes a row",
        batch=32,
        rows_at_once=1,
        context_parallel=4,
        trl=_PAPER | {"learning_rate": 2e-6},
    ),
    "h200": SFTPreset(
        "one GPU of 141 GB, all weights of a model of up to some 4B parameters",
        batch=32,
        rows_at_once=1,
        trl=_PAPER | {"learning_rate": 1e-5},
    ),
    "laptop": SFTPreset(
        "one small GPU or none: LoRA, short rows",
        batch=16,
        rows_at_once=1,
        lora=16,
        trl=_PAPER | {"learning_rate": 2e-4, "max_length": 4096, "bf16": False},
    ),
    "nano": SFTPreset(
        "a nano model from scratch on a CPU",
        batch=16,
        rows_at_once=16,
        grouped=True,
        whole=0.25,
        vector_lr=2e-2,
        trl={
            "num_train_epochs": 1,
            "max_length": 1024,
            "packing": False,
            "learning_rate": 3e-3,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.05,
            "adam_beta2": 0.95,
            "weight_decay": 0.0,
            "activation_checkpointing": False,
            "bf16": False,
            "use_cpu": True,
            "save_steps": 200,
            "logging_steps": 5,
            "logging_first_step": True,
        },
    ),
}


def parse_settings(
    pairs: Sequence[str], known: type, ours: Mapping[str, str] | None = None
) -> dict[str, Json]:
    """Options from `key=value` texts, for a dataclass of options; values are read as YAML.

    `ours`: options that are set elsewhere, and how; None: those of SFT. ConfigError for these, and
    for a key that the dataclass doesn't have.
    """
    ours = OURS if ours is None else ours
    names = {f.name for f in dataclasses.fields(known) if f.init}
    found: dict[str, Json] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().removeprefix("--").replace("-", "_")
        if not equals or key not in names:
            near = difflib.get_close_matches(key, names, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            # The value may be a secret under a mistyped name.
            raise ConfigError(f"--set {key!r}: write KEY=VALUE, KEY one of {known.__name__}{hint}")
        if key in ours:
            raise ConfigError(f"--set {pair!r}: {ours[key]}")
        found[key] = _value(pair, value)
    return found


OURS = {
    "dataset_kwargs": "the rows are encoded already",
    "output_dir": "the folder is given with --out",
    "per_device_train_batch_size": "use --rows-at-once",
    "gradient_accumulation_steps": "it follows from --batch and --rows-at-once",
    "report_to": "use --report-to",
    "seed": "use --seed",
    "data_seed": "use --seed",
    "resume_from_checkpoint": "use --resume",
    "save_only_model": "use --keep-states",
    "save_total_limit": "use --keep-weights",
    "assistant_only_loss": "the rows are masked already, exactly",
    "completion_only_loss": "the rows are masked already, exactly",
}
"""Options of TRL that are set by options of ours, and how."""


def _value(pair: str, text: str) -> Any:
    try:
        value: Json = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {pair!r}: the value can't be read ({error!s:.200})") from error
    if isinstance(value, str):  # YAML wants a dot in 1e-5
        try:
            return float(value)
        except ValueError:
            return value
    return value
