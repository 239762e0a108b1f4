"""Size of a nano model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from astra.configs.base import Config, at_least
from astra.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class NanoOptions(Config):
    """Model. The defaults make about a million parameters."""

    vocabulary: Annotated[int, at_least(300)] = 768
    """Tokens of the tokenizer: bytes, special tokens and whole instructions included."""
    width: Annotated[int, at_least(16)] = 128
    """Width of the layers."""
    layers: Annotated[int, at_least(1)] = 4
    """Layers."""
    heads: Annotated[int, at_least(1)] = 4
    """Attention heads of a layer."""
    max_length: Annotated[int, at_least(128)] = 4096
    """Maximum tokens of a sequence: prompt, messages and tool results."""
    seed: int = 0
    """Seed of the weights."""
    copying: bool = True
    """Start with weights that can copy, instead of all random ones."""

    def check(self) -> None:
        if self.width % (2 * self.heads):
            raise ConfigError(
                f"width {self.width!r} must be a multiple of twice the heads ({self.heads!r})"
            )
