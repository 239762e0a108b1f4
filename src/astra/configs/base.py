"""Groups of options that several commands share, and how a command is added.

An option is declared once, as a field of a frozen dataclass. In `configs/arenas.py`:

    @dataclass(frozen=True)
    class CertifyArenasConfig(SandboxConfig, OutputConfig):
        \"\"\"Arenas.\"\"\"                      # title of the group in help

        run: Path | str                       # before KW_ONLY: positional, in Python too
        \"\"\"Run folder of arenas.\"\"\"        # help text
        _: KW_ONLY
        count: Annotated[int, at_least(1)] = 100
        \"\"\"Arenas to check.\"\"\"
        concurrency: Annotated[int | None, at_least(1), RUNTIME] = None
        \"\"\"Arenas at the same time. None: one per core.\"\"\"

The room's function takes the config and opens its folder with `runs.opening.open_run(config, ...)`;
`configured` turns it into a typed keyword function for Python:

    async def certify_arenas(config: CertifyArenasConfig) -> ArenaSet: ...
    certify_arenas = configured(CertifyArenasConfig)(...)     # astra/aio.py

The command, in `cli/arenas_certify.py`, only calls and prints; `cli/main.py` lists it with its line
of help. What it returns is the exit status (None is 0). `--json` exists if it takes `as_json`:

    @command_from(CertifyArenasConfig, examples=["astra arenas certify runs/world"])
    def command(config: CertifyArenasConfig, *, as_json: bool) -> int | None:
        \"\"\"Run the certificate's checks again, from the files alone.\"\"\"

Types of fields: bool, int, float, str, `Literal` (choices), `Path | str` (a path), `str | Path` (a
name that may be a path), `Sequence[str]` (a,b), `Weights[str]` (a=0.7,b), `Mapping[str, float]`
(NAME=VALUE,...), `Paths` (several paths), another option class (a section: `--credit-alpha`,
`[credit]`), each `| None`. A function or object may be allowed beside a text. Ranges and RUNTIME
stand in `Annotated`; errors name options by `option_name`. `None: …` in a docstring is shown as the
default; a sentence that begins with "In Python" stays out of help.
"""

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, cast

from astra.configs.extras import missing_package
from astra.configs.identity import Identified, identity, runtime
from astra.configs.options import (
    ADDRESS,
    CLI_REQUIRED,
    RUNTIME,
    VARIABLE,
    CommandLineName,
    Config,
    build,
    options,
)
from astra.configs.spelling import option_name
from astra.configs.values import above, at_least, at_most, below
from astra.errors import ConfigError

__all__ = [
    "ADDRESS",
    "RUNTIME",
    "VARIABLE",
    "CertifiedConfig",
    "CommandLineName",
    "Config",
    "DistractorConfig",
    "EpisodeConfig",
    "Identified",
    "MakeDistractorsConfig",
    "ModelConfig",
    "NewRunFolder",
    "OutputConfig",
    "Paths",
    "SandboxConfig",
    "SandboxLevel",
    "TeacherConfig",
    "Weights",
    "above",
    "at_least",
    "at_most",
    "below",
    "configured",
    "identity",
    "options",
    "paths",
    "runtime",
    "weights",
]

P = ParamSpec("P")
C = TypeVar("C")
R = TypeVar("R")
Name = TypeVar("Name", bound=str)

Weights = Name | Sequence[Name] | Mapping[Name, float]
"""Names with weights: `"en"`, `["en", "zh"]`, `{"en": 0.7, "zh": 0.3}` or `"en=0.7,zh=0.3"`."""
Paths = Path | str | Sequence[Path | str]
"""One path or several."""
NewRunFolder = Annotated[Path | str | None, RUNTIME, CLI_REQUIRED]
"""A run folder to write. None: a temporary one, in Python only."""
SandboxLevel = Literal["auto", "namespaces", "landlock", "unsafe"]
IfExists = Literal["resume", "fail", "overwrite"]


def configured(config: Callable[P, C]) -> Callable[[Callable[[C], R]], Callable[P, R]]:
    """Decorate a function of an option class: it takes the fields as keyword arguments.

    Raises ConfigError for an unknown, missing or impossible option.
    """

    def decorate(function: Callable[[C], R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                result: Any = function(build(config, kwargs, *args))
            except ModuleNotFoundError as error:
                if (told := missing_package(error)) is not None:
                    raise told from error
                raise
            return cast(R, _named(result)) if inspect.iscoroutine(result) else result

        setattr(call, "__wrapped__", config)  # noqa: B010 - what inspect.signature shows
        return call

    return decorate


async def _named(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns. A package that is missing is named with its extra."""
    try:
        return await coroutine
    except ModuleNotFoundError as error:
        if (told := missing_package(error)) is not None:
            raise told from error
        raise


def weights(value: Weights[Name]) -> dict[Name, float]:
    """The weights of an option, which `Config` has normalized."""
    assert isinstance(value, Mapping)
    return dict(value)


def paths(value: Paths) -> list[Path]:
    """The paths of an option, one or several."""
    return [Path(value)] if isinstance(value, str | Path) else [Path(item) for item in value]


@dataclass(frozen=True, kw_only=True)
class OutputConfig(Config):
    """Run."""

    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""
    if_exists: Annotated[IfExists, RUNTIME] = "resume"
    """What to do if --out exists. resume: continue the same run; different options are an error."""
    progress: Annotated[bool | None, RUNTIME] = None
    """Show progress. None: on a terminal and in a notebook."""


@dataclass(frozen=True, kw_only=True)
class SandboxConfig(Config):
    """Sandbox."""

    sandbox: Annotated[SandboxLevel, RUNTIME] = "auto"
    """How tool code is confined. auto: the strongest level available. unsafe: not at all."""
    sandbox_url: Annotated[str | None, ADDRESS, RUNTIME] = None
    """Remote sandbox with the SandboxFusion API, used instead of a local one."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """Model."""

    base_url: Annotated[str | None, ADDRESS, RUNTIME] = None
    """OpenAI-compatible endpoint that has the model, up to /v1."""
    api_key_env: Annotated[str | None, VARIABLE, RUNTIME] = None
    """Environment variable with the endpoint's key."""
    temperature: Annotated[float | None, at_least(0)] = None
    """Sampling temperature. None: the model's own."""
    timeout: Annotated[float, above(0), RUNTIME] = 300.0
    """Seconds for one message of an endpoint."""


@dataclass(frozen=True, kw_only=True)
class TemplateConfig(Config):
    """Chat template."""

    template_args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of a local model's chat template: enable_thinking=false. A trained model's folder
    names those that it was trained with."""

    def check(self) -> None:
        super().check()
        local = isinstance(getattr(self, "model", None), str | Path)
        if self.template_args and (not local or getattr(self, "base_url", None) is not None):
            raise ConfigError(
                f"{option_name('template_args')} needs a local model: an endpoint renders "
                "conversations itself"
            )


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig(Config):
    """Episodes."""

    max_turns: Annotated[int, at_least(1)] = 32
    """Maximum assistant messages in an episode."""
    max_tokens: Annotated[int | None, at_least(1)] = None
    """Maximum tokens of one assistant message. None: no limit."""
    max_agent_tokens: Annotated[int | None, at_least(1)] = None
    """Maximum tokens that the agent writes in an episode. None: no limit."""
    episode_timeout: Annotated[float, above(0), RUNTIME] = 3600.0
    """Seconds for one episode, waiting for the model included."""
    system_prompt: Path | str | None = None
    """File with the system prompt. None: the built-in one in the language of the task."""


@dataclass(frozen=True, kw_only=True)
class DistractorConfig(Config):
    """Distractors."""

    distractors: Literal["stored", "none", "random", "banded"] = "stored"
    """Irrelevant tools shown beside the arena's own. stored: those of the run folder; others
    are drawn anew."""
    distractors_per_band: Annotated[int | None, at_least(0), at_most(20)] = None
    """Maximum distractors per similarity band. None: as the arenas were made."""


@dataclass(frozen=True, kw_only=True)
class CertifiedConfig(Config):
    """Certificates."""

    uncertified: Annotated[bool, RUNTIME] = False
    """Use arenas without a good certificate of the current version, too."""


@dataclass(frozen=True, kw_only=True)
class MakeDistractorsConfig(Config):
    """Distractors."""

    distractors: Literal["none", "random", "banded"] = "banded"
    """Irrelevant tools shown beside the arena's own. banded: of high, medium and low similarity."""
    distractors_per_band: Annotated[int, at_least(0), at_most(20)] = 3
    """Maximum distractors per similarity band."""
    embedding_model: str | None = None
    """Embedding model that measures similarity. None: TF-IDF, offline."""
    embedding_url: Annotated[str | None, ADDRESS, RUNTIME] = None
    """OpenAI-compatible endpoint of the embedding model, up to /v1."""
    embedding_key_env: Annotated[str | None, VARIABLE, RUNTIME] = None
    """Environment variable with the key of the embedding endpoint."""

    def check(self) -> None:
        super().check()
        if (self.embedding_model is None) != (self.embedding_url is None):
            raise ConfigError(
                f"{option_name('embedding_model')} and {option_name('embedding_url')} go "
                "together: give both or neither"
            )


@dataclass(frozen=True, kw_only=True)
class TeacherConfig(Config):
    """Teacher."""

    teacher: str | None
    """Model that acts as teacher; rules: the built-in teacher for trying out."""
    teacher_url: Annotated[str | None, ADDRESS, RUNTIME] = None
    """OpenAI-compatible endpoint of the teacher, up to /v1."""
    teacher_key_env: Annotated[str | None, VARIABLE, RUNTIME] = None
    """Environment variable with the key of the teacher's endpoint."""
    teacher_temperature: Annotated[float | None, at_least(0)] = None
    """Sampling temperature of the teacher. None: the endpoint's."""
    teacher_max_tokens: Annotated[int | None, at_least(1)] = None
    """Maximum tokens of a reply of the teacher. None: the endpoint's."""
    teacher_timeout: Annotated[float, above(0), RUNTIME] = 300.0
    """Seconds to wait for a reply of the teacher."""
    prompt_templates: Path | str | None = None
    """Folder of templates that replace built-in ones of the same name."""
    cache: Annotated[bool, RUNTIME] = True
    """Record answers and reuse them, so that nothing is paid for twice."""
    prices: Annotated[Path | str | None, RUNTIME] = None
    """TOML file of model prices: [prices."NAME"] with input and output per million tokens."""
    budget: Annotated[float | None, at_least(0), RUNTIME] = None
    """Most money that the run may cost, in the currency of --prices."""
    dry_run: Annotated[bool, RUNTIME] = False
    """Estimate the cost and ask nothing."""

    def check(self) -> None:
        """A model as a teacher needs an endpoint, and an endpoint a model."""
        super().check()
        if self.teacher is None and self.teacher_url is not None:
            raise ConfigError(
                f"{option_name('teacher_url')} is the endpoint of a teacher: give "
                f"{option_name('teacher')}, too"
            )
        if self.teacher not in (None, "rules") and self.teacher_url is None:
            raise ConfigError(
                f"{option_name('teacher')} {self.teacher!r} needs {option_name('teacher_url')}; "
                "only 'rules' needs no endpoint"
            )
