"""Deterministic randomness for rule teachers, derived from the seed and the prompt only.

The same question gets the same answer again, also from a teacher that was started anew.
"""

from __future__ import annotations

import random
from typing import Any

from astra.teacher.prompt import Prompt
from astra.types import Record, content_hash


def drawn(seed: int, prompt: Prompt[Any, Any], given: Record, index: int) -> random.Random:
    """The source of chance of one answer."""
    return random.Random(f"{seed}:{input_key(prompt, given, index)}")


def input_key(prompt: Prompt[Any, Any], given: Record, index: int = 0) -> str:
    """Hash of what is asked."""
    return content_hash([prompt.name, given.model_dump(mode="json"), index])
