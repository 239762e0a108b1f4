"""Options of `train plan`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from astra.configs.base import RUNTIME, Config, above, at_least, at_most
from astra.configs.spelling import option_name
from astra.configs.training import EngineName, Precision
from astra.errors import ConfigError

GpuName = Literal["h200", "h100", "a100", "b200", "mi300x", "l40s", "rtx4090"]
Sharding = Literal["none", "fsdp"]


@dataclass(frozen=True, kw_only=True)
class PlanTrainingConfig(Config):
    """Model, machine and settings."""

    model: str | Path
    """Model: the folder or Hugging Face id of the one to train. Only its config.json is read."""
    method: Literal["sft", "rl"] = "sft"
    """What is planned: train sft or train rl."""
    gpus: Annotated[int, at_least(1)] = 1
    """Number of GPUs."""
    gpu: GpuName = "h200"
    """Kind of GPU."""
    preset: Literal["nano", "laptop", "h200", "paper-14b", "paper-32b"] | Path | str = "h200"
    """Values for all options not given. Or a TOML file."""
    sharding: Sharding | None = None
    """none: a whole model per process. fsdp: split over the processes. None: fsdp with several
    GPUs."""
    engine: EngineName | None = None
    """What generates episodes. None: transformers, or vllm with fsdp."""
    max_length: Annotated[int | None, at_least(2)] = None
    """Maximum tokens of a sequence: prompt, messages and tool results. None: preset."""
    batch_size: Annotated[int | None, at_least(1)] = None
    """Number per optimizer step: rows or arenas, over all processes. None: preset."""
    group_size: Annotated[int | None, at_least(2)] = None
    """Episodes per arena and step (G). None: preset."""
    micro_batch_size: Annotated[int | None, at_least(1)] = None
    """Sequences per forward pass and process. None: preset."""
    concurrency: Annotated[int | None, at_least(1), RUNTIME] = None
    """Items at the same time: episodes, per process. None: preset."""
    max_staleness: Annotated[int | None, at_least(0)] = None
    """Optimizer steps that episodes may be older than the weights they train. From 1 on, the next
    batch is sampled while this one trains. None: in turns."""
    partial_rollouts: bool = False
    """Take a batch as soon as it is full; half a batch more is begun, whose slowest episodes go on
    in the next step. Needs --max-staleness 2 or more."""
    context_parallel: Annotated[int | None, at_least(1)] = None
    """Processes that share the tokens of one row. None: preset."""
    lora_rank: Annotated[int | None, at_least(0)] = None
    """Rank of LoRA adapters on all linear layers. 0: train all weights. None: preset."""
    precision: Precision | None = None
    """Precision of computation. Weights stay in fp32. None: preset."""
    activation_checkpointing: bool | None = None
    """Recompute activations in the backward pass to save memory. None: preset."""
    steps: Annotated[int | None, at_least(1)] = None
    """Optimizer steps. None: of rl the preset's, of sft 1,000."""
    mean_length: Annotated[int | None, at_least(2)] = None
    """Mean tokens of a sequence, for time. None: --max-length."""
    written: Annotated[float, above(0), at_most(1)] = 0.25
    """rl: fraction of a sequence's tokens that the policy writes."""
    mfu: Annotated[float, above(0), at_most(1)] = 0.4
    """Fraction of the GPU's peak that the model's own FLOPs reach. Recomputation is not counted."""
    bandwidth_share: Annotated[float, above(0), at_most(1)] = 0.5
    """rl: fraction of the memory's bandwidth that generation reaches."""
    price: Annotated[float | None, at_least(0)] = None
    """Price of a GPU for an hour. None: no money is told."""

    def check(self) -> None:
        if self.method == "sft":
            for name in ("engine", "group_size", "concurrency", "max_staleness"):
                if getattr(self, name) is not None:
                    raise ConfigError(f"{option_name(name)} is of rl: leave it out for sft")
            if self.partial_rollouts:
                raise ConfigError(
                    f"{option_name('partial_rollouts')} is of rl: leave it out for sft"
                )
        elif self.context_parallel is not None:
            raise ConfigError(f"{option_name('context_parallel')} is of sft: leave it out for rl")
        if self.partial_rollouts and (self.max_staleness or 0) < 2:
            name, bound = option_name("partial_rollouts"), option_name("max_staleness")
            raise ConfigError(f"{name} needs {bound} 2 or more, not {self.max_staleness}")
        if self.engine == "transformers" and self.sharded:
            raise ConfigError(
                f"{option_name('engine')} 'transformers' can't generate with sharded weights: set "
                f"{option_name('sharding')} to none, or take vllm"
            )
        if self.max_staleness and (self.gpus > 1 or self.engine == "vllm"):
            raise ConfigError(
                f"{option_name('max_staleness')} above 0 needs one process and the engine "
                "transformers: leave it out, or set 0"
            )

    @property
    def sharded(self) -> bool:
        return self.gpus > 1 and self.sharding != "none"
