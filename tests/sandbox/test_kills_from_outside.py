"""Sandbox processes that something else kills: retried, told, and never the tool's failure."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sandbox_levels import WORKING

from astra.errors import SandboxDied, SandboxError, SandboxInterrupted, SandboxUnavailable
from astra.protocols import CallOutcome, SandboxEpisode
from astra.sandbox import ForkServer, open_sandbox, process, server
from astra.sandbox.process import ZygoteProcess
from astra.sandbox.session import ForkSession
from astra.testing.sandbox_suite import COUNTER, tool

SLOW = tool("f", "import time\ndef f(x=0):\n    time.sleep(0.3)\n    return x")


@pytest.fixture
async def sandbox() -> AsyncIterator[ForkServer]:
    async with open_sandbox(workers=1) as opened:
        yield opened


async def kill_child(session: ForkSession, number: int, times: int = 1) -> None:
    """Send a signal to the process of a call that is under way, `times` times."""
    last = 0
    for _ in range(times):
        while True:
            await asyncio.sleep(0.02)
            pid = session._child._pid if session._child else 0
            if pid not in (0, last):
                break
        last = pid
        os.kill(pid, number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("together", [False, True])
async def test_the_call_is_made_again(
    sandbox: ForkServer, number: int, together: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with await sandbox.open([SLOW]) as session:
        killer = asyncio.create_task(kill_child(session, number))
        if together:
            calls: list[tuple[str, dict[str, Any]]] = [("f", {"x": n}) for n in range(3)]
            outcomes = await session.call_many(calls)
            assert [o.value for o in outcomes if isinstance(o, CallOutcome)] == [0, 1, 2]
        else:
            assert (await session.call("f", {"x": 5})).value == 5
        await killer
    assert f"killed from outside by signal {number:d}" in caplog.text


async def test_a_stateful_session_keeps_its_state(sandbox: ForkServer) -> None:
    async with await sandbox.open(
        [tool("f", COUNTER, [])], SandboxEpisode(stateful=True)
    ) as session:
        await session.call("f", {"step": 2})
        await kill_child(session, signal.SIGKILL)
        assert (await session.call("f", {"step": 3})).value == [5, [2, 5]]


@pytest.mark.parametrize("together", [False, True])
async def test_it_is_tried_three_times_and_no_more(sandbox: ForkServer, together: bool) -> None:
    async with await sandbox.open([SLOW]) as session:
        killer = asyncio.create_task(kill_child(session, signal.SIGKILL, times=3))
        with pytest.raises(SandboxInterrupted, match="killed from outside"):
            if together:
                await session.call_many([("f", {"x": 1})])
            else:
                await session.call("f", {"x": 1})
        await killer
        assert (await session.call("f", {"x": 7})).value == 7


@pytest.mark.parametrize(
    "body",
    ["os._exit(137)", "ctypes.string_at(0)", "os.abort()", "os.kill(os.getpid(), 9)",
     "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\n    while True: pass"],
)  # fmt: skip
async def test_a_tool_cant_pass_its_end_off_as_a_kill(sandbox: ForkServer, body: str) -> None:
    source = f"import ctypes, os, resource\ndef f():\n    {body}"
    async with await sandbox.open([tool("f", source)]) as session:
        (outcome,) = await session.call_many([("f", {})])
    if isinstance(outcome, SandboxError):
        assert type(outcome) is SandboxDied
    else:
        assert outcome.failure is not None


class Killer:
    """Stands in for `subprocess.Popen`: the first `times` processes are killed when they start."""

    def __init__(self, times: int, level: str | None = None) -> None:
        self.times, self.level = times, level

    def __call__(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        started = subprocess.Popen(command, **options)
        if self.times and self.level in (None, command[-2]):
            self.times -= 1
            started.kill()
        return started


def replace_popen(monkeypatch: pytest.MonkeyPatch, killer: Killer) -> None:
    class Module:
        Popen = staticmethod(killer)
        DEVNULL = subprocess.DEVNULL

    monkeypatch.setattr(process, "subprocess", Module)


async def test_a_kill_while_starting_is_no_weaker_level(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "_proven", set[str]())
    replace_popen(monkeypatch, Killer(2))
    async with open_sandbox(workers=1, spares=0) as sandbox:
        assert sandbox.level == WORKING[0]
    assert caplog.text.count("trying again") == 2


async def test_a_level_that_worked_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_sandbox(workers=1, spares=0):
        pass
    replace_popen(monkeypatch, Killer(99, WORKING[0]))
    with pytest.raises(SandboxUnavailable, match="worked before in this process"):
        async with open_sandbox(workers=1, spares=0):
            pass


@pytest.mark.skipif(len(WORKING) < 2, reason="only one level works here")
async def test_a_level_that_is_left_out_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "_proven", set[str]())
    replace_popen(monkeypatch, Killer(99, WORKING[0]))
    async with open_sandbox(workers=1, spares=0) as sandbox:
        assert sandbox.level == WORKING[1]
    assert f"level '{WORKING[0]}' is left out" in caplog.text


async def test_a_zygote_that_is_short_of_something_is_no_refusal() -> None:
    """What the kernel refuses for want of memory is not what the machine forbids."""
    for message, kind in ((b"E12 no memory", SandboxInterrupted), (b"E1 no", SandboxUnavailable)):
        ours, theirs = process.socket.socketpair(
            process.socket.AF_UNIX, process.socket.SOCK_SEQPACKET
        )
        ours.setblocking(False)
        with theirs, subprocess.Popen(["true"]) as started:
            zygote = ZygoteProcess(started, ours, "landlock")
            theirs.send(message)
            with pytest.raises(SandboxUnavailable) as caught:
                await zygote._ready
            assert type(caught.value) is kind
            await zygote.close()
