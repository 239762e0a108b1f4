"""An input for every prompt of trajectory synthesis, in both languages."""

from __future__ import annotations

from typing import Any

from astra.types import Language, Record


def fields(language: Language, text: str) -> dict[type[Record], dict[str, Any]]:
    """By record of input: its fields, its free text `text`. Each module of prompts adds its own."""
    del language, text
    return {}
