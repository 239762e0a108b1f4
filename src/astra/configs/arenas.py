"""Options of the commands on arenas."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from astra.configs.base import (
    RUNTIME,
    Config,
    SandboxConfig,
    at_least,
)


@dataclass(frozen=True)
class ArenaStatsConfig(Config):
    """Arenas."""

    run: Path | str
    """Run folder of arenas."""


@dataclass(frozen=True)
class CertifyArenasConfig(SandboxConfig):
    """Arenas."""

    run: Path | str
    """Run folder of arenas."""
    _: KW_ONLY
    all_checks: bool = False
    """Run every check of an arena that failed one."""
    write: bool = False
    """Replace certificates.jsonl by the new certificates."""
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""
    concurrency: Annotated[int | None, at_least(1), RUNTIME] = None
    """Arenas at the same time. None: one per core."""
