"""The SandboxFusion client against a real HTTP server, with every fault it can play."""

from __future__ import annotations

import asyncio

import pytest

from astra.errors import SandboxBadResult, SandboxDied, SandboxLimit, SandboxRemote
from astra.protocols import SandboxEpisode, SandboxLimits
from astra.sandbox import RemoteSandbox
from astra.testing.sandbox_suite import COUNTER, one, tool
from tests.support.sandbox_server import RunCodeServer, SandboxServerFault

ADD = tool("add", "def add(a, b=1):\n    return a + b")
FAULTS: list[SandboxServerFault] = [
    "500", "garbage", "not_object", "sandbox_error", "no_result", "silent", "reset", "truncated",
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_an_error_and_never_a_value(fault: SandboxServerFault) -> None:
    # Of a silent server the client must give up; the next program has as long to start.
    seconds = 2.0 if fault == "silent" else 10.0
    episode = SandboxEpisode(limits=SandboxLimits(wall_seconds=seconds))
    with RunCodeServer([fault]) as server:
        async with RemoteSandbox(server.url, http_seconds=0.2) as sandbox:
            session = await sandbox.open([ADD], episode)
            with pytest.raises(SandboxRemote):
                await session.call("add", {"a": 1})
            assert (await session.call("add", {"a": 1})).value == 2


async def test_a_fault_loses_no_answered_call() -> None:
    with RunCodeServer() as server:
        async with RemoteSandbox(server.url) as sandbox:
            session = await sandbox.open([tool("f", COUNTER, [])], SandboxEpisode(stateful=True))
            await session.call("f", {"step": 2})
            server.faults.append("500")
            with pytest.raises(SandboxRemote):
                await session.call("f", {"step": 3})
            assert (await session.call("f", {"step": 4})).value == [6, [2, 6]]


async def test_nobody_answers() -> None:
    with RunCodeServer() as server:
        url = server.url
    async with RemoteSandbox(url) as sandbox:
        with pytest.raises(SandboxRemote, match="did not answer"):
            await one(sandbox, "def f():\n    return 1")


async def test_a_wrong_path() -> None:
    with RunCodeServer() as server:
        async with RemoteSandbox(server.url + "/elsewhere/") as sandbox:
            with pytest.raises(SandboxRemote, match="404"):
                await one(sandbox, "def f():\n    return 1")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("os._exit(3)", SandboxDied),
        ("os.write(1, b'\\nastra-reply:{}\\n')", SandboxBadResult),
        ("os.write(1, b'\\nastra-reply:[]\\n'); os._exit(0)", SandboxBadResult),
        ("os.write(1, b'\\nastra-reply:' + b'1' * 100_000 + b'\\n'); os._exit(0)", SandboxLimit),
    ],
)
async def test_hostile_programs(body: str, error: type[Exception]) -> None:
    episode = SandboxEpisode(limits=SandboxLimits(output_bytes=1000))
    with RunCodeServer() as server:
        async with RemoteSandbox(server.url) as sandbox:
            with pytest.raises(error):
                await one(sandbox, f"import os\ndef f():\n    {body}", episode)


async def test_what_tools_print_does_not_disturb() -> None:
    source = "import os\ndef f():\n    os.write(1, b'noise without end of line')\n    return 1"
    with RunCodeServer() as server:
        async with RemoteSandbox(server.url) as sandbox:
            assert await one(sandbox, source) == 1


async def test_requests_run_at_the_same_time() -> None:
    source = "import time\ndef f():\n    time.sleep(1.5)\n    return 1"
    with RunCodeServer() as server:
        async with RemoteSandbox(server.url, concurrency=4) as sandbox:
            loop = asyncio.get_running_loop()
            started = loop.time()
            assert await asyncio.gather(*(one(sandbox, source) for _ in range(4))) == [1] * 4
            assert loop.time() - started < 6  # what four take one after the other
            assert server.requests == 4
