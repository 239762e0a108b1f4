"""One sandbox for many synchronous calls."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Literal

from astra.configs.base import SandboxConfig
from astra.core.loop import at_loop_exit, on_loop_thread
from astra.protocols import Sandbox
from astra.sandbox import open_sandbox, sandbox_from

SandboxLevel = Literal["auto", "namespaces", "landlock", "unsafe"]

_opening = asyncio.Lock()
_open: dict[tuple[int, SandboxLevel], Sandbox] = {}
"""By process, for a forked child has none, and level."""


def kept_sandbox(config: SandboxConfig) -> AbstractAsyncContextManager[Sandbox]:
    """The sandbox that options name; a local one is shared."""
    if config.sandbox_url is not None:
        return sandbox_from(config)
    return shared_sandbox(config.sandbox)


@asynccontextmanager
async def shared_sandbox(level: SandboxLevel) -> AsyncGenerator[Sandbox]:
    """A sandbox of a level. On astra's own loop it stays open for the next call.

    Starting one takes longer than playing an episode. On a loop of the user's it is closed again,
    because nobody tells when that loop ends.
    """
    if not on_loop_thread():
        async with open_sandbox(level) as sandbox:
            yield sandbox
        return
    async with _opening:
        key = os.getpid(), level
        if key not in _open:
            stack = AsyncExitStack()
            _open[key] = await stack.enter_async_context(open_sandbox(level))

            async def close() -> None:
                del _open[key]
                await stack.aclose()

            at_loop_exit(close)
    yield _open[key]
