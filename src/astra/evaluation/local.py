"""Arenas played by a local model: all episodes of a wave share its forward passes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from itertools import islice
from typing import Protocol, cast

from astra.engines.episode import ClosingHost, EngineEpisode
from astra.evaluation.arenas import PlayedEpisode, play
from astra.protocols import Model, Sandbox, ToolHost
from astra.rewards import Reward, RewardFunction
from astra.rollouts.loop import RolloutLimits
from astra.types import Arena


class EpisodeEngine(Protocol):
    """The part of an engine that playing needs."""

    def open(self, seed: int) -> EngineEpisode: ...


async def play_in_waves(
    arenas: Iterable[Arena],
    engine: EpisodeEngine,
    sandbox: Sandbox,
    limits: RolloutLimits,
    *,
    samples: int = 1,
    seed: int = 0,
    reward: Reward | RewardFunction = "f1",
    system_prompt: str | None = None,
    wave: int = 64,
) -> AsyncGenerator[tuple[Arena, PlayedEpisode]]:
    """Play every arena `samples` times, about `wave` episodes at once, in the order of the arenas.

    A deterministic engine gives the same episodes for the same seed: those of a wave are all opened
    before the first runs.
    """

    def player(arena: Arena, sample: int) -> Model:
        text = f"{seed} {arena.id} {sample}"
        digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
        return engine.open(int.from_bytes(digest))

    def enclose(model: Model, host: ToolHost) -> ToolHost:
        return ClosingHost(host, cast(EngineEpisode, model))

    arenas_per_wave = max(1, wave // samples)
    for chunk in _chunks(iter(arenas), arenas_per_wave):
        episodes = play(
            chunk,
            player,
            sandbox,
            limits,
            samples=samples,
            seed=seed,
            reward=reward,
            system_prompt=system_prompt,
            concurrency=arenas_per_wave * samples,
            enclose=enclose,
        )
        async with aclosing(episodes):
            async for entry in episodes:
                yield entry


def _chunks(arenas: Iterator[Arena], size: int) -> Iterator[list[Arena]]:
    while chunk := list(islice(arenas, size)):
        yield chunk
