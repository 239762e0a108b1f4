"""What a tool may not do to the sandbox itself: hold its descriptors, hang it, outgrow it."""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from sandbox_attacks import ATTACKS
from sandbox_levels import WORKING

from astra.errors import SandboxLimit
from astra.protocols import CallOutcome, SandboxEpisode, SandboxLimits
from astra.sandbox import ForkServer, open_sandbox, process
from astra.testing.sandbox_suite import tool

DESCRIPTORS = next(a for a in ATTACKS if a.name == "inherited_descriptors")
SHORT = SandboxLimits(cpu_seconds=0.5, wall_seconds=0.5)


async def descriptors_of_tools(level: str, workers: int) -> list[object]:
    """What tools find open when their zygote was started by a process with many descriptors."""
    held = tool("f", "def f():\n    return 1")
    spy = tool("f", DESCRIPTORS.source, {"unsafe": False, "machine": platform.machine()})
    async with open_sandbox(level, workers=workers, spares=0) as sandbox:
        for _ in range(70):
            await sandbox.open([held])
        outcomes = [await sandbox.run([spy], [("f", {})], SandboxEpisode(hash_seed=1))]
        outcomes.append(await sandbox.run([spy], [("f", {})], SandboxEpisode(hash_seed=2)))
    return [outcome.value for (outcome,) in outcomes]


@pytest.mark.parametrize("level", WORKING)
async def test_a_tool_holds_its_own_socket_alone(level: str) -> None:
    assert await descriptors_of_tools(level, workers=16) == [[0, 1, 2, 3]] * 2


async def test_a_descriptor_that_is_left_open_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positive control: the same, with child code that closes nothing above 63."""
    code = shutil.copytree(process._CHILD_CODE, tmp_path / "child")
    file = code / "confinement.py"
    body = "    os.closerange(lowest, 64)\n    return\n"
    head, signature, rest = file.read_text().partition(
        "def close_descriptors_from(lowest: int) -> None:\n"
    )
    file.write_text(head + signature + body + rest)
    monkeypatch.setattr(process, "_CHILD_CODE", code)
    values = await descriptors_of_tools(WORKING[0], workers=1)
    assert all(str(value).startswith("breach") for value in values), values


DEAF = """
import time
class Deaf:
    def __del__(self, sleep=time.sleep):
        while True: sleep(1)
deaf = Deaf()
def f(x): return len(x)
"""


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("text", ["a" * 1000, "a" * 400_000, "\U0001f600" * 49_000])
async def test_a_tool_that_stops_reading_hits_the_limit(text: str, together: bool) -> None:
    async with (
        open_sandbox(workers=1, spares=0) as sandbox,
        asyncio.timeout(8),
        await sandbox.open([tool("f", DEAF)], SandboxEpisode(limits=SHORT)) as session,
    ):
        assert (await session.call("f", {"x": "a"})).value == 1
        started = time.perf_counter()
        if together:
            (error,) = await session.call_many([("f", {"x": text})])
        else:
            with pytest.raises(SandboxLimit) as caught:
                await session.call("f", {"x": text})
            error = caught.value
        assert isinstance(error, SandboxLimit)
        assert error.limit == "wall"
        assert time.perf_counter() - started < 4
        assert (await session.call("f", {"x": "ab"})).value == 2


async def test_a_large_argument_that_is_read_is_no_limit() -> None:
    async with open_sandbox(workers=1, spares=0) as sandbox:
        reader = tool("f", "def f(x): return len(x)")
        (outcome,) = await sandbox.run([reader], [("f", {"x": "a" * 5_000_000})])
    assert outcome.value == 5_000_000


# Each leaves single pages far from each other, so that each needs page tables of its own.
SPREAD = {
    "by_address": """
    for k in range(40_000):
        a = (1 << 40) + (k << 30)
        if mmap(a, 4096, 3, 0x22 | 0x100000, -1, 0) != a:
            break
        ctypes.memset(a, 1, 1)
""",
    "by_unmapping": """
    for k in range(40_000):
        a = mmap(None, 8 << 20, 3, 0x22, -1, 0)
        if a in (None, (1 << 64) - 1):
            break
        munmap(a, (8 << 20) - 4096)
        ctypes.memset(a + (8 << 20) - 4096, 1, 1)
""",
}
MEMORY = """
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
mmap, munmap = libc.mmap, libc.munmap
mmap.restype = ctypes.c_void_p
mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
def f():
%s
    time.sleep(1)
"""


async def megabytes_of_tables(sandbox: ForkServer, body: str) -> int:
    """Most page tables of a child, in an episode of 64 MiB."""
    limits = SandboxLimits(cpu_seconds=20, wall_seconds=20, memory_bytes=64 << 20)
    spread = tool("f", MEMORY % body.strip("\n"))
    async with await sandbox.open([spread], SandboxEpisode(limits=limits)) as session:
        call = asyncio.ensure_future(session.call_many([("f", {})]))
        most = 0
        while not call.done():
            await asyncio.sleep(0.02)
            pid = session._child._pid if session._child else 0
            try:
                lines = Path(f"/proc/{pid or 'none'}/status").read_text().splitlines()
            except OSError:
                continue
            sizes = dict(line.split(":", 1) for line in lines if line.startswith("Vm"))
            most = max(most, int(sizes.get("VmPTE", "0").split()[0]) >> 10)
        await call
    return most


@pytest.mark.parametrize("way", SPREAD)
@pytest.mark.parametrize("level", WORKING)
async def test_page_tables_stay_small(level: str, way: str) -> None:
    async with open_sandbox(level, workers=1, spares=0) as sandbox:
        assert await megabytes_of_tables(sandbox, SPREAD[way]) <= 36


@pytest.mark.parametrize("way", SPREAD)
async def test_unconfined_they_do_not(way: str) -> None:
    """Positive control."""
    async with open_sandbox("unsafe", workers=1, spares=0) as sandbox:
        assert await megabytes_of_tables(sandbox, SPREAD[way]) > 48


async def test_what_a_tool_needs_fits_into_the_open_blocks() -> None:
    source = """
def f(megabytes):
    pieces = [bytearray(1 << 20) for _ in range(megabytes)]
    whole = bytearray(len(pieces) << 20)
    for _ in range(20):
        del pieces[::2]
        pieces += [bytearray(300_000) for _ in range(10)]
    return len(whole) >> 20
"""
    limits = SandboxLimits(memory_bytes=2 << 30, cpu_seconds=20, wall_seconds=20)
    async with open_sandbox(workers=1, spares=0) as sandbox:
        episode = SandboxEpisode(limits=limits)
        (outcome,) = await sandbox.run([tool("f", source)], [("f", {"megabytes": 300})], episode)
    assert outcome.value == 300


ORDINARY = """
import asyncio, ctypes, json, os, socket, sys, tempfile
from pathlib import Path
sys.path[:0] = [{here!r}, {root!r}]
uid, gid = os.geteuid(), os.getegid()
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000) == 0:
    for name, text in {{"setgroups": "deny", "uid_map": f"1000 {{uid}} 1",
                       "gid_map": f"1000 {{gid}} 1"}}.items():
        Path("/proc/self", name).write_text(text)
assert os.geteuid() != 0
from sandbox_attacks import ATTACKS
from test_attacks import CANARY, Victims, breached, strike
from astra.sandbox import open_sandbox
import subprocess

async def main():
    folder = Path(tempfile.mkdtemp())
    process = subprocess.Popen(["sleep", "600"])
    listener = socket.create_server(("127.0.0.1", 0))
    victims = Victims(folder, process, listener.getsockname()[1], CANARY)
    found = {{}}
    try:
        async with open_sandbox({level!r}, workers=1) as sandbox:
            for attack in ATTACKS:
                found[attack.name] = []
                for kind in ("stateless", "stateful"):
                    data = victims.data(unsafe=False)
                    result = await strike(sandbox, attack, data, kind=kind)
                    found[attack.name].append(breached(result))
                    victims.unharmed()
                    assert CANARY not in str(result)
    finally:
        process.kill()
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.mark.parametrize("level", WORKING)
def test_attacks_on_an_ordinary_user(level: str) -> None:
    """A user namespace takes root's rights away; the sandbox makes its own inside."""
    here = Path(__file__).parent
    script = ORDINARY.format(here=str(here), root=str(here.parents[1]), level=level)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    documented = (here.parents[1] / "docs" / "sandbox.md").read_text()
    expected = {a.name: [f"\n| `{a.name}` |" in documented] * 2 for a in ATTACKS}
    for attack in ATTACKS:
        expected[attack.name][1] |= attack.meant_when_stateful
    assert found == expected


async def test_a_number_that_is_forged_beyond_a_float_is_refused() -> None:
    source = """
import os
def f():
    reply = b'{"i":1,"v":[' + b"9" * 250 + b'e99]}'
    os.write(3, len(reply).to_bytes(4, "big") + reply)
    os._exit(0)
"""
    async with (
        open_sandbox(workers=1, spares=0) as sandbox,
        await sandbox.open([tool("f", source)]) as session,
    ):
        (outcome,) = await session.call_many([("f", {})])
    assert not isinstance(outcome, CallOutcome)
    assert "beyond 1.8e308" in str(outcome)
