"""Arenas played by a local model: all episodes of a wave share its forward passes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from itertools import islice

from astra.evaluation.arenas import PlayedEpisode, play
from astra.protocols import Sandbox
from astra.rewards import Reward, RewardFunction
from astra.rollouts.episodes import ConversingModel, PlayedConversation
from astra.rollouts.loop import RolloutLimits
from astra.types import Arena


async def play_in_waves(
    arenas: Iterable[Arena],
    model: ConversingModel,
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

    A deterministic model gives the same episodes for the same seed: those of a wave are all opened
    before the first runs.
    """

    def conversation(arena: Arena, sample: int) -> PlayedConversation:
        text = f"{seed} {arena.id} {sample}"
        digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
        return model.converse(int.from_bytes(digest))

    arenas_per_wave = max(1, wave // samples)
    remaining = iter(arenas)
    while chunk := list(islice(remaining, arenas_per_wave)):
        episodes = play(
            chunk,
            conversation,
            sandbox,
            limits,
            samples=samples,
            seed=seed,
            reward=reward,
            system_prompt=system_prompt,
            concurrency=arenas_per_wave * samples,
        )
        async with aclosing(episodes):
            async for entry in episodes:
                yield entry
