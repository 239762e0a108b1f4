"""What a run is trained on: arenas of a folder, or problems of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from astra.arenas.showing import DistractorSource, PlayableArenas
from astra.engines.engine import Engine
from astra.errors import ConfigError
from astra.models.embed_tfidf import TfidfEmbedder
from astra.problems.read import read_problems
from astra.problems.verify import MathVerifier
from astra.rewards import Reward
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import open_sandbox
from astra.training.rl.playing import ArenaGroupPlayer, GroupPlayer
from astra.training.rl.presets import RLPreset
from astra.training.rl.problems import ProblemPlayer
from astra.types import Arena

SandboxLevelName = Literal["auto", "namespaces", "landlock", "unsafe"]


@dataclass(frozen=True, slots=True)
class TaskSource:
    """Tasks, and how their rollouts come about."""

    hops: Mapping[str, int]
    """Difficulty of every task, by its id: sub-questions, or the level of a problem."""
    sandbox: Callable[[], Any]
    """An async context: where tools run, or answers are verified."""
    player: Callable[[Engine, Any, RolloutLimits], GroupPlayer]
    arenas: Mapping[str, Arena]
    """By id; empty for problems, which can't be replayed."""


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


def of_problems(path: Path, preset: RLPreset, seed: int) -> TaskSource:
    """The problems of split `train`. Raises ConfigError when there are none."""
    problems = {p.id: p for p in read_problems(path) if p.split == "train"}
    if not problems:
        raise ConfigError(f"{str(path)!r} holds no problems of split 'train'")

    def player(engine: Engine, verifier: Any, limits: RolloutLimits) -> GroupPlayer:
        return ProblemPlayer(
            problems,
            engine,
            verifier,
            replace(limits, turns=1),
            group=preset.group,
            seed=seed,
            concurrency=preset.concurrency,
        )

    levels = {problem_id: problem.level or 1 for problem_id, problem in problems.items()}
    return TaskSource(levels, MathVerifier, player, {})
