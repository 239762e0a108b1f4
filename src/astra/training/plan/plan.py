"""The plan of a training: memory per GPU, whether it fits and what to change, time and money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from astra.configs.plan import PlanTrainingConfig
from astra.configs.training import TrainRLConfig, TrainSFTConfig
from astra.training.plan.gpus import GPUS, Gpu
from astra.training.plan.memory import PlannedMemory, PlanSettings, planned_memory
from astra.training.plan.sizes import ModelSizes, layer_bytes, model_sizes
from astra.training.presets.resolve import resolve, with_fitting_micro_batch

FITS = 0.9
"""Fraction of a GPU's memory that a plan may fill: see what `memory` leaves out."""
SFT_STEPS = 1_000
_LORA_RANK = 16
_MOST_GPUS = 64


@dataclass(frozen=True)
class PlannedTime:
    """Work of one optimizer step over all GPUs."""

    tokens: float
    """Tokens that the loss passes through the model."""
    flops: float
    """FLOPs of the model on these tokens, without recomputation."""
    training_seconds: float
    rollout_seconds: float
    """Of rl, one round of episodes. 0 for sft."""

    @property
    def seconds(self) -> float:
        return self.training_seconds + self.rollout_seconds


@dataclass(frozen=True)
class PlannedChange:
    """A change, with all those before it in the list."""

    option: str
    """As it is typed."""
    total: float
    """Bytes per GPU after it."""
    fits: bool


@dataclass(frozen=True)
class TrainingPlan:
    """All that `astra train plan` prints."""

    sizes: ModelSizes
    settings: PlanSettings
    gpu: Gpu
    memory: PlannedMemory
    changes: tuple[PlannedChange, ...]
    """What makes it fit, the cheapest first. Empty if it fits."""
    time: PlannedTime
    steps: int
    price: float | None

    @property
    def fits(self) -> bool:
        return self.memory.total <= FITS * self.gpu.memory

    @property
    def hours(self) -> float:
        return self.steps * self.time.seconds / 3600

    @property
    def money(self) -> float | None:
        return None if self.price is None else self.hours * self.settings.gpus * self.price


def plan_training(config: PlanTrainingConfig) -> TrainingPlan:
    """The plan of a training. ConfigError for a model that there is not, or that can't be counted.

    Nothing is loaded or computed but the model's configuration.
    """
    sizes, model_config = model_sizes(str(config.model))
    settings, preset_steps = _settings(config)
    per_token = {settings.dtype: layer_bytes(model_config, settings.dtype)}

    def memory(changed: PlanSettings) -> PlannedMemory:
        if changed.dtype not in per_token:
            per_token[changed.dtype] = layer_bytes(model_config, changed.dtype)
        return planned_memory(sizes, changed, per_token[changed.dtype])

    gpu, first = GPUS[config.gpu], memory(settings)
    changes: list[PlannedChange] = []
    current, total = settings, first.total
    for option, changed in _changes(settings):
        if total <= FITS * gpu.memory:
            break
        # On top of the changes before it, unless it is in vain.
        merged = replace(current, **changed)
        after = memory(merged).total
        if after < 0.98 * total:
            current, total = merged, after
            change = PlannedChange(option, after, after <= FITS * gpu.memory)
            if changes and changes[-1].option.split()[0] == option.split()[0]:
                changes.pop()  # the same option with another value
            changes.append(change)
    steps = config.steps or preset_steps
    return TrainingPlan(
        sizes, settings, gpu, first, tuple(changes), _time(config, sizes, settings), steps,
        config.price,
    )  # fmt: skip


def _settings(config: PlanTrainingConfig) -> tuple[PlanSettings, int]:
    """The settings with those of the preset filled in, and the number of steps."""
    own = ("max_length", "batch_size", "micro_batch_size", "lora_rank", "precision")
    given: dict[str, Any] = {name: getattr(config, name) for name in own}
    given |= {"activation_checkpointing": config.activation_checkpointing}
    given |= {"model": config.model, "preset": config.preset, "out": "unused"}
    rl = config.method == "rl"
    resolved: TrainRLConfig | TrainSFTConfig
    if rl:
        given |= {"group_size": config.group_size, "concurrency": config.concurrency}
        resolved, _ = resolve(TrainRLConfig(**given, arenas="unused"), "rl")
        sequences = cast(int, resolved.batch_size) * cast(int, resolved.group_size)
    else:
        given |= {"context_parallel": config.context_parallel}
        resolved, _ = resolve(TrainSFTConfig(**given, dataset="unused"), "sft")
        sequences = cast(int, resolved.batch_size)
    if config.micro_batch_size is None:
        resolved = with_fitting_micro_batch(cast(Any, resolved), config.gpus)
    settings = PlanSettings(
        rl=rl,
        gpus=config.gpus,
        sharded=config.sharded,
        vllm=rl and (config.engine == "vllm" or config.sharded),
        ahead=bool(config.max_staleness),
        partial=config.partial_rollouts,
        max_length=cast(int, resolved.max_length),
        micro_batch_size=cast(int, resolved.micro_batch_size),
        sequences=sequences,
        concurrency=cast(int, getattr(resolved, "concurrency", 0)),
        context_parallel=cast(int, getattr(resolved, "context_parallel", 1)),
        lora_rank=cast(int, resolved.lora_rank),
        bf16=resolved.precision == "bf16",
        checkpointing=bool(resolved.activation_checkpointing),
    )
    return settings, cast(int, getattr(resolved, "max_steps", SFT_STEPS))


def _changes(settings: PlanSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Changes that save memory, the cheapest first, with the fields that they set."""
    s = settings
    in_turns = {"ahead": False, "partial": False}
    if not s.checkpointing:
        yield "--activation-checkpointing", {"checkpointing": True}
    if not s.bf16:
        yield "--precision bf16", {"bf16": True}
    if s.micro_batch_size > 1:
        yield "--micro-batch-size 1", {"micro_batch_size": 1}
    if s.ahead:
        yield "--max-staleness 0", in_turns
    if s.gpus > 1 and not s.sharded:
        yield "--sharding fsdp", {"sharded": True, "vllm": s.rl}
    fewer = s.episodes_at_once
    while fewer > 8:
        fewer //= 2
        yield f"--concurrency {fewer}", {"concurrency": fewer}
    size = 2 * s.context_parallel
    while not s.rl and size <= s.gpus:
        yield f"--context-parallel {size}", {"context_parallel": size}
        size *= 2
    if not s.lora_rank:
        # Adapters last: they train another model. More GPUs first.
        gpus = 2 * s.gpus
        while gpus <= _MOST_GPUS:
            changed = {"gpus": gpus, "sharded": True, "vllm": s.rl, **in_turns}
            yield f"--gpus {gpus} --sharding fsdp", changed
            gpus *= 2
        yield f"--lora-rank {_LORA_RANK}", {"lora_rank": _LORA_RANK}
    length = s.max_length // 2
    while length >= 1_024:
        yield f"--max-length {length}", {"max_length": length}
        length //= 2


def _time(config: PlanTrainingConfig, sizes: ModelSizes, settings: PlanSettings) -> PlannedTime:
    """One step. Formulas and sources: docs/train-plan.md."""
    s, gpu = settings, GPUS[config.gpu]
    length = config.mean_length or s.max_length
    tokens = s.sequences * length
    # Forward and backward take 2 and 4 FLOPs a parameter and token; LoRA needs no gradients of the
    # weights, which are 2 of these. Attention is causal: half of all pairs.
    per_token = (4 if s.lora_rank else 6) * sizes.active + 6 * sizes.attention * length
    flops = float(tokens * per_token)
    reached = config.mfu * (gpu.bf16 if s.bf16 else gpu.fp32)
    rollouts = 0.0
    if s.rl:
        forward = 2 * sizes.active + 2 * sizes.attention * length
        prefill = tokens * (1 - config.written) * forward / (s.gpus * reached)
        at_once = s.episodes_at_once
        waves = -(-s.sequences // (s.gpus * at_once))
        # Read once per token: the weights (under autocast also cast anew), and half of the cache of
        # full episodes on average.
        weight_bytes = 2 if s.vllm else 8 if s.bf16 else 4
        cache = at_once * length / 2 * sizes.cached * (2 if s.bf16 else 4)
        read = weight_bytes * sizes.parameters + cache
        decode = max(read / (config.bandwidth_share * gpu.bandwidth), at_once * forward / reached)
        rollouts = prefill + waves * config.written * length * decode
    return PlannedTime(float(tokens), flops, flops / (s.gpus * reached), rollouts)
