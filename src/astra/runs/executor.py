"""Where the heavy part of an item's work is done: in this process, or on workers.

A stage's function stays in the process that runs the stage, which asks teachers, holds the keys and
writes the rows. What takes a processor (examining an arena, playing an episode) it awaits through
`spread`; a context variable carries the executor there, so no stage passes one along:

    certificate = await spread(certify, arena, sandbox, seed=seed)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Executor(Protocol):
    """Runs functions on workers. Raises `WorkerLost` when workers end without a result."""

    @property
    def slots(self) -> int:
        """How many calls keep all workers busy."""
        ...

    async def call(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """What the function returns or raises there. It and its arguments can be pickled."""
        ...

    async def call_waiting(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """As `call`, for what mostly waits: a worker makes as many at once as it is asked to."""
        ...


_EXECUTOR: ContextVar[Executor | None] = ContextVar("executor", default=None)


@contextmanager
def executing(executor: Executor | None) -> Generator[None]:
    """Let `spread` use this executor within the block, and in tasks that are created there."""
    token = _EXECUTOR.set(executor)
    try:
        yield
    finally:
        _EXECUTOR.reset(token)


async def spread(function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Await a function of a module on a worker of the run. Without an executor: here."""
    executor = _EXECUTOR.get()
    if executor is None:
        return await function(*args, **kwargs)
    return await executor.call(function, *args, **kwargs)


def at_once(concurrency: int, executor: Executor | None) -> int:
    """Items at the same time: what was asked for, or more if that leaves workers idle."""
    return concurrency if executor is None else max(concurrency, executor.slots)
