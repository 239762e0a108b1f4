"""One sandbox per test: sessions belong to the test's event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from astra.protocols import Sandbox
from astra.sandbox import open_sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with open_sandbox(workers=1, spares=1) as server:
        yield server
