"""Arenas played by a model on this machine: all episodes of a wave share its forward passes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from itertools import islice
from typing import Protocol, cast

from astra.engines.episode import ClosingHost, EngineEpisode
from astra.evaluation.arenas import PlayedEpisode, play
from astra.protocols import Model, Sandbox, ToolHost
from astra.rewards import Reward
from astra.rollouts.loop import RolloutLimits
from astra.types import Arena


class EpisodeEngine(Protocol):
    """An engine, as far as playing goes."""

    def open(self, seed: int) -> EngineEpisode: ...


async def play_in_waves(
    arenas: Iterable[Arena],
    engine: EpisodeEngine,
    sandbox: Sandbox,
    limits: RolloutLimits,
    *,
    samples: int = 1,
    seed: int = 0,
    reward: Reward = "f1",
    wave: int = 64,
) -> AsyncGenerator[tuple[Arena, PlayedEpisode]]:
    """Play every arena `samples` times, about `wave` episodes at once; in the arenas' order.

    An engine in lockstep gives the same episodes for the same seed: a wave's are all opened before
    the first of them runs.
    """

    def player(arena: Arena, sample: int) -> Model:
        text = f"{seed} {arena.id} {sample}"
        digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
        return engine.open(int.from_bytes(digest))

    def enclose(model: Model, host: ToolHost) -> ToolHost:
        return ClosingHost(host, cast(EngineEpisode, model))

    several = max(1, wave // samples)
    for chunk in _chunks(iter(arenas), several):
        episodes = play(
            chunk,
            player,
            sandbox,
            limits,
            samples=samples,
            seed=seed,
            reward=reward,
            concurrency=several * samples,
            enclose=enclose,
        )
        async with aclosing(episodes):
            async for entry in episodes:
                yield entry


def _chunks(arenas: Iterator[Arena], size: int) -> Iterator[list[Arena]]:
    while chunk := list(islice(arenas, size)):
        yield chunk
