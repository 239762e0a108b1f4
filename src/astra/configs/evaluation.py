"""Options of the commands that evaluate models."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from astra.configs.base import (
    ADDRESS,
    RUNTIME,
    VARIABLE,
    CertifiedConfig,
    Config,
    DistractorConfig,
    EpisodeConfig,
    Identified,
    ModelConfig,
    NewRunFolder,
    OutputConfig,
    SandboxConfig,
    TemplateConfig,
    above,
    at_least,
)
from astra.configs.cluster import ClusterConfig
from astra.configs.difficulty import pass_rates
from astra.configs.spelling import option_name
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
class EvaluateConfig(
    ModelConfig,
    TemplateConfig,
    EpisodeConfig,
    DistractorConfig,
    CertifiedConfig,
    SandboxConfig,
    ClusterConfig,
    OutputConfig,
):
    """Arenas and model."""

    arenas: Path | str | Identified
    """Run folder of arenas. In Python also an ArenaSet."""
    _: KW_ONLY
    model: str | Path | ModelLike | None = None
    """Model: a folder, a Hugging Face id, or with --base-url the endpoint's name."""
    policy: (
        Literal["gold", "null", "random", "shuffled", "reader", "careless", "asker", "refuser"]
        | None
    ) = None
    """Reference policy to play them instead of a model."""
    agent: str | None = None
    """Program to play them: its command line. With a model, it reaches that at OPENAI_BASE_URL."""
    agent_env: Annotated[Sequence[str], RUNTIME] = ()
    """Environment variables that the program gets beside PATH, HOME and its addresses."""
    user_model: str | ModelLike | None = None
    """Model that words what the user of a conversation says. None: the script's own words."""
    user_url: Annotated[str | None, ADDRESS, RUNTIME] = None
    """OpenAI-compatible endpoint of the user's model, up to /v1."""
    user_key_env: Annotated[str | None, VARIABLE, RUNTIME] = None
    """Environment variable with the key of the user's endpoint."""
    user_timeout: Annotated[float, above(0), RUNTIME] = 60.0
    """Seconds to wait for a message of the user's model."""
    out: Annotated[Path | str | None, RUNTIME] = None
    """Run folder to write. None: a temporary one."""
    split: Literal["train", "test", "all"] = "test"
    """Arenas of one split only. all: of both."""
    limit: Annotated[int | None, at_least(1)] = None
    """Use only the first items. None: all."""
    samples: Annotated[int, at_least(1)] = 1
    """Number of episodes: per arena."""
    max_length: Annotated[int | None, at_least(2)] = None
    """Maximum tokens of a sequence: prompt, messages and tool results. Of local models only. None:
    the model's limit."""
    reward: RewardLike = "f1"
    """f1, recall, precision, strict, or module:function(arena, trajectory) -> float."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 64
    """Items at the same time: episodes."""

    def check(self) -> None:
        super().check()
        if self.ray is not None and self.policy is None and self.base_url is None:
            raise ConfigError(
                f"{option_name('ray')}: workers play with a {option_name('policy')} or with a "
                f"model behind {option_name('base_url')}; programs and local models play here"
            )
        if self.ray is not None and self.user_model is not None and self.user_url is None:
            raise ConfigError(
                f"{option_name('ray')}: workers reach a {option_name('user_model')} at "
                f"{option_name('user_url')} only"
            )
        if self.agent is not None:
            if self.policy is not None:
                raise ConfigError(
                    f"{option_name('agent')} and {option_name('policy')} both play: give one"
                )
            if self.user_model is not None:
                raise ConfigError(
                    f"{option_name('agent')} has a scripted user: leave "
                    f"{option_name('user_model')} out"
                )
        elif (self.model is None) == (self.policy is None):
            raise ConfigError(
                f"give either {option_name('model')}, {option_name('policy')} or "
                f"{option_name('agent')}"
            )
        if self.agent is None and self.agent_env:
            raise ConfigError(f"{option_name('agent_env')} needs {option_name('agent')}")
        if (self.user_url is not None) != isinstance(self.user_model, str):
            raise ConfigError(
                f"give both {option_name('user_model')} and {option_name('user_url')}, "
                "its endpoint, or neither: a scripted user needs none"
            )
        if self.base_url is not None and not isinstance(self.model, str):
            raise ConfigError(
                f"{option_name('base_url')} needs the name of a model: give {option_name('model')}"
            )
        if self.base_url is not None and self.max_length is not None:
            raise ConfigError(
                f"{option_name('max_length')} {self.max_length}: a model behind an endpoint has "
                f"its own; bound it with {option_name('max_agent_tokens')}"
            )


@dataclass(frozen=True)
class SelectArenasConfig(EvaluateConfig):
    """Selection."""

    _: KW_ONLY
    out: NewRunFolder = None
    """Run folder to write: the arenas that are kept. In Python, None makes a temporary one."""
    pass_rate: str = "0.2:0.8"
    """Least and most of an arena's episodes that may solve everything, for it to be kept."""
    samples: Annotated[int, at_least(1)] = 4
    """Number of episodes: per arena."""
    split: Literal["train", "test", "all"] = "all"
    """Arenas of one split only. all: of both."""

    def check(self) -> None:
        super().check()
        pass_rates(self.pass_rate)


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
    table: Literal["text", "markdown", "latex"] = "text"
    """How the table is printed: the comparison of two runs of a benchmark."""


@dataclass(frozen=True)
class ExportEvaluationConfig(Config):
    """Episodes."""

    run: Path | str
    """Run folder of an evaluation."""
    _: KW_ONLY
    out: Annotated[Path | str, RUNTIME]
    """Folder to write: logs."""
    format: Literal["inspect", "atif"] = "inspect"
    """Format of the rows. inspect: an .eval log, which inspect view shows. atif: a trajectory an
    episode, as Harbor has them."""
    if_exists: Annotated[Literal["fail", "overwrite"], RUNTIME] = "fail"
    """What to do if --out exists. overwrite: replace it."""


@dataclass(frozen=True)
class CreditShowConfig(Config):
    """Credit."""

    run: Path | str
    """Run folder of training."""
    episode: str | None = None
    """Id of an episode, or its beginning. None: list the last ones."""


@dataclass(frozen=True)
class CreditAgreementConfig(TemplateConfig, DistractorConfig, CertifiedConfig, SandboxConfig):
    """Arenas and model."""

    arenas: Path | str | Identified
    """Run folder of arenas. In Python also an ArenaSet."""
    _: KW_ONLY
    model: str | Path
    """Model: a folder or a Hugging Face id."""
    out: Annotated[Path | str | None, RUNTIME] = None
    """File to write, in JSON."""
    split: Literal["train", "test", "all"] = "test"
    """Arenas of one split only. all: of both."""
    min_episodes: Annotated[int, at_least(1)] = 500
    """Minimum number of episodes to play."""
    group_size: Annotated[int, at_least(2)] = 4
    """Episodes per arena and step (G)."""
    max_turns: Annotated[int, at_least(1)] = 6
    """Maximum assistant messages in an episode."""
    max_tokens: Annotated[int, at_least(1)] = 64
    """Maximum tokens of one assistant message."""
    max_length: Annotated[int, at_least(2)] = 768
    """Maximum tokens of a sequence: prompt, messages and tool results."""
    temperature: Annotated[float, at_least(0)] = 1.0
    """Sampling temperature."""
    distractors: Literal["stored", "none", "random", "banded"] = "banded"
    """Irrelevant tools shown beside the arena's own. stored: those of the run folder; others
    are drawn anew."""
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""
