"""Which confining levels work on this machine. In many containers only one does."""

from __future__ import annotations

import asyncio
import contextlib

from astra.errors import SandboxUnavailable
from astra.sandbox import LEVELS, open_sandbox


async def _working() -> list[str]:
    found: list[str] = []
    for level in LEVELS:
        with contextlib.suppress(SandboxUnavailable):
            async with open_sandbox(level, workers=1, spares=0):
                found.append(level)
    return found


WORKING = asyncio.run(_working())
"""Strongest first. The tests need one at least, and cover all that are here."""
assert WORKING, "no confining level works here: allow user namespaces or Landlock"
