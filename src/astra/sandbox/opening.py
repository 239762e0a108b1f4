"""Opening the sandbox that options name, one for a command or one for many synchronous calls."""

from __future__ import annotations

import asyncio
import copyreg
import functools
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Literal

from astra.configs.base import SandboxConfig
from astra.core.loop import at_loop_exit, on_loop_thread
from astra.protocols import Sandbox, SandboxEpisode, SandboxSession
from astra.sandbox.base import BaseSandbox
from astra.sandbox.process import ConfinementLevel
from astra.sandbox.remote import RemoteSandbox
from astra.sandbox.server import ForkServer, open_sandbox
from astra.types import Tool

SandboxLevel = Literal["auto", "namespaces", "landlock", "unsafe"]

_opening = asyncio.Lock()
_open: dict[tuple[int, SandboxLevel], Sandbox] = {}
"""By process, for a forked child has none, and level."""


@asynccontextmanager
async def sandbox_from(config: SandboxConfig, *, workers: int = 2) -> AsyncGenerator[Sandbox]:
    """The sandbox that a command's options name, local or remote."""
    if config.sandbox_url is not None:
        async with RemoteSandbox(config.sandbox_url) as remote:
            yield remote
    else:
        async with open_sandbox(config.sandbox, workers=workers) as server:
            yield server


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


class SharedSandbox(BaseSandbox):
    """The shared sandbox of whichever process uses it: what a `ForkServer` is unpickled as.

    It has the same level or none, so that what is found on another machine is what would have been
    found here.
    """

    def __init__(self, level: ConfinementLevel) -> None:
        self._level: ConfinementLevel = level

    @property
    def level(self) -> str:
        return self._level

    async def open(
        self, tools: Sequence[Tool], episode: SandboxEpisode = SandboxEpisode()
    ) -> SandboxSession:
        async with shared_sandbox(self._level) as sandbox:
            return await sandbox.open(tools, episode)

    async def close(self) -> None:
        """Nothing: it is shared, and closed with its process."""


@functools.cache
def _remote(base_url: str) -> RemoteSandbox:
    return RemoteSandbox(base_url)


def _shared(server: ForkServer) -> Any:  # what is read is another class than what was written
    return SharedSandbox, (server.level,)


# Here, not in the classes: a sandbox knows nothing of how processes share one.
copyreg.pickle(ForkServer, _shared)
copyreg.pickle(RemoteSandbox, lambda remote: (_remote, (remote.base_url,)))
