"""Training: SFT, multi-turn RL in arenas, and the algorithms that give credit.

For algorithms and environments of your own: `Algorithm`, `ScoredBatch`, `Credit`,
`RolloutEnvironment`. They need torch, which is imported when one of them is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astra.training.algorithm import Algorithm, Credit, ScoredBatch
    from astra.training.environment import RolloutEnvironment

__all__ = ["Algorithm", "Credit", "RolloutEnvironment", "ScoredBatch"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "environment" if name == "RolloutEnvironment" else "algorithm"
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
