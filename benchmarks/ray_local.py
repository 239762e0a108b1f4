"""What `--ray local` costs on this machine: a call that does nothing, certificates of arenas, and
episodes of a model that takes half a second for a message.

    python -m benchmarks.ray_local RUN

RUN holds arenas. Not part of `make bench`, for it needs the extra `ray`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from astra.arenas.certificate import certify
from astra.arenas.sets import load_arenas
from astra.configs.cluster import ClusterConfig
from astra.evaluation.arenas import play
from astra.models.policies import policy
from astra.protocols import Model, Reply, Sampling, Sandbox
from astra.rollouts.loop import RolloutLimits, in_order
from astra.runs.executor import Executor, executing, spread
from astra.runs.ray_cluster import executor_from
from astra.sandbox import open_sandbox
from astra.types import Arena, Message, ToolSchema

T = TypeVar("T")
CALLS = 1000
CARRIED = b"x" * 20_000
EPISODES, LATENCY = 32, 0.5
"""Episodes at once, and what a message of their model takes in seconds."""


async def nothing(carried: bytes) -> bytes:
    """What a worker is asked to do."""
    return carried


async def call_for_nothing(carried: bytes) -> None:
    """A call there and back."""
    # By its module's name, which is not `__main__` on a worker.
    from benchmarks.ray_local import nothing

    await spread(nothing, carried)


async def timed(
    label: str, items: Sequence[T], work: Callable[[T], Awaitable[object]], at_once: int
) -> None:
    """Print the time of an item, once the workers are up."""

    async def all_of(some: Sequence[T]) -> None:
        async for _ in in_order(some, work, concurrency=at_once):
            pass

    await all_of(items[:16])
    wall, processor = time.perf_counter(), time.process_time()
    await all_of(items)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    each, own = (1000 * seconds / len(items) for seconds in (wall, processor))
    print(f"{label}: {each:.2f} ms each, {own:.2f} ms of the processor in this process")


async def certified(label: str, arenas: Sequence[Arena], sandbox: Sandbox, at_once: int) -> None:
    """Time certificates."""

    async def one(arena: Arena) -> None:
        assert (await spread(certify, arena, sandbox, seed=0)).certified

    await timed(label, arenas, one, at_once)


@dataclass(frozen=True)
class SlowPlayer:
    """Plays right, and takes its time for each message."""

    def __call__(self, arena: Arena, sample: int) -> SlowModel:
        # By its module's name, which is not `__main__` on a worker.
        from benchmarks.ray_local import SlowModel

        return SlowModel(policy("gold", arena))


@dataclass(frozen=True)
class SlowModel:
    """Another model, after `LATENCY`."""

    model: Model
    name: str = "slow"

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        await asyncio.sleep(LATENCY)
        return await self.model.generate(messages, tools, sampling)


async def episodes_a_second(
    arenas: Sequence[Arena], sandbox: Sandbox, executor: Executor | None
) -> float:
    """Episodes a second, from the first to the last; checks that all are right."""
    from benchmarks.ray_local import SlowPlayer

    start = time.perf_counter()
    episodes = play(
        *(arenas, SlowPlayer(), sandbox, RolloutLimits()), concurrency=EPISODES, executor=executor
    )
    scores = [episode.score async for _, episode in episodes]
    assert all(score is not None and score.f1 == 1 for score in scores)
    return len(scores) / (time.perf_counter() - start)


async def main(run: str) -> None:
    """Measure, with the load of the machine."""
    arenas = list(load_arenas(run))
    async with executor_from(ClusterConfig(ray="local")) as executor, open_sandbox() as sandbox:
        assert executor is not None
        with executing(executor):
            await timed("calls of 20 kB", [CARRIED] * CALLS, call_for_nothing, 4 * executor.slots)
        for turn in range(2):
            await certified(f"plain {turn}", arenas, sandbox, 8)
            with executing(executor):
                await certified(f"local {turn}", arenas, sandbox, executor.slots)
        for _ in range(3):
            plain = await episodes_a_second(arenas, sandbox, None)
            local = await episodes_a_second(arenas, sandbox, executor)
            print(f"episodes a second: plain {plain:.1f}, local {local:.1f}: {local / plain:.2f}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
