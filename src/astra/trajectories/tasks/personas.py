"""Who a request may come from: a set of 200 written for this project, or a file of the user's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from astra.errors import ConfigError
from astra.teacher.prompts.tasks import UserProfile
from astra.types import Language, Record

OURS = Path(__file__).parent / "personas.jsonl"
_LARGEST = 16 * 2**20
"""Bytes of a file of personas."""


class Persona(Record):
    """A row of a file of personas."""

    profile: UserProfile
    language: Language | None = None
    """The language that it is written in and for; None: any."""

    @property
    def text(self) -> str:
        """In one line, as it stands in a task."""
        profile = self.profile
        parts = [str(profile.age), profile.occupation, profile.education]
        return "; ".join([*parts, ", ".join(profile.skills), ", ".join(profile.hobbies)])


def read_personas(path: Path | None = None) -> tuple[Persona, ...]:
    """The personas of a JSONL file, ours by default. ConfigError names the line that is wrong.

    A row holds age, occupation, education, skills and hobbies, and perhaps language.
    """
    return _read(OURS if path is None else path)


@cache
def _read(path: Path) -> tuple[Persona, ...]:
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(
                f"{str(path)!r} is over {_LARGEST} bytes: this is no file of personas"
            )
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(path)!r} is no UTF-8 text: save it as such") from error
    lines = enumerate(text.splitlines(), start=1)
    found = tuple(_persona(path, number, line) for number, line in lines if line.strip())
    if not found:
        raise ConfigError(f"{str(path)!r} holds no personas: write one JSON object per line")
    return found


def _persona(path: Path, number: int, line: str) -> Persona:
    try:
        row = json.loads(line)
        language = row.pop("language", None) if isinstance(row, dict) else None
        return Persona.model_validate_json(
            json.dumps({"profile": row, "language": language}), strict=True
        )
    except (ValueError, ValidationError, RecursionError) as error:
        first = str(error).splitlines()
        raise ConfigError(
            f"{str(path)!r}, line {number}: no persona ({' '.join(first[1:3]) or first[0]:.200}): "
            "give age, occupation, education, skills and hobbies"
        ) from error


def personas_for(personas: Sequence[Persona], language: Language) -> list[Persona]:
    """Those that can ask in a language."""
    return [each for each in personas if each.language in (None, language)]
