"""Every sandbox of ours, at every level, through the suite that users get."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sandbox_levels import WORKING

from astra.protocols import Sandbox
from astra.sandbox import RemoteSandbox, open_sandbox
from astra.testing.sandbox_suite import SandboxSuite
from tests.support.sandbox_server import RunCodeServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module", params=[*WORKING, "unsafe", "remote"])
def asked(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(asked: str) -> AsyncIterator[Sandbox]:
    if asked == "remote":
        with RunCodeServer() as server:
            async with RemoteSandbox(server.url) as remote:
                yield remote
    else:
        async with open_sandbox(asked, workers=1) as local:
            assert local.level == asked
            yield local


class TestEverySandbox(SandboxSuite):
    """The fixture above says which."""
