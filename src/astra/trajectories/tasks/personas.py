"""User profiles that requests may come from: 200 built-in ones, or a file of the user's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from astra.core.files import read_bounded
from astra.errors import ConfigError
from astra.teacher.prompts.tasks import UserProfile
from astra.types import Language, Record

BUILT_IN = Path(__file__).parent / "personas.jsonl"
_MOST_BYTES = 16 * 2**20


class Persona(Record):
    """A row of a file of personas."""

    profile: UserProfile
    language: Language | None = None
    """The language of the profile, and of requests from it. None: any."""

    @property
    def text(self) -> str:
        """The profile in one line, as tasks store it."""
        profile = self.profile
        parts = [str(profile.age), profile.occupation, profile.education]
        return "; ".join([*parts, ", ".join(profile.skills), ", ".join(profile.hobbies)])


@cache
def read_personas(path: Path = BUILT_IN) -> tuple[Persona, ...]:
    """The personas of a JSONL file. Raises ConfigError, which names the wrong line.

    A row holds age, occupation, education, skills and hobbies, and may hold language.
    """
    try:
        text = read_bounded(path, _MOST_BYTES, "give a file of personas").decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(path)!r} is not UTF-8 text: save it as such") from error
    personas: list[Persona] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            language = row.pop("language", None) if isinstance(row, dict) else None
            # Strict JSON mode: "38" is not an age, and a list may become a tuple.
            value = json.dumps({"profile": row, "language": language})
            personas.append(Persona.model_validate_json(value, strict=True))
        except (ValueError, ValidationError, RecursionError) as error:
            first = str(error).splitlines()
            problem = " ".join(first[1:3]) or f"{first[0]:.200}"
            raise ConfigError(
                f"{str(path)!r}, line {number}: not a persona ({problem}): give age, occupation, "
                "education, skills and hobbies"
            ) from error
    if not personas:
        raise ConfigError(f"{str(path)!r} holds no personas: write one JSON object per line")
    return tuple(personas)


def personas_for(personas: Sequence[Persona], language: Language) -> list[Persona]:
    """The personas that can ask in a language."""
    return [each for each in personas if each.language in (None, language)]
