"""What a run is trained on: arenas of a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from astra.arenas.showing import DistractorSource, PlayableArenas
from astra.engines.engine import Engine
from astra.models.embed_tfidf import TfidfEmbedder
from astra.rewards import Reward
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import open_sandbox
from astra.training.rl.playing import ArenaGroupPlayer, GroupPlayer
from astra.training.rl.presets import RLPreset
from astra.types import Arena

SandboxLevelName = Literal["auto", "namespaces", "landlock", "unsafe"]


@dataclass(frozen=True, slots=True)
class TaskSource:
    """Tasks, and how their rollouts come about."""

    hops: Mapping[str, int]
    """Difficulty of every task, by its id: the sub-questions of an arena."""
    sandbox: Callable[[], Any]
    """An async context: where tools run."""
    player: Callable[[Engine, Any, RolloutLimits], GroupPlayer]
    arenas: Mapping[str, Arena]
    """By id; empty for tasks that are not arenas, which can't be replayed."""


TaskFactory = Callable[[RLPreset, int], TaskSource]
"""Makes tasks that are not arenas, from the settings and the seed of a run."""


def of_arenas(
    path: Path,
    preset: RLPreset,
    distractors: DistractorSource,
    reward: Reward,
    level: SandboxLevelName,
    seed: int,
    *,
    per_band: int | None = None,
) -> TaskSource:
    """The arenas of split `train`."""
    show = asyncio.run(
        PlayableArenas.of_folder(
            path, "train", distractors, TfidfEmbedder(), seed=seed, per_band=per_band
        )
    )

    def player(engine: Engine, sandbox: Any, limits: RolloutLimits) -> GroupPlayer:
        return ArenaGroupPlayer(
            show,
            engine,
            sandbox,
            limits,
            group=preset.group,
            seed=seed,
            reward=reward,
            concurrency=preset.concurrency,
        )

    arenas = {arena_id: arena for arena_id, (arena, _) in show.arenas.items()}
    return TaskSource(show.hops, lambda: open_sandbox(level), player, arenas)
