"""One sandbox for all tests of a process: starting it takes longer than most of what they do.

Tests of the sandbox itself open their own.
"""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any, TypeVar

from astra.protocols import Sandbox
from astra.sandbox import open_sandbox

T = TypeVar("T")


def run_with_sandbox(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on the one event loop on which `shared_sandbox` can be used."""
    return _shared()[0].run(work)


@asynccontextmanager
async def shared_sandbox() -> AsyncGenerator[Sandbox]:
    """The sandbox of this process, which stays open."""
    runner, stack, opened = _shared()
    assert asyncio.get_running_loop() is runner.get_loop(), "run it by run_with_sandbox"
    if not opened:
        opened.append(await stack.enter_async_context(open_sandbox(workers=1, spares=1)))
    yield opened[0]


@cache
def _shared() -> tuple[asyncio.Runner, AsyncExitStack, list[Sandbox]]:
    runner, stack = asyncio.Runner(), AsyncExitStack()

    def close() -> None:
        with runner:
            runner.run(stack.aclose())

    atexit.register(close)
    return runner, stack, []
