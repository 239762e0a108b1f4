"""Servers of arenas for tests: in a thread, or as the command in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from astra.arenas.sets import ArenaSet
from astra.configs.serve import ServeArenasConfig
from astra.hosts.arena import arena_messages
from astra.models.policies import Policy, policy
from astra.protocols import Sampling
from astra.serve.app import arena_app
from astra.serve.running import ArenaServer
from astra.serve.server import session_table
from astra.serve.sessions import SessionTable
from astra.types import Arena, Message


class RunningServer:
    """A server in a thread, and what it holds."""

    def __init__(self) -> None:
        self.url = ""
        self.table: SessionTable | None = None
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.server: ArenaServer | None = None


@contextmanager
def serving(run: Path, *, token: str | None = None, **options: Any) -> Generator[RunningServer]:
    """A server of a run folder in a thread. `body_seconds` is an option of the application."""
    body_seconds = options.pop("body_seconds", 30.0)
    config = ServeArenasConfig(run, uncertified=True, **options)
    running = RunningServer()

    async def work(listening: socket.socket) -> None:
        async with session_table(config, ArenaSet(run, uncertified=True), None) as table:
            app = arena_app(table, token=token, body_seconds=body_seconds)
            running.table, running.loop = table, asyncio.get_running_loop()
            uvicorn_config = uvicorn.Config(app, log_level="error", access_log=False)
            running.server = ArenaServer(uvicorn_config, running.ready.set)
            await running.server.serve(sockets=[listening])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        running.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=lambda: asyncio.run(work(listening)))
        thread.start()
        try:
            assert running.ready.wait(30)
            yield running
        finally:
            if running.server is not None:
                running.server.stop()
            thread.join()


@contextmanager
def serving_process(*arguments: str, token: str | None = None) -> Generator[tuple[str, int]]:
    """`astra arenas serve` on a free port: its address, and its process id."""
    environment = os.environ | ({} if token is None else {"ARENA_TOKEN": token})
    command = [sys.executable, "-m", "astra", "arenas", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("serving at "), line + process.stderr.read()
        yield line.split()[-1], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stderr.close()


def descendants(pid: int) -> set[int]:
    """All processes below a process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                )
            except (OSError, IndexError):
                continue
    below: set[int] = set()
    while True:
        more = {child for child, parent in parents.items() if parent in below | {pid}} - below
        if not more:
            return below
        below |= more


def gone(pids: set[int], seconds: float = 30.0) -> bool:
    """Whether all of these processes end within a time."""
    until = time.monotonic() + seconds
    while any(_lives(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def bearer(token: str) -> dict[str, str]:
    """The header with a token."""
    return {"Authorization": f"Bearer {token}"}


def opened(client: httpx2.Client, arena: Arena, **fields: Any) -> dict[str, Any]:
    """A new session of an arena."""
    answer = client.post("/sessions", json={"arena": arena.id, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def play_messages(arena: Arena, name: Policy, call: Any, say: Any) -> None:
    """Play an arena by a reference policy: `call` makes a call, `say` says something."""
    model = policy(name, arena, 0)
    messages = list(arena_messages(arena))
    while True:
        message = (await model.generate(tuple(messages), (), Sampling())).message
        messages.append(message)
        for request in message.tool_calls:
            text = await call(request.tool, request.arguments)
            messages.append(Message(role="tool", content=text, tool_call_id=request.id))
        if not message.tool_calls:
            answer = await say(message.content)
            if answer is None:
                return
            messages.append(Message(role="user", content=answer))
