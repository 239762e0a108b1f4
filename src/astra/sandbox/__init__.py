"""Confined execution of tool code: a local fork server, or a remote one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from astra.configs.base import SandboxConfig
from astra.protocols import Sandbox
from astra.sandbox.remote import RemoteSandbox
from astra.sandbox.server import LEVELS, ForkServer, open_sandbox

__all__ = ["LEVELS", "ForkServer", "RemoteSandbox", "open_sandbox", "sandbox_from"]


@asynccontextmanager
async def sandbox_from(config: SandboxConfig, *, workers: int = 2) -> AsyncGenerator[Sandbox]:
    """The sandbox that a command's options name, local or remote."""
    if config.sandbox_url is not None:
        async with RemoteSandbox(config.sandbox_url) as remote:
            yield remote
    else:
        async with open_sandbox(config.sandbox, workers=workers) as server:
            yield server
