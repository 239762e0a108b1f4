"""What holds for all tests."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Sequence
from inspect import iscoroutinefunction

import pytest
import pytest_asyncio
from hypothesis import settings

from astra.protocols import Sandbox
from astra.sandbox import open_sandbox

# How long one case takes depends on what else the machine does.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session", autouse=True)
def signals_that_end() -> None:
    """Under `nohup`, and in the background of a script, these are ignored, which every process that
    a test starts would inherit: what is ended by them would go on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_sandbox() -> AsyncGenerator[Sandbox]:
    """One for all asynchronous tests that only need one: starting it costs more than most of what
    they do. Others have `tests.support.sandboxes`; tests of the sandbox itself open their own."""
    async with open_sandbox(workers=1, spares=1) as opened:
        yield opened


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """A session of a sandbox belongs to the event loop that the sandbox was opened on."""
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and "session_sandbox" in item.fixturenames
            and iscoroutinefunction(item.function)
        ):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
