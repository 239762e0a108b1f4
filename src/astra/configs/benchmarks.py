"""Options of the commands that evaluate models by the field's benchmarks."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Literal

from astra.configs.base import (
    ADDRESS,
    RUNTIME,
    VARIABLE,
    Config,
    ModelConfig,
    OutputConfig,
    Paths,
    TemplateConfig,
    above,
    at_least,
)
from astra.configs.evaluation import ModelLike
from astra.configs.spelling import option_name
from astra.errors import ConfigError

BenchmarkName = Literal["bfcl", "tau2", "acebench", "maths"]
BfclCategory = Literal[
    "all",
    "multi_turn",
    "single_turn",
    "relevance",
    "multi_turn_base",
    "multi_turn_miss_func",
    "multi_turn_miss_param",
    "multi_turn_long_context",
    "simple_python",
    "simple_java",
    "simple_javascript",
    "multiple",
    "parallel",
    "parallel_multiple",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "irrelevance",
    "live_irrelevance",
    "live_relevance",
]


AceBenchCategory = Literal[
    "multi_step",
    "multi_turn",
    "multi_step_en",
    "multi_step_zh",
    "multi_turn_en",
    "multi_turn_zh",
]


@dataclass(frozen=True, kw_only=True)
class EnvironmentsConfig(Config):
    """Environment."""

    environments: Annotated[Path | str | None, RUNTIME] = None
    """Folder of the benchmarks' Python environments. None: that of the variable ASTRA_BENCHMARKS,
    or ~/.cache/astra/benchmarks."""


@dataclass(frozen=True)
class SetupBenchmarkConfig(EnvironmentsConfig):
    """Benchmark."""

    benchmark: BenchmarkName
    """Benchmark to install."""
    _: KW_ONLY
    if_exists: Annotated[Literal["resume", "overwrite"], RUNTIME] = "resume"
    """What to do if --out exists. resume: keep an environment that is complete."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(ModelConfig, TemplateConfig, EnvironmentsConfig, OutputConfig):
    """Model."""

    model: str | Path | ModelLike | None = None
    """Model: a folder, a Hugging Face id, or with --base-url the endpoint's name."""
    policy: Literal["gold", "null"] | None = None
    """Reference policy to play them instead of a model."""
    function_calling: Literal["native", "prompt"] = "native"
    """How the model is shown tools. prompt: as text in the system prompt, for models without it."""
    max_tokens: Annotated[int | None, at_least(1)] = None
    """Maximum tokens of one assistant message. None: no limit."""
    limit: Annotated[int | None, at_least(1)] = None
    """Use only the first items, of each category. None: all."""
    out: Annotated[Path | str | None, RUNTIME] = None
    """Run folder to write. None: a temporary one."""
    step_timeout: Annotated[float, above(0), RUNTIME] = 60.0
    """Seconds that a benchmark may compute between two messages of the model, tools included."""
    concurrency: Annotated[int | None, at_least(1), RUNTIME] = None
    """Items at the same time: episodes. None: 16, or one with a local model."""
    prices: Annotated[Path | str | None, RUNTIME] = None
    """TOML file of model prices: [prices."NAME"] with input and output per million tokens."""
    dry_run: Annotated[bool, RUNTIME] = False
    """Estimate the cost and ask nothing."""

    @property
    def repetitions(self) -> int:
        """Episodes of each task."""
        raise NotImplementedError

    @property
    def is_local(self) -> bool:
        """Whether the model runs in this process."""
        return isinstance(self.model, str | Path) and self.base_url is None

    @property
    def episodes_at_once(self) -> int:
        """Concurrency. What shares a batch changes the last bits of a local model's numbers."""
        return self.concurrency or (1 if self.is_local else 16)

    @property
    def writes_tools_itself(self) -> bool:
        """Whether the benchmark has a prompt of its own for models without function calling."""
        return False

    def check(self) -> None:
        super().check()
        if (self.model is None) == (self.policy is None):
            raise ConfigError(f"give either {option_name('model')} or {option_name('policy')}")
        if self.base_url is not None and not isinstance(self.model, str):
            raise ConfigError(
                f"{option_name('base_url')} needs the name of a model: give {option_name('model')}"
            )


@dataclass(frozen=True)
class BfclConfig(BenchmarkConfig):
    """Tasks."""

    _: KW_ONLY
    categories: Sequence[BfclCategory] = ("all",)
    """Categories of tasks. all: multi_turn and single_turn. relevance: three in which most tasks
    are solved by doing nothing."""
    trials: Annotated[int, at_least(1)] = 1
    """Episodes per task, for pass^k and the variation between runs."""

    @property
    def repetitions(self) -> int:
        return self.trials


@dataclass(frozen=True, kw_only=True)
class UserConfig(BenchmarkConfig):
    """User."""

    user_model: str | ModelLike | None = None
    """Model that words what the user of a conversation says. None: a script, for --policy only."""
    user_url: Annotated[str | None, ADDRESS, RUNTIME] = None
    """OpenAI-compatible endpoint of the user's model, up to /v1."""
    user_key_env: Annotated[str | None, VARIABLE, RUNTIME] = None
    """Environment variable with the key of the user's endpoint."""
    user_timeout: Annotated[float, above(0), RUNTIME] = 60.0
    """Seconds to wait for a message of the user's model."""

    def check(self) -> None:
        super().check()
        if (self.user_url is not None) != isinstance(self.user_model, str):
            raise ConfigError(
                f"give both {option_name('user_model')} and {option_name('user_url')}, "
                "its endpoint, or neither: some categories need no user"
            )
        spoken = self.with_user()
        if spoken and (self.policy is None) != (self.user_model is not None):
            raise ConfigError(
                f"{option_name('categories')} {spoken[0]!r} has a user: give "
                f"{option_name('user_model')} for a model, and none for {option_name('policy')}"
            )

    def with_user(self) -> Sequence[str]:
        """The categories in which somebody talks to the model."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tau2Config(UserConfig):
    """Tasks."""

    _: KW_ONLY
    categories: Sequence[Literal["telecom", "retail", "airline"]] = ("telecom",)
    """Categories of tasks. telecom is played solo, without a user."""
    trials: Annotated[int, at_least(1)] = 1
    """Episodes per task, for pass^k and the variation between runs."""

    @property
    def repetitions(self) -> int:
        return self.trials

    def with_user(self) -> Sequence[str]:
        return [domain for domain in self.categories if domain != "telecom"]


@dataclass(frozen=True)
class ProbeTau2UserConfig(BenchmarkConfig):
    """Mistakes."""

    _: KW_ONLY
    categories: Sequence[Literal["invents", "ends_early", "withholds", "reveals"]] = (
        "invents",
        "ends_early",
        "withholds",
        "reveals",
    )
    """Categories of tasks. Each shows a mistake. invents: gives a value that it does not have.
    ends_early: ends before anything is done. withholds: does not say who it is. reveals: says what
    nobody asked for."""
    trials: Annotated[int, at_least(1)] = 1
    """Episodes per task, for pass^k and the variation between runs."""

    @property
    def repetitions(self) -> int:
        return self.trials


@dataclass(frozen=True)
class AceBenchConfig(UserConfig):
    """Tasks."""

    _: KW_ONLY
    data: Path | str
    """Folder of a checkout of ACEBench."""
    categories: Sequence[AceBenchCategory] = ("multi_step",)
    """Categories of tasks. multi_step, multi_turn: both languages of each."""
    trials: Annotated[int, at_least(1)] = 1
    """Episodes per task, for pass^k and the variation between runs."""

    @property
    def repetitions(self) -> int:
        return self.trials

    @property
    def writes_tools_itself(self) -> bool:
        return True

    def with_user(self) -> Sequence[str]:
        return [name for name in self.categories if name.startswith("multi_turn")]


@dataclass(frozen=True)
class MathsConfig(BenchmarkConfig):
    """Tasks."""

    _: KW_ONLY
    problems: Path | str
    """JSONL file of problems, each with `problem` and `answer`, and perhaps `id` and `category`."""
    samples: Annotated[int, at_least(1)] = 1
    """Number of episodes: responses per problem."""

    @property
    def repetitions(self) -> int:
        return self.samples


@dataclass(frozen=True)
class TransferConfig(Config):
    """Arenas and evaluations."""

    run: Path | str
    """Run folder of arenas."""
    evaluations: Paths | None = None
    """Run folders of evaluations, on these arenas or by benchmarks, whose scores stand beside.
    None: counts only."""
    _: KW_ONLY
    table: Literal["text", "markdown"] = "text"
    """How the table is printed."""
