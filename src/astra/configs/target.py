"""Options of the model that arenas are made for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from astra.configs.base import ADDRESS, RUNTIME, VARIABLE, Config, at_least
from astra.configs.difficulty import pass_rates
from astra.configs.evaluation import ModelLike
from astra.configs.spelling import option_name
from astra.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TargetConfig(Config):
    """Target."""

    target: str | Path | ModelLike | None = None
    """Model that plays the arenas: of --count that are made, those stay that it solves sometimes. A
    folder, a Hugging Face id, or with --target-url the endpoint's name. None: all stay."""
    target_url: Annotated[str | None, ADDRESS, RUNTIME] = None
    """OpenAI-compatible endpoint of the target, up to /v1."""
    target_key_env: Annotated[str | None, VARIABLE, RUNTIME] = None
    """Environment variable with the key of the target's endpoint."""
    target_samples: Annotated[int | None, at_least(1)] = None
    """Episodes of the target per arena. None: 4."""
    pass_rate: str | None = None
    """Least and most of an arena's episodes that may solve everything, for it to be kept. None:
    0.2:0.8."""

    def check(self) -> None:
        super().check()
        for name in ("target_url", "target_key_env", "target_samples", "pass_rate"):
            if self.target is None and getattr(self, name) is not None:
                raise ConfigError(
                    f"{option_name(name)} has no effect without {option_name('target')}: give a "
                    "model, or leave it out"
                )
        if self.target_url is not None and not isinstance(self.target, str):
            raise ConfigError(
                f"{option_name('target_url')} needs the name of a model: give it as "
                f"{option_name('target')}"
            )
        if self.pass_rate is not None:
            pass_rates(self.pass_rate)
