"""The fork server's own affairs: levels, processes, descriptors, recovery, many at once."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from sandbox_levels import WORKING

from astra.errors import ConfigError, SandboxDied, SandboxLimit, SandboxUnavailable
from astra.protocols import SandboxEpisode, SandboxLimits
from astra.sandbox import ForkServer, open_sandbox
from astra.sandbox.connection import ChildProcess
from astra.sandbox.process import ZygoteProcess
from astra.testing.sandbox_suite import COUNTER, one, tool

ADD = tool("add", "def add(a, b=1):\n    return a + b")


def processes(owner: int = 0) -> set[int]:
    """Ids of the sandbox processes that `owner` (by default we) started, and of our children."""
    owner = owner or os.getpid()
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        ours = b"astra_child" in command and command.endswith(b"\0%d\0" % owner)
        if ours or parent == owner:
            found.add(int(entry.name))
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def gone(before: set[int], owner: int = 0) -> bool:
    """Whether, shortly, no process is there that was not there before."""
    for _ in range(100):
        if processes(owner) <= before:
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.fixture
async def sandbox() -> AsyncIterator[ForkServer]:
    async with open_sandbox(workers=1) as server:
        yield server


async def test_auto_takes_the_strongest_level() -> None:
    async with open_sandbox(workers=1, spares=0) as sandbox:
        assert sandbox.level == WORKING[0]


async def test_impossible_options() -> None:
    with pytest.raises(ConfigError, match="workers=0"):
        async with open_sandbox(workers=0):
            pass


async def test_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match=r"needs Linux.*RemoteSandbox"):
        async with open_sandbox():
            pass


def in_a_process(script: str, *command: str) -> str:
    """What a script prints in a fresh interpreter, perhaps one with fewer rights."""
    done = subprocess.run(
        [*command, sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FORBID = """
import asyncio, ctypes, struct
from astra.sandbox import open_sandbox
from astra.sandbox.child import confinement, seccomp

def forbid(*numbers):
    code = [struct.pack("=HBBI", 0x20, 0, 0, 0)]
    for number in numbers:
        code.append(struct.pack("=HBBI", 0x15, 0, 1, number))
        code.append(struct.pack("=HBBI", 0x06, 0, 0, seccomp.EPERM))
    code.append(struct.pack("=HBBI", 0x06, 0, 0, seccomp.ALLOW))
    seccomp.program = lambda *_: b"".join(code)
    confinement._prctl(38, 1)
    confinement.SeccompFilter().install()

import platform
unshare = {"x86_64": 272, "aarch64": 97}[platform.machine()]
async def level(asked):
    try:
        async with open_sandbox(asked, workers=1, spares=0) as sandbox:
            return sandbox.level
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


def test_without_namespaces_auto_takes_what_is_left() -> None:
    said = in_a_process(FORBID + "forbid(unshare)\nprint(asyncio.run(level('auto')))")
    if "landlock" in WORKING:
        assert said == "landlock"
    else:
        assert said.startswith("SandboxUnavailable")


def test_a_level_that_does_not_work_is_not_replaced() -> None:
    said = in_a_process(FORBID + "forbid(unshare)\nprint(asyncio.run(level('namespaces')))")
    assert said.startswith("SandboxUnavailable: level 'namespaces' does not work here")
    assert "Operation not permitted" in said


def test_where_nothing_works_it_says_what_to_do() -> None:
    said = in_a_process(FORBID + "forbid(unshare, 444)\nprint(asyncio.run(level('auto')))")
    assert said.startswith("SandboxUnavailable")
    for word in ("namespaces", "landlock", "Allow user namespaces or Landlock", "RemoteSandbox"):
        assert word in said


@pytest.mark.parametrize("wanted", WORKING)
def test_as_an_ordinary_user(wanted: str) -> None:
    """A user namespace takes root's rights away; inside, the sandbox makes its own."""
    script = """
import os
uid, gid = os.geteuid(), os.getegid()
if confinement._libc.unshare(0x10000000) == 0:
    maps = {"setgroups": "deny", "uid_map": f"1000 {uid} 1", "gid_map": f"1000 {gid} 1"}
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    assert os.geteuid() == 1000
"""
    said = in_a_process(FORBID + script + f"print(asyncio.run(level({wanted!r})))")
    assert said == wanted


def confined_children(before: set[int]) -> list[dict[str, str]]:
    """What the kernel says of the confined processes that were started since, and live."""
    states: list[dict[str, str]] = []
    for pid in processes() - before:
        with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            states.append(dict(line.split(":\t", 1) for line in lines))
    return [s for s in states if s["Seccomp"] == "2" and not s["State"].startswith("Z")]


@pytest.mark.parametrize("level", WORKING)
async def test_what_the_kernel_says_of_a_child(level: str) -> None:
    before = processes()
    async with open_sandbox(level, workers=1, spares=0) as sandbox:
        session = await sandbox.open([ADD])
        await session.call("add", {"a": 1})
        # The child of the level's own trial was killed, but may not have come to dying yet.
        async with asyncio.timeout(10):
            while len(confined := confined_children(before)) != 1:
                await asyncio.sleep(0.02)
        (child,) = confined
    assert child["NoNewPrivs"] == "1"
    assert child["Threads"] == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(child[kind], 16) == 0
    assert "0" not in child["Uid"].split()


async def test_nothing_is_left_after_close() -> None:
    before, files = processes(), descriptors()
    async with open_sandbox(workers=2) as sandbox:
        sessions = [await sandbox.open([ADD], SandboxEpisode(hash_seed=n % 2)) for n in range(6)]
        await asyncio.gather(*(s.call("add", {"a": 1}) for s in sessions))
        await sessions[0].close()
        assert len(processes() - before) >= 6
    assert await gone(before)
    assert descriptors() == files


async def test_closing_a_session_ends_its_process(sandbox: ForkServer) -> None:
    async with open_sandbox(workers=1, spares=0) as server:
        before = processes()
        session = await server.open([ADD])
        await session.call("add", {"a": 1})
        assert processes() != before
        await session.close()
        await session.close()
        assert await gone(before)
        with pytest.raises(SandboxUnavailable, match="closed"):
            await session.call("add", {"a": 1})


async def test_a_closed_sandbox_says_so() -> None:
    async with open_sandbox(workers=1) as sandbox:
        pass
    with pytest.raises(SandboxUnavailable, match="closed"):
        await sandbox.open([ADD])


ENDINGS = ["os.kill(os.getpid(), signal.SIGKILL)", "raise KeyboardInterrupt"]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_processes_end_with_their_owner(ending: str) -> None:
    script = f"""
    import asyncio, os, signal, sys
    from astra.sandbox import open_sandbox
    from astra.testing.sandbox_suite import tool
    async def main():
        async with open_sandbox() as sandbox:
            session = await sandbox.open([tool("f", "def f():\\n while True: pass")])
            call = asyncio.create_task(session.call("f", {{}}))
            await asyncio.sleep(0.1)
            print(flush=True)
            sys.stdin.read(1)
            {ending}
    asyncio.run(main())
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with owner:
        assert owner.stdout is not None
        owner.stdout.read(1)
        assert len(processes(owner.pid)) >= 4
        owner.communicate(b"x")
    assert owner.returncode != 0
    assert await gone(set(), owner.pid)


async def test_a_start_that_nobody_waits_for_any_more_is_no_error() -> None:
    """As when many start at once and one is cancelled just when it is ready."""
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs, subprocess.Popen(["true"], start_new_session=True) as process:
        zygote = ZygoteProcess(process, ours, "landlock")
        zygote._ready.cancel()
        theirs.send(b"R")
        await asyncio.sleep(0.05)
        await zygote.close()
    assert not problems


@pytest.mark.parametrize("level", WORKING)
async def test_a_killed_zygote_is_replaced(level: str, caplog: pytest.LogCaptureFixture) -> None:
    before = processes()
    async with open_sandbox(level, workers=1, spares=1) as sandbox:
        async with await sandbox.open(
            [tool("f", COUNTER, [])], SandboxEpisode(stateful=True)
        ) as session:
            await session.call("f", {"step": 5})
            for pid in processes() - before:
                with suppress(ProcessLookupError):  # the first to go takes others with it
                    os.kill(pid, signal.SIGKILL)
            assert (await session.call("f", {})).value == [6, [5, 6]]
        assert "killed from outside" in caplog.text
        assert await one(sandbox, "def f():\n    return 1") == 1
    assert await gone(before)


async def test_a_killed_child_is_reported_with_its_signal(sandbox: ForkServer) -> None:
    source = "import ctypes\ndef f():\n    ctypes.string_at(0)"
    with pytest.raises(SandboxDied, match="signal 11"):
        await one(sandbox, source)


def test_no_room_for_another_process() -> None:
    script = """
import asyncio, os, resource
from pathlib import Path
from astra.errors import SandboxLimit
from astra.sandbox import open_sandbox
from astra.testing.sandbox_suite import tool
user = os.geteuid() or 65534
threads = 0
for path in Path("/proc").glob("[0-9]*/status"):
    try:
        fields = dict(line.split(":\\t", 1) for line in path.read_text().splitlines())
    except OSError:
        continue
    threads += int(fields["Threads"]) if fields["Uid"].split()[0] == str(user) else 0
resource.setrlimit(resource.RLIMIT_NPROC, (threads + 30, threads + 30))

async def main():
    sessions = []
    async with open_sandbox(workers=1, spares=0) as sandbox:
        try:
            while len(sessions) < 300:
                sessions.append(await sandbox.open([tool("f", "def f(): return 1")]))
                await sessions[-1].call("f", {})
        except SandboxLimit as error:
            print(error.limit, (await sessions[0].call("f", {})).value)

asyncio.run(main())
"""
    assert in_a_process(script) == "processes 1"


async def test_cpu_time_counts_per_call(sandbox: ForkServer) -> None:
    source = """
    import time
    def f(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end: pass
    """
    limits = SandboxLimits(cpu_seconds=0.5, wall_seconds=20)
    slow = tool("f", textwrap.dedent(source))
    async with await sandbox.open([slow], SandboxEpisode(limits=limits)) as session:
        for _ in range(3):
            assert (await session.call("f", {"seconds": 0.3})).failure is None
        with pytest.raises(SandboxLimit) as caught:
            await session.call("f", {"seconds": 5})
        assert caught.value.limit == "cpu"
        assert (await session.call("f", {"seconds": 0.1})).failure is None


async def test_a_call_does_not_spin_while_others_wait(
    sandbox: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    yields: list[None] = []
    slow = await sandbox.open([tool("f", "import time\ndef f():\n    time.sleep(1)\n    return 1")])
    quick = await sandbox.open(
        [tool("g", "import time\ndef g():\n    time.sleep(0.001)\n    return 2")]
    )
    assert (await quick.call("g", {})).value == 2  # forked
    monkeypatch.setattr(os, "sched_yield", lambda: yields.append(None))
    assert (await quick.call("g", {})).value == 2
    assert yields, "alone it spins"
    waiting = asyncio.create_task(slow.call("f", {}))
    while not ChildProcess.asleep:
        await asyncio.sleep(0.01)
    yields.clear()
    assert (await quick.call("g", {})).value == 2
    assert not yields
    assert (await waiting).value == 1


async def test_sleep_is_no_cpu_time(sandbox: ForkServer) -> None:
    limits = SandboxLimits(cpu_seconds=0.1, wall_seconds=10)
    source = "import time\ndef f():\n    time.sleep(0.4)\n    return 1"
    assert await one(sandbox, source, SandboxEpisode(limits=limits)) == 1


async def test_a_child_that_burns_while_idle_is_ended(sandbox: ForkServer) -> None:
    source = """
class Trap:
    def __del__(self):
        while True: pass
trap = Trap()
def f(): return 1
"""
    async with await sandbox.open([tool("f", source)]) as session:
        await session.call("f", {})
        await asyncio.sleep(8)  # a busy machine gives the child a part of a processor only
        started = time.perf_counter()
        assert (await session.call("f", {})).value == 1
        assert time.perf_counter() - started < 1


async def test_a_cancelled_call_leaves_no_reply_behind(sandbox: ForkServer) -> None:
    source = "import time\ndef f(x):\n    time.sleep(x)\n    return x"
    async with await sandbox.open([tool("f", source)]) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await session.call("f", {"x": 0.3})
        assert (await session.call("f", {"x": 0})).value == 0


async def test_close_ends_a_call_that_waits(sandbox: ForkServer) -> None:
    session = await sandbox.open([tool("f", "import time\ndef f():\n    time.sleep(9)")])
    call = asyncio.create_task(session.call("f", {}))
    await asyncio.sleep(0.1)
    await session.close()
    with pytest.raises(SandboxDied):
        await call


async def test_calls_of_one_session_are_answered_in_order(sandbox: ForkServer) -> None:
    async with await sandbox.open(
        [tool("f", COUNTER, [])], SandboxEpisode(stateful=True)
    ) as session:
        outcomes = await asyncio.gather(*(session.call("f", {}) for _ in range(20)))
    assert [o.value[0] for o in outcomes] == list(range(1, 21))


async def test_large_data_and_arguments(sandbox: ForkServer) -> None:
    data = ["x" * 1000] * 5000
    big = tool("f", "def f(a):\n    return [len(DATA), len(a)]", data)
    (outcome,) = await sandbox.run([big], [("f", {"a": "y" * 3_000_000})])
    assert outcome.value == [5000, 3_000_000]


async def test_data_beyond_the_memory_limit(sandbox: ForkServer) -> None:
    big = tool("f", "def f():\n    return 1", ["x" * 1000 + str(n) for n in range(20_000)])
    with pytest.raises(SandboxLimit) as caught:
        await sandbox.run(
            [big], [("f", {})], SandboxEpisode(limits=SandboxLimits(memory_bytes=2**20))
        )
    assert caught.value.limit == "memory"


async def test_a_large_reply_within_the_limit(sandbox: ForkServer) -> None:
    assert len(await one(sandbox, "def f():\n    return 'é' * 400_000")) == 400_000


async def test_more_hash_seeds_than_zygotes_are_kept(sandbox: ForkServer) -> None:
    async with open_sandbox(workers=1, spares=0) as server:
        before = processes()
        source = "def f():\n    return hash('x')"
        values = {await one(server, source, SandboxEpisode(hash_seed=n)) for n in range(10)}
        assert len(values) == 10
        assert await one(server, source, SandboxEpisode(hash_seed=0)) in values
        assert len(processes() - before) <= 2 * 9
    with pytest.raises(ConfigError, match="hash_seed -1"):
        async with open_sandbox(workers=1, spares=0) as server:
            await server.open([ADD], SandboxEpisode(hash_seed=-1))


async def test_many_hash_seeds_at_once() -> None:
    before = processes()
    async with open_sandbox(workers=1, spares=1) as server:
        source = "def f():\n    return hash('x')"
        episodes = [SandboxEpisode(hash_seed=n) for n in range(10)]
        values = await asyncio.gather(*(one(server, source, e) for e in episodes))
        assert len(set(values)) == 10
    assert await gone(before)


async def test_close_while_opening() -> None:
    before = processes()
    async with open_sandbox(workers=1, spares=1) as server:
        opening = asyncio.create_task(server.open([ADD], SandboxEpisode(hash_seed=9)))
        await asyncio.sleep(0)
    with pytest.raises(SandboxUnavailable):
        await opening
    assert await gone(before)


async def test_two_hundred_sessions_one_after_the_other(sandbox: ForkServer) -> None:
    gc.collect()
    files = descriptors()
    for number in range(200):
        async with await sandbox.open([ADD]) as session:
            assert (await session.call("add", {"a": number})).value == number + 1
    assert descriptors() <= files + 2


async def test_a_hundred_sessions_at_once(sandbox: ForkServer) -> None:
    async def play(number: int) -> int:
        async with await sandbox.open([ADD]) as session:
            for _ in range(3):
                number = (await session.call("add", {"a": number})).value
            return number

    assert await asyncio.gather(*map(play, range(100))) == [n + 3 for n in range(100)]
