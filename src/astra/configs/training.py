"""Options of `train sft` and `train rl`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from astra.configs.base import (
    RUNTIME,
    CertifiedConfig,
    Config,
    DistractorConfig,
    Identified,
    OutputConfig,
    SandboxConfig,
    TemplateConfig,
    above,
    at_least,
    at_most,
    below,
)
from astra.configs.evaluation import RewardLike
from astra.configs.spelling import option_name
from astra.errors import ConfigError

ALGORITHMS = (
    "grpo",
    "gigpo",
    "hgpo",
    "graphgpo",
    "igpo",
    "first_exposure",
    "counterfactual",
    "sdpo",
    "drift",
    "acpo",
)

LearningRateSchedule = Literal["constant", "linear", "cosine"]
Precision = Literal["bf16", "fp32"]
AttributionName = Literal["verified", "likelihood", "entropy", "counterfactual"]
BaselineName = Literal["state", "episode"]
EngineName = Literal["transformers", "vllm"]
TruncatedReward = Literal["score", "zero"]


class AlgorithmLike(Protocol):
    """An object that assigns credit: see `astra.training.Algorithm`."""

    @property
    def name(self) -> str: ...

    def credit(self, batch: Any, policy: Any) -> Any: ...


class EnvironmentLike(Protocol):
    """An object with tasks to play: see `astra.training.RolloutEnvironment`."""

    def tasks(self) -> Sequence[str]: ...

    def play(self, task: str, model: Any, *, seed: int, epoch: int) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TemplateConfig):
    """Checkpoints and logging."""

    save_every: Annotated[int | None, at_least(1)] = None
    """Optimizer steps between checkpoints. None: preset."""
    keep_resumable: Annotated[int, at_least(1), RUNTIME] = 2
    """Checkpoints that keep the optimizer state."""
    keep_checkpoints: Annotated[int | None, at_least(1), RUNTIME] = None
    """Checkpoints kept in all. None: every one."""
    report_to: Annotated[Sequence[str], RUNTIME] = ()
    """Trackers beside metrics.jsonl: tensorboard, wandb, trackio."""
    precision: Precision | None = None
    """Precision of computation. Weights stay in fp32. None: preset."""
    activation_checkpointing: bool | None = None
    """Recompute activations in the backward pass to save memory. None: preset."""
    parameter_lrs: Mapping[str, float] = field(default_factory=dict[str, float])
    """Learning rates of parameters whose name matches a pattern: *norm*=0.03. A `?` at the end
    of a pattern allows that nothing matches."""
    trl: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further options of TRL's trainer config: adam_beta2=0.95."""


@dataclass(frozen=True, kw_only=True)
class TrainSFTConfig(TrainConfig, OutputConfig):
    """Model, data and optimization."""

    model: str | Path
    """Model: the folder or Hugging Face id of the one to train."""
    dataset: Path | str
    """JSONL file of conversations: rows of `messages` and `tools`."""
    out: Annotated[Path | str, RUNTIME]
    """Run folder to write. The model is OUT/final."""
    learning_rate: Annotated[float | None, at_least(0)] = None
    """Peak learning rate. None: preset."""
    batch_size: Annotated[int | None, at_least(1)] = None
    """Number per optimizer step: rows, over all processes. None: preset."""
    epochs: Annotated[float | None, above(0)] = None
    """Passes over the data. None: preset."""
    max_length: Annotated[int | None, at_least(2)] = None
    """Maximum tokens of a sequence: prompt, messages and tool results. None: preset."""
    preset: Literal["auto", "nano", "laptop", "h200", "paper-14b", "paper-32b"] | Path | str = (
        "auto"
    )
    """Values for all options not given. auto: by model size and device. Or a TOML file."""
    micro_batch_size: Annotated[int | None, at_least(1)] = None
    """Sequences per forward pass and process. None: preset."""
    warmup: Annotated[float | None, at_least(0)] = None
    """Warm-up of the learning rate: a fraction of all steps below 1, else steps. None: preset."""
    lr_schedule: LearningRateSchedule | None = None
    """Course of the learning rate after warm-up. None: preset."""
    lora_rank: Annotated[int | None, at_least(0)] = None
    """Rank of LoRA adapters on all linear layers. 0: train all weights. None: preset."""
    limit: Annotated[int | None, at_least(1)] = None
    """Use only the first items. None: all."""
    group_by_length: bool | None = None
    """Batch rows of similar length: less padding, the same order in every epoch. None: preset."""
    full_loss_fraction: Annotated[float | None, at_least(0), at_most(1)] = None
    """Fraction of rows with loss on every token, for models that learn the language. None:
    preset."""
    context_parallel: Annotated[int | None, at_least(1)] = None
    """Processes that share the tokens of one row. None: preset."""


@dataclass(frozen=True, kw_only=True)
class CreditConfig(Config):
    """Credit assignment."""

    attribution: AttributionName = "verified"
    """acpo: how a step's contribution is measured."""
    baseline: BaselineName = "state"
    """acpo: what a step's contribution is compared with."""
    alpha: Annotated[float, above(-1), below(1)] = 0.9
    """acpo, first_exposure: weight of the step-level factor. 0: none."""
    confidence_gamma: Annotated[float, at_least(0), below(1)] = 0.3
    """acpo: strength of confidence weights. 0: none."""
    kl: Annotated[float, at_least(0)] = 0.01
    """acpo: KL coefficient in the convergence phase."""
    explore_steps: Annotated[int | None, at_least(0)] = 200
    """acpo: steps after which exploration ends."""
    stall_steps: Annotated[int | None, at_least(1)] = 50
    """acpo: steps without improvement after which exploration ends."""
    step_weight: float = 1.0
    """gigpo, hgpo, graphgpo, igpo, counterfactual: weight of the step-level advantage."""
    discount: Annotated[float, at_least(0), at_most(1)] = 0.95
    """gigpo, hgpo, igpo: discount of returns. graphgpo: of each step to the goal."""
    history: Annotated[int | None, at_least(0)] = None
    """hgpo: earlier states that compared steps share, at most. None: 2."""
    success: float = 0.5
    """acpo, sdpo, drift: a rollout is a success if its reward is above this."""
    warm_up_steps: Annotated[int, at_least(0)] = 20
    """drift: steps of self-distillation alone, before tasks are routed by difficulty."""
    agreement: Annotated[bool, RUNTIME] = True
    """All but grpo: replay episodes in arenas to log how far credit agrees with the
    counterfactual."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """acpo, rarely needed: segmentation.*, entropy.*, switch.*, curriculum.*, cue, log_rollouts."""


@dataclass(frozen=True, kw_only=True)
class TrainRLConfig(DistractorConfig, CertifiedConfig, SandboxConfig, TrainConfig, OutputConfig):
    """Model, data and optimization."""

    model: str | Path
    """Model: the folder or Hugging Face id of the one to train."""
    arenas: Path | str | Identified | EnvironmentLike
    """Run folder of arenas: split train is used. In Python also an ArenaSet or a
    RolloutEnvironment."""
    out: Annotated[Path | str, RUNTIME]
    """Run folder to write. The model is OUT/final."""
    exclude_rows: Path | str | None = None
    """Rows of SFT: the arenas that they show are left out. None: all of split train are played."""
    learning_rate: Annotated[float | None, at_least(0)] = None
    """Peak learning rate. None: preset."""
    batch_size: Annotated[int | None, at_least(1)] = None
    """Number per optimizer step: arenas, over all processes. Each is played --group-size times.
    None: preset."""
    group_size: Annotated[int | None, at_least(2)] = None
    """Episodes per arena and step (G). None: preset."""
    max_steps: Annotated[int | None, at_least(1)] = None
    """Optimizer steps. None: preset."""
    preset: Literal["auto", "nano", "laptop", "h200", "paper-14b"] | Path | str = "auto"
    """Values for all options not given. auto: by model size and device. Or a TOML file."""
    micro_batch_size: Annotated[int | None, at_least(1)] = None
    """Sequences per forward pass and process. None: preset."""
    warmup: Annotated[float | None, at_least(0)] = None
    """Warm-up of the learning rate: a fraction of all steps below 1, else steps. None: preset."""
    lr_schedule: LearningRateSchedule | None = None
    """Course of the learning rate after warm-up. None: preset."""
    lora_rank: Annotated[int | None, at_least(0)] = None
    """Rank of LoRA adapters on all linear layers. 0: train all weights. None: preset."""
    max_turns: Annotated[int | None, at_least(1)] = None
    """Maximum assistant messages in an episode. None: preset."""
    max_tokens: Annotated[int | None, at_least(1)] = None
    """Maximum tokens of one assistant message. None: preset."""
    max_length: Annotated[int | None, at_least(2)] = None
    """Maximum tokens of a sequence: prompt, messages and tool results. None: preset."""
    temperature: Annotated[float, above(0)] = 1.0
    """Sampling temperature."""
    system_prompt: Path | str | None = None
    """File with the system prompt. None: the built-in one in the language of the task."""
    reward: RewardLike = "f1"
    """f1, recall, precision, strict, or module:function(arena, trajectory) -> float."""
    truncated: TruncatedReward | None = None
    """Reward of an episode that a limit of turns or tokens cut short: its score as it stands, or
    zero, which keeps messages ending. None: score."""
    algorithm: str | AlgorithmLike = "grpo"
    """grpo, gigpo, hgpo, graphgpo, igpo, first_exposure, counterfactual, sdpo, drift, acpo, or
    module:Class."""
    max_sampling_rounds: Annotated[int | None, at_least(1)] = None
    """Rounds of episodes to fill a batch with groups of non-zero variance. 1: no filling. None:
    preset."""
    max_staleness: Annotated[int | None, at_least(0)] = None
    """Optimizer steps that episodes may be older than the weights they train. From 1 on, the next
    batch is sampled while this one trains. None: in turns, no limit."""
    partial_rollouts: bool = False
    """Take a batch as soon as it is full; slower episodes go on in the next step, under its
    weights. Needs --max-staleness 2 or more."""
    min_reward_std: Annotated[float, at_least(0)] = 0.0
    """A group is trained on if its rewards' standard deviation is above this."""
    curriculum_steps: Annotated[int, at_least(0)] = 0
    """Steps over which the number of hops rises. 0: all from the start."""
    engine: EngineName = "transformers"
    """What generates episodes."""
    deterministic: bool | None = None
    """The same seed gives bit-identical results. Otherwise episodes join a running batch at any
    token, which is faster. None: preset."""
    share_prefix: bool | None = None
    """Compute a group's common prompt once in the loss. For short episodes. None: preset."""
    concurrency: Annotated[int | None, at_least(1), RUNTIME] = None
    """Items at the same time: episodes, per process. None: preset."""
    credit: CreditConfig = field(default_factory=CreditConfig)

    def check(self) -> None:
        if isinstance(self.algorithm, str):
            if self.algorithm not in ALGORITHMS and ":" not in self.algorithm:
                raise ConfigError(
                    f"{option_name('algorithm')} {self.algorithm!r}: choose among "
                    f"{', '.join(ALGORITHMS)}, or give module:Class"
                )
            if self.algorithm != "acpo" and self.credit.options:
                name = next(iter(self.credit.options))
                raise ConfigError(
                    f"{option_name('credit.options')} {name!r}: only the algorithm acpo has them"
                )
        if self.partial_rollouts:
            name = option_name("partial_rollouts")
            bound = option_name("max_staleness")
            if (self.max_staleness or 0) < 2:
                raise ConfigError(
                    f"{name} with {bound} {self.max_staleness}: what goes on into a second step is "
                    f"2 steps old there: set {bound} to 2 or more"
                )
            if self.deterministic:
                raise ConfigError(
                    f"{name}: which episodes go on depends on how fast they are, but "
                    f"{option_name('deterministic')} is on, here or in the preset: switch it off"
                )
