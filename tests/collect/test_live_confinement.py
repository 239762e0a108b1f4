"""What a live server can do to the machine: as root and as an ordinary user, and what it still can.

Attacks run inside a server of ours that executes what it is sent. Most of the calls are such as an
ordinary user may make without a filter, so that they fail for no other reason.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from astra.errors import ConfigError
from astra.hosts import confine, confine_seccomp
from astra.hosts.confine import available
from astra.hosts.live import LiveHost
from astra.hosts.mcp_entries import parse_entry
from tests.support import mcp_hostile

from .servers import entry, live_tool, options

pytestmark = pytest.mark.skipif(not available(), reason="needs Landlock")

CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def refused(number, *arguments):
    arguments = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    if libc.syscall(ctypes.c_long(number), *arguments) >= 0:
        return "allowed"
    return os.strerror(ctypes.get_errno())
"""
# Numbers of x86_64 and aarch64; arguments with which an ordinary user would get on.
ATTACKS: dict[str, tuple[int, int, str]] = {
    "bpf": (321, 280, "0, bytes(72), 72"),
    "clock_settime": (227, 112, "0, bytes(16)"),
    "clock_adjtime": (305, 266, "0, bytes(208)"),
    "adjtimex": (159, 171, "bytes(208)"),
    "io_uring_setup": (425, 425, "8, bytes(120)"),
    "userfaultfd": (323, 282, "1"),
    "perf_event_open": (298, 241, "b'\\1' + bytes(127), 0, -1, -1, 0"),
    "ptrace": (101, 117, "0, 0, 0, 0"),
    "process_vm_readv": (310, 270, "os.getpid(), 0, 0, 0, 0, 0"),
    "pidfd_getfd": (438, 438, "0, 0, 0"),
    "kcmp": (312, 272, "os.getpid(), os.getpid(), 0, 0, 1"),
    "keyctl": (250, 219, "0, -3, 1"),
    "add_key": (248, 217, "b'user', b'x', b'y', 1, -3"),
    "unshare a user namespace": (272, 97, "0x10000000"),
    "clone into a user namespace": (56, 220, "0x10000000 | 17, 0, 0, 0, 0"),
    "mount": (165, 40, "0, b'/', 0, 0, 0"),
    "open_tree": (428, 428, "-100, b'/', 0"),
    "fsopen": (430, 430, "b'tmpfs', 0"),
    "shmget": (29, 194, "0, 4096, 0o1600"),
    "msgget": (68, 186, "0, 0o1600"),
    "semget": (64, 190, "0, 1, 0o1600"),
    "mq_open": (240, 180, "b'astra-test', 0o102, 0o600, 0"),
    "finit_module": (313, 273, "0, b'', 0"),
    "a call younger than the list": (463, 463, "0"),
    "clone3": (435, 435, "bytes(88), 88"),
    "Unix socket": (41, 198, "1, 1, 0"),
    "vsock": (41, 198, "40, 1, 0"),
    "AF_ALG": (41, 198, "38, 5, 0"),
    "audit by netlink": (41, 198, "16, 3, 9"),
    "pair of datagram sockets": (53, 199, "1, 2, 0, bytes(8)"),
    "limits of another process": (302, 261, "os.getppid(), 7, 0, bytes(16)"),
}
ABSENT = ("a call younger than the list", "clone3")
STATUS = """
lines = [line.split(":\\t") for line in open("/proc/self/status")]
result = {name: value.strip() for name, value in lines}
"""
USUAL = """
import asyncio, os, socket, subprocess, sys, threading, time
async def main():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(6 * 7)", stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode().strip()
thread = threading.Thread(target=lambda: time.sleep(0.01))
thread.start()
thread.join()
open("own.txt", "w").write("mine")
a, b = socket.socketpair()
a.sendall(b"x")
found = socket.getaddrinfo("localhost", 80, proto=socket.IPPROTO_TCP)
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
import resource, multiprocessing
resource.getrlimit(resource.RLIMIT_NOFILE)
result = [asyncio.run(main()), open("own.txt").read(), b.recv(1).decode(), bool(found)]
"""


async def run_all(codes: dict[str, str], *args: str, **more: Any) -> dict[str, Any]:
    """What each code results in, in one server."""
    host = LiveHost(entry("mcp_hostile", *args, **more), [live_tool("run")], options())
    async with host:
        return {
            name: (await host.call("run", {"path": code})).content["result"]
            for name, code in codes.items()
        }


def attack(name: str) -> str:
    first, second, arguments = ATTACKS[name]
    number = {"x86_64": first, "aarch64": second}[platform.machine()]
    return f"{CALLS}\nresult = refused({number}, {arguments})"


async def struck() -> dict[str, Any]:
    codes = {name: attack(name) for name in ATTACKS}
    return await run_all({**codes, "status": STATUS, "usual": USUAL})


def check(results: dict[str, Any]) -> None:
    """Every attack was refused by the filter; what programs usually do works."""
    status, usual = results.pop("status"), results.pop("usual")
    expected = dict.fromkeys(ATTACKS, "Operation not permitted")
    assert results == expected | dict.fromkeys(ABSENT, "Function not implemented")
    assert usual == ["42", "mine", "x", True]
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    for held in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[held], 16) == 0


async def test_attacks_from_a_server_are_refused() -> None:
    check(await struck())


def test_attacks_from_a_server_of_an_ordinary_user() -> None:
    """A user namespace takes root's rights away."""
    root = Path(__file__).parents[2]
    script = f"""
    import asyncio, ctypes, json, os, sys
    from pathlib import Path
    sys.path[:0] = [{str(root)!r}, {str(root / "src")!r}]
    uid, gid = os.geteuid(), os.getegid()
    if ctypes.CDLL(None).unshare(0x10000000) == 0:
        for name, text in {{"setgroups": "deny", "uid_map": f"1000 {{uid}} 1",
                           "gid_map": f"1000 {{gid}} 1"}}.items():
            Path("/proc/self", name).write_text(text)
    assert os.geteuid() != 0
    from tests.collect.test_live_confinement import struck
    print(json.dumps(asyncio.run(struck())))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs the system's Python")
async def test_started_by_root_a_server_is_nobody_and_owns_its_folder() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's, which is its owner's alone
        Path(folder).chmod(0o755)
        script = shutil.copy(mcp_hostile.__file__, folder)
        own = "import os\nresult = [os.stat('.').st_uid, os.environ['HOME'] == os.getcwd()]"
        at = parse_entry("s", {"command": "/usr/bin/python3", "args": [script]})
        async with LiveHost(at, [live_tool("run")], options()) as host:
            status = (await host.call("run", {"path": STATUS})).content["result"]
            assert (await host.call("run", {"path": own})).content["result"] == [65534, True]
    assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4
    assert status["Groups"] == ""
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_what_nobody_can_not_use_leaves_root_without_capabilities(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such a server can still write what its entry shares with it."""
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700)
    write = f"open({str(folder / 'a.txt')!r}, 'w').write('x')\nresult = 'written'"
    again = "import os, subprocess, sys\n" + (
        "text = 'print(open(\"/proc/self/status\").read())'\n"
        "said = subprocess.run([sys.executable, '-c', text], capture_output=True, text=True)\n"
        "result = [line for line in said.stdout.splitlines() if 'Cap' in line]"
    )
    confine._warn.cache_clear()
    with caplog.at_level("WARNING"):
        codes = {"status": STATUS, "write": write, "again": again}
        results = await run_all(codes, astra={"shared": [str(folder)]})
        await run_all({}, astra={"shared": [str(folder)]})  # not told again
    assert results["status"]["Uid"].split() == ["0"] * 4
    assert results["write"] == "written"
    # Executing a program as root gives nothing back.
    for held in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(results["status"][held], 16) == 0
    assert all(line.endswith("\t" + "0" * 16) for line in results["again"])
    (warning,) = [r.getMessage() for r in caplog.records if "without capabilities" in r.message]
    assert repr(str(folder)) in warning


async def test_a_root_that_may_not_change_its_user_still_starts_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confine, "_NOBODY", 2**31 - 2)  # not a user of most user namespaces
    assert (await run_all({"usual": USUAL}))["usual"][0] == "42"


async def test_unix_sockets_only_where_they_are_declared(tmp_path: Path) -> None:
    path = str(tmp_path / "daemon.sock")
    code = (
        "import socket\nwith socket.socket(socket.AF_UNIX) as end:\n"
        f"    end.connect({path!r})\n    result = 'connected'"
    )
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(path)
        daemon.listen()
        # Named as an argument is not declared.
        assert "Operation not permitted" in (await run_all({"c": code}, path))["c"]
        declared = await run_all({"c": code}, astra={"unix_sockets": [path]})
    assert declared["c"] == "connected"


@pytest.mark.parametrize("value", ["/run/a.sock", ["a.sock"], [7], {"a": 1}])
def test_sockets_are_declared_as_a_list_of_paths(value: Any) -> None:
    with pytest.raises(ConfigError, match="unix_sockets"):
        parse_entry("docker", {"command": "docker", "astra": {"unix_sockets": value}})


async def test_on_a_machine_that_is_not_known_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(confine.HostError, match=r"riscv64.*confine_servers"):
        await run_all({})


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_one_that_a_kernel_takes(machine: str) -> None:
    """The one of the other architecture as well: no number twice, no jump past the end."""
    column = ("x86_64", "aarch64").index(machine)
    numbers = [pair[column] for pair in confine_seccomp._REFUSED.values() if pair[column]]
    numbers += confine_seccomp._CONDITIONAL[machine].values()
    assert len(numbers) == len(set(numbers))
    code = confine_seccomp.program(machine, unix_sockets=False)
    steps = [code[at : at + 8] for at in range(0, len(code), 8)]
    for at, step in enumerate(steps):
        if step[0] & 7 == 5:  # a jump
            assert at + 1 + max(step[2], step[3]) < len(steps)


NODE = """
const {execFile} = require('child_process');
const {Worker} = require('worker_threads');
const dns = require('dns');
const net = require('net');
const fs = require('fs');
const say = (id, result) => console.log(JSON.stringify({jsonrpc: '2.0', id, result}));
async function usual() {
  fs.writeFileSync('own.txt', 'mine');
  const child = await new Promise((done, fail) =>
    execFile(process.execPath, ['-e', 'console.log(6*7)'], (e, out) => e ? fail(e) : done(out)));
  await new Promise((done, fail) =>
    new Worker('0', {eval: true}).on('exit', done).on('error', fail));
  await dns.promises.lookup('localhost');
  const server = net.createServer(s => s.end('x')).listen(0, '127.0.0.1');
  await new Promise(done => server.on('listening', done));
  const got = await new Promise(done =>
    net.connect(server.address().port, '127.0.0.1').on('data', done));
  server.close();
  return [child.trim(), String(got), require('os').userInfo().username.length > 0];
}
require('readline').createInterface({input: process.stdin}).on('line', async line => {
  const {id, method, params} = JSON.parse(line);
  if (method === 'initialize')
    say(id, {protocolVersion: params.protocolVersion, capabilities: {tools: {}},
             serverInfo: {name: 'node', version: '1'}});
  if (method === 'tools/call')
    say(id, {content: [{type: 'text', text: JSON.stringify(await usual())}]});
});
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
async def test_a_node_server_does_what_node_servers_do(tmp_path: Path) -> None:
    script = tmp_path / "server.js"
    script.write_text(NODE)
    at = parse_entry("node", {"command": "node", "args": [str(script)]})
    async with LiveHost(at, [live_tool("usual")], options()) as host:
        assert (await host.call("usual", {"path": ""})).content == ["42", "x", True]


def test_the_hostile_server_would_tell_if_it_were_not_confined() -> None:
    """A positive control: unconfined, what the attacks ask for is there for the taking."""
    code = attack("Unix socket")
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint(result)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "allowed"
    assert mcp_hostile.run("result = 6 * 7") == '{"result": 42}'
    assert asyncio.run(run_all({"a": "result = 1 / 0"})) == {
        "a": "ZeroDivisionError: division by zero"
    }
