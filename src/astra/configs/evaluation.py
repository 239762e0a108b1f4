"""Options of the commands that evaluate models."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from astra.configs.base import (
    RUNTIME,
    Config,
    DistractorConfig,
    EpisodeConfig,
    Identified,
    ModelConfig,
    OutputConfig,
    SandboxConfig,
    at_least,
)
from astra.errors import ConfigError

REWARDS = ("f1", "recall", "precision", "strict")
RewardLike = str | Callable[[Any, Any], float]
"""A reward by name, `module:function`, or a function of arena and trajectory."""


class ModelLike(Protocol):
    """An object that writes messages: see `astra.Model`."""

    @property
    def name(self) -> str: ...

    def generate(self, messages: Any, tools: Any, sampling: Any) -> Any: ...


@dataclass(frozen=True)
class EvaluateConfig(ModelConfig, EpisodeConfig, DistractorConfig, SandboxConfig, OutputConfig):
    """Arenas and model."""

    arenas: Path | str | Identified
    """Run folder of arenas. In Python also an ArenaSet."""
    _: KW_ONLY
    model: str | Path | ModelLike | None = None
    """Model to play them: a folder, a Hugging Face id, or with --base-url the endpoint's name."""
    policy: Literal["gold", "null", "random", "shuffled"] | None = None
    """Reference policy to play them instead of a model."""
    out: Path | str | None = None
    """Run folder to write. None: a temporary one, the episodes are not kept."""
    split: Literal["train", "test", "all"] = "test"
    """Arenas to use."""
    limit: Annotated[int | None, at_least(1)] = None
    """Use only the first items. None: all."""
    samples: Annotated[int, at_least(1)] = 1
    """Episodes per arena."""
    reward: RewardLike = "f1"
    """f1, recall, precision, strict, or module:function(arena, trajectory) -> float."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 64
    """Episodes at the same time."""

    def check(self) -> None:
        if (self.model is None) == (self.policy is None):
            raise ConfigError("give either --model NAME (with --base-url URL) or --policy NAME")
        if self.base_url is not None and not isinstance(self.model, str):
            raise ConfigError("base_url needs the name of a model: give --model NAME")


@dataclass(frozen=True)
class CompareConfig(Config):
    """Evaluations."""

    first: Path | str
    """Run folder of an evaluation."""
    second: Path | str
    """Run folder of the evaluation that it is compared with."""
    _: KW_ONLY
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""
