"""Options with the values of their preset filled in."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from astra.configs.base import identity, options
from astra.configs.files import read_options
from astra.configs.options import did_you_mean
from astra.configs.training import TrainConfig, TrainRLConfig, TrainSFTConfig
from astra.errors import ConfigError
from astra.runs.config_file import SECRET

C = TypeVar("C", TrainSFTConfig, TrainRLConfig)
_NANO_PARAMETERS = 20e6
_BYTES_PER_PARAMETER = 16
"""Full training in fp32 with AdamW: weights 4, gradients 4, optimizer state 8."""
_ACTIVATION_SHARE = 0.5
"""Share of a GPU's memory that is left to activations and the key-value cache."""

_ELSEWHERE = {
    "output_dir": "use out",
    "per_device_train_batch_size": "use micro_batch_size",
    "gradient_accumulation_steps": "it follows from batch_size and micro_batch_size",
    "generation_batch_size": "it follows from batch_size and group_size",
    "steps_per_generation": "it follows from batch_size, group_size and micro_batch_size",
    "num_generations": "use group_size",
    "max_completion_length": "use max_length and max_tokens",
    "max_length": "use max_length",
    "num_train_epochs": "use epochs (sft) or max_steps (rl)",
    "learning_rate": "use learning_rate",
    "lr_scheduler_type": "use lr_schedule",
    "warmup_steps": "use warmup",
    "warmup_ratio": "use warmup",
    "temperature": "use temperature",
    "report_to": "use report_to",
    "seed": "use seed",
    "data_seed": "use seed",
    "resume_from_checkpoint": "use if_exists",
    "save_steps": "use save_every",
    "save_only_model": "use keep_resumable",
    "save_total_limit": "use keep_checkpoints",
    "bf16": "use precision",
    "fp16": "use precision",
    "activation_checkpointing": "use activation_checkpointing",
    "gradient_checkpointing": "use activation_checkpointing",
    "use_vllm": "use engine",
    "trust_remote_code": "no code of a model folder is run, nor of its pickles",
    "vllm_importance_sampling_correction": "it stays off: see docs/rl.md",
    "dataset_kwargs": "the rows are encoded already",
    "assistant_only_loss": "the rows are masked already, exactly",
    "completion_only_loss": "the rows are masked already, exactly",
}
"""Options of TRL that are set by options of ours, and how."""
_TOKENS_OF_TEXT = ("eos_token", "pad_token")
_UNSAFE_LOADING = ("trust_remote_code", "weights_only")


def resolve(config: C, kind: Literal["sft", "rl"]) -> tuple[C, str]:
    """Fill the options that are None from the preset; also returns a line about the preset.

    Raises ConfigError for a preset that is not there, is damaged, or leaves an option open.
    """
    chosen_by_model = config.preset == "auto"
    name = _choose(str(config.model), kind) if chosen_by_model else str(config.preset)
    path = Path(str(files("astra.training.presets") / kind / f"{name}.toml"))
    if not path.exists():
        path = Path(name)
    preset = read_options(path, type(config))
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    about = first.removeprefix("#").strip() if first.startswith("#") else str(path)

    declared = {option.field: option for option in options(type(config)) if not option.section}
    values: dict[str, Any] = {}
    for field, value in preset.items():
        typed = getattr(config, field)
        if isinstance(typed, Mapping):
            # Typed ones first: of the patterns in `parameter_lrs`, the first that matches decides.
            values[field] = {**typed, **{k: v for k, v in value.items() if k not in typed}}
        elif typed is None or typed == declared[field].default:
            values[field] = value
    lora_rank = config.lora_rank if config.lora_rank is not None else values.get("lora_rank", 0)
    if lora_rank:
        # LoRA freezes what the preset's own rates are for; those typed are checked later.
        values["parameter_lrs"] = config.parameter_lrs
    resolved = dataclasses.replace(config, **values, preset=name)
    for option in declared.values():
        # A docstring that ends in "None: preset." marks what a preset must set.
        if "None: preset." in option.documentation and (getattr(resolved, option.field) is None):
            raise ConfigError(
                f"the preset {name!r} does not set {option.field!r}: add it, or give "
                f"--{option.name}"
            )
    why = " by model and device" if chosen_by_model else ""
    return resolved, f"preset {name}{why} ({about})"


def with_fitting_micro_batch(config: C, processes: int) -> C:
    """The largest micro-batch up to the preset's that divides the batch of a process."""
    batch = cast(int, config.batch_size)
    if isinstance(config, TrainRLConfig):
        batch *= cast(int, config.group_size)
    else:
        processes //= cast(int, config.context_parallel)
    share = max(1, batch // max(1, processes))
    largest = min(cast(int, config.micro_batch_size), share)
    size = next(size for size in range(largest, 0, -1) if not share % size)
    return dataclasses.replace(config, micro_batch_size=size)


def settings_line(config: TrainConfig, title: str) -> str:
    """All options on one line, for logs. Secrets are masked."""

    values = _flat(identity(config)).items()
    shown = (
        f"{name}={'***' if SECRET.search(name.rpartition('.')[2]) else value}"
        for name, value in values
    )
    return f"{title}: {', '.join(shown)}"


def announce(config: TrainSFTConfig | TrainRLConfig, *lines: str) -> None:
    """Write lines about a run to stderr, unless progress is switched off."""
    if config.progress is not False:
        # Options are text from outside: nothing in them may drive the terminal.
        text = "".join(f"{line.encode('unicode_escape').decode()}\n" for line in lines)
        sys.stderr.write(text)


def require_known(trl: Mapping[str, Any], known: type) -> None:
    """Raise ConfigError for options that TRL does not have, that options of ours set, and keys."""
    names = [f.name for f in dataclasses.fields(known) if f.init]
    for name in _flat(trl):
        if SECRET.search(name.rpartition(".")[2]) and name not in _TOKENS_OF_TEXT:
            raise ConfigError(
                f"trl {name!r}: a key is not an option, as each checkpoint would hold it: set the "
                "environment variable HF_TOKEN instead"
            )
    loading: Any = trl.get("model_init_kwargs")
    for name in _UNSAFE_LOADING:
        if isinstance(loading, Mapping) and name in loading:
            raise ConfigError(f"trl 'model_init_kwargs.{name}': {_ELSEWHERE['trust_remote_code']}")
    for name in trl:
        if name in _ELSEWHERE and not (name == "max_length" and name not in names):
            raise ConfigError(f"trl {name!r}: {_ELSEWHERE[name]}")
        if name not in names:
            hint = did_you_mean(name, names) or f": it is not an option of {known.__name__}"
            raise ConfigError(f"trl {name!r} is unknown{hint}")


def _choose(model: str, kind: str) -> str:
    """The preset for a model on this machine's device."""
    import torch

    from astra.engines.loading import load_skeleton

    skeleton = load_skeleton(model)
    parameters = sum(parameter.numel() for parameter in skeleton.parameters())
    memory = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else 0
    if parameters < _NANO_PARAMETERS and not memory:
        return "nano"
    # On a GPU that is too small for all weights, LoRA (`laptop`) is what fits.
    fits = parameters * _BYTES_PER_PARAMETER <= memory * _ACTIVATION_SHARE
    return "h200" if fits and parameters >= _NANO_PARAMETERS else "laptop"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
