"""The server of arenas beside OpenEnv's echo environment, by the same clients, on the same machine.

Ours runs tools in a sandbox, theirs gives a message back (it is what `openenv init` writes). Both
are played over OpenEnv's WebSocket protocol, in turn. It needs OpenEnv in an environment of its
own: `openenv/` in the folder that ASTRA_INTEGRATIONS names, or in `.integrations/`. Without it,
nothing is measured and that is said.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astra.core.files import replace_folder
from tests.support.arena_server import descendants
from tests.support.arenas import branching_arena, multi_hop_arena, parallel_arena, write_arena_run

SESSIONS = (64, 512)
EPISODES = 4
"""Of each session."""
STEPS = 4
"""Of an echo episode, its reset included: as many as ours have on average."""
START_SECONDS = 300
ROOT = Path(__file__).parents[1]
KEPT = Path(os.environ.get("ASTRA_INTEGRATIONS") or ROOT / ".integrations")
_PORTS = {"astra": 8791, "openenv": 8792}


def measure() -> dict[str, Any]:
    """Figures by number of sessions. Empty where OpenEnv is not installed."""
    binaries = KEPT / "openenv/bin"
    if not (binaries / "openenv").exists():
        print(f"serve is left out: there is no OpenEnv in {binaries}", file=sys.stderr)
        return {}
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for sessions in SESSIONS:
            theirs, their_memory = _played(Path(folder), binaries, "openenv", sessions)
            ours, our_memory = _played(Path(folder), binaries, "astra", sessions)
            ratio = ours["per_second"] / theirs["per_second"]
            name = f"serve, {sessions} sessions"
            figures |= {
                f"{name}: requests": _figure(ours["per_second"], None, "1/s"),
                f"{name}: OpenEnv echo": _figure(theirs["per_second"], None, "1/s"),
                f"{name}: ratio": _figure(ratio, ">= 2", "x", ratio >= 2),
                f"{name}: P50": _figure(1000 * ours["p50"], None, "ms"),
                f"{name}: P99": _figure(1000 * ours["p99"], None, "ms"),
                f"{name}: P50 of OpenEnv echo": _figure(1000 * theirs["p50"], None, "ms"),
                f"{name}: P99 of OpenEnv echo": _figure(1000 * theirs["p99"], None, "ms"),
                f"{name}: lost": _figure(ours["lost"], 0, "sessions", ours["lost"] == 0),
                f"{name}: wrong scores": _figure(ours["wrong"], 0, "", ours["wrong"] == 0),
                f"{name}: lost by OpenEnv echo": _figure(theirs["lost"], None, "sessions"),
                f"{name}: memory a session": _figure(our_memory, None, "MB"),
                f"{name}: memory of OpenEnv echo": _figure(their_memory, None, "MB"),
            }
    return figures


def _figure(value: float, goal: str | float | None, unit: str, ok: bool | None = None) -> Any:
    return {"value": value, "goal": goal, "unit": unit, "ok": ok}


def _played(folder: Path, binaries: Path, name: str, sessions: int) -> tuple[Any, float]:
    """What the clients measured, and MB of memory for each open session."""
    start = _ours if name == "astra" else _theirs
    with start(folder, binaries) as (pid, episodes):
        plan = folder / "plan.json"
        plan.write_text(json.dumps({"sessions": sessions, "episodes": episodes}))
        before = _memory(pid)
        client = subprocess.Popen(
            [binaries / "python", Path(__file__).with_name("serve_client.py"), plan],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdin is not None and client.stdout is not None
        assert client.stdout.readline() == "open\n"
        memory = (_memory(pid) - before) / sessions
        figures, _ = client.communicate("\n", timeout=600)
        return json.loads(figures), memory


@contextmanager
def _ours(folder: Path, binaries: Path) -> Iterator[tuple[int, list[Any]]]:
    arenas = [multi_hop_arena(), parallel_arena(), branching_arena()]
    run = folder / "arenas"
    if not run.exists():
        write_arena_run(run, arenas)
    port = _PORTS["astra"]
    command = [sys.executable, "-m", "astra", "arenas", "serve", str(run), "--port", str(port)]
    episodes: list[Any] = []
    for arena in arenas:
        messages: list[Any] = [{"type": "reset", "data": {}}]
        for goal in arena.goals:
            if goal.call is not None:
                call = {"tool_name": goal.call.tool, "arguments": dict(goal.call.arguments)}
                messages.append({"type": "step", "data": {"type": "call_tool", **call}})
        messages.append({"type": "step", "data": {"type": "message", "content": "done"}})
        url = f"ws://127.0.0.1:{port}/openenv/{arena.id}/ws"
        episode = {"messages": messages, "reward": 1.0}
        episodes.append({"url": url, "episodes": [episode] * EPISODES})
    with _running([*command, "--max-sessions", "1024"], ROOT, port) as pid:
        yield pid, episodes


@contextmanager
def _theirs(folder: Path, binaries: Path) -> Iterator[tuple[int, list[Any]]]:
    echo = KEPT / "openenv-echo"
    if not echo.exists():  # kept, for it takes a minute to be made
        with tempfile.TemporaryDirectory(dir=KEPT) as name:
            new = Path(name)
            subprocess.run(
                [binaries / "openenv", "init", "echo"], cwd=new, check=True, capture_output=True
            )
            app = new / "echo/server/app.py"
            # As it comes, it takes one session.
            text = re.sub(r"max_concurrent_envs=\d+", "max_concurrent_envs=1024", app.read_text())
            app.write_text(text)
            replace_folder(new / "echo", echo)
    port = _PORTS["openenv"]
    step = {"type": "step", "data": {"message": "hello"}}
    messages = [{"type": "reset", "data": {}}, *[step] * (STEPS - 1)]
    url = f"ws://127.0.0.1:{port}/ws"
    command = [binaries / "uvicorn", "server.app:app", "--port", str(port), "--log-level", "error"]
    with _running(command, echo, port) as pid:
        yield pid, [{"url": url, "episodes": [{"messages": messages}] * EPISODES}]


@contextmanager
def _running(command: list[Any], where: Path, port: int) -> Iterator[int]:
    process = subprocess.Popen(command, cwd=where, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(port):
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError(f"{command[0]} does not answer at port {port}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


def _memory(pid: int) -> float:
    """MB of a process and all below it. Pages that several share are counted once."""
    total = 0
    for each in {pid} | descendants(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue  # it has just ended
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        total += int(found[1]) if found else 0
    return total / 1024
