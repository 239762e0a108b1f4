"""Options of the commands on teachers."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from astra.configs.base import ADDRESS, RUNTIME, VARIABLE, Config, above


@dataclass(frozen=True, kw_only=True)
class CheckTeacherConfig(Config):
    """Teacher."""

    teacher: str
    """Model that acts as teacher."""
    teacher_url: Annotated[str, ADDRESS, RUNTIME]
    """OpenAI-compatible endpoint of the teacher, up to /v1."""
    teacher_key_env: Annotated[str | None, VARIABLE, RUNTIME] = None
    """Environment variable with the key of the teacher's endpoint."""
    teacher_timeout: Annotated[float, above(0), RUNTIME] = 10.0
    """Seconds to wait for a reply of the teacher."""


@dataclass(frozen=True)
class ShowPromptsConfig(Config):
    """Prompts."""

    name: str | None = None
    """Prompt to show in full. None: list all."""
    _: KW_ONLY
    prompt_templates: Path | str | None = None
    """Folder of templates that replace built-in ones of the same name."""
