"""A server as a child process, spoken to through its pipes: the transport under an MCP session.

The child gets the environment of its entry, a `PATH`, a fresh `HOME` and `LANG`, and nothing of
ours; it leads a process group of its own, which is killed at the end. What it writes is bounded:
an overlong message becomes an error in answer to its request, lines that are not messages are
ignored up to a number, and of stderr the end is kept.

What this does not guarantee: a process that leaves its group (setsid) is not found again, and the
server may use the network. What it can read of the file system is for `confine` to say.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import mcp_types as wire
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from astra.hosts.confine import confined_command
from astra.hosts.mcp_entries import McpServerEntry
from astra.hosts.mcp_options import MESSAGE_BYTES
from astra.hosts.mcp_refusals import ServerAccess
from astra.hosts.mcp_state import EpisodeFiles

RUBBISH_LINES = 1000
"""Lines that are not messages, after which a server is given up."""
STDERR_BYTES = 4096
GRACE_SECONDS = 1.0
"""Time to leave after stdin is closed, before the group is killed."""

_BLOCK = 2**16
_PATH = os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"))
_ID_FIRST = re.compile(rb'^\{"jsonrpc":\s*"2\.0",\s*"id":\s*(\d{1,15}),')
_ID_LAST = re.compile(rb'"id":\s*(\d{1,15})\s*(?:,\s*"jsonrpc":\s*"2\.0"\s*)?\}\s*$')


@dataclass(slots=True)
class ServerProcess:
    """What is known of a server's process, for error texts."""

    stderr: bytearray = field(default_factory=bytearray)
    """The last bytes of it."""
    problem: str = ""
    """Why we gave the server up; "": we did not."""
    returncode: int | None = None
    files: EpisodeFiles | None = None
    access: ServerAccess | None = None
    """None: it is not confined, or not started yet."""

    def said(self) -> str:
        """How the process ended, as far as it is known."""
        parts = [self.problem] if self.problem else []
        if self.returncode is not None:
            parts.append(f"it ended with status {self.returncode}")
        written = bytes(self.stderr) if self.files is None else self.files.shown(bytes(self.stderr))
        if text := written.decode("utf-8", "replace").strip():
            parts.append(f"stderr: {text[-500:]}")
            # Before the rest, which may be long.
            if self.access is not None and (advice := self.access.refusal(text)):
                parts.insert(0, advice)
        return "; ".join(parts)


def placed_entry(entry: McpServerEntry, files: EpisodeFiles) -> McpServerEntry:
    """The entry with the paths of an episode."""
    return replace(
        entry,
        args=tuple(map(files.placed, entry.args)),
        env={name: files.placed(value) for name, value in entry.env.items()},
        cwd=files.placed(entry.cwd) if entry.cwd else None,
    )


def environment(entry: McpServerEntry, home: Path) -> dict[str, str]:
    """All that a server's process sees of environment variables."""
    ours = {"PATH": _PATH, "HOME": str(home), "LANG": "C.UTF-8", "TMPDIR": str(home)}
    # Git ends when it may not read /etc/gitconfig, which is ours and not the server's.
    ours["GIT_CONFIG_NOSYSTEM"] = "1"
    return {**ours, **entry.env}


@asynccontextmanager
async def stdio_transport(
    entry: McpServerEntry,
    files: EpisodeFiles,
    process: ServerProcess,
    *,
    message_bytes: int = MESSAGE_BYTES,
    confined: bool = True,
) -> AsyncGenerator[TransportStreams]:
    """Start a server on its files and stop it at the end. HostError when it can't be started."""
    placed = placed_entry(entry, files)
    environ = environment(placed, files.workspace)
    started = confined_command(placed, files.root, environ, confined=confined)
    process.files = files
    if started.confined:
        process.access = ServerAccess(entry, started.read, started.write)
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *started.command,
        env=environ,
        cwd=placed.cwd or str(files.workspace),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,  # a group of its own, which can be killed as a whole
    )
    to_session, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    pump = _Pump(child, process, files, message_bytes)
    async with anyio.create_task_group() as group:
        group.start_soon(pump.read, to_session)
        group.start_soon(pump.write, from_session)
        group.start_soon(pump.read_errors)
        try:
            yield from_server, to_server
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(child)
                process.returncode = child.returncode
            group.cancel_scope.cancel()
    for stream in (to_session, from_server, to_server, from_session):
        stream.close()


async def _stop(child: asyncio.subprocess.Process) -> None:
    """Close stdin, wait a moment, and kill what is left of the group, the leader reaped or not."""
    assert child.stdin is not None
    child.stdin.close()
    with anyio.move_on_after(GRACE_SECONDS):
        while child.returncode is None:
            await anyio.sleep(0.01)
    # The group outlives its leader as long as there are children in it.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with anyio.move_on_after(GRACE_SECONDS):
        while child.returncode is None:
            await anyio.sleep(0.01)
    # A process that left the group may hold the pipes open; asyncio would wait for it.
    child._transport.close()  # type: ignore[attr-defined]  # pyright: ignore - no public way


class _Pump:
    """Carries messages between the pipes and the session's streams."""

    def __init__(
        self,
        child: asyncio.subprocess.Process,
        process: ServerProcess,
        files: EpisodeFiles,
        message_bytes: int,
    ) -> None:
        assert child.stdin and child.stdout and child.stderr
        self._stdin, self._stdout, self._stderr = child.stdin, child.stdout, child.stderr
        self._child = child
        self._process = process
        self._files = files
        self._most = message_bytes
        self._rubbish = 0

    async def read(self, out: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Whole lines to the session, until the pipe ends or the server is given up."""
        async with out:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
                async for line in self._lines():
                    if (message := self._message(line)) is not None:
                        await out.send(message)
                    if self._rubbish > RUBBISH_LINES:
                        self._process.problem = (
                            f"over {RUBBISH_LINES} lines of its stdout are not JSON-RPC messages"
                        )
                        break
            if not self._process.problem:
                # Whoever waits for an answer is told as the stream closes, and how it ended.
                with anyio.move_on_after(GRACE_SECONDS):
                    while self._child.returncode is None:
                        await anyio.sleep(0.01)
            self._process.returncode = self._child.returncode

    async def _lines(self) -> AsyncGenerator[bytes]:
        """Lines of stdout; of an overlong one its first and last bytes, with a mark between."""
        line, size, head = bytearray(), 0, b""
        while block := await self._stdout.read(_BLOCK):
            while block:
                part, newline, block = block.partition(b"\n")
                size += len(part)
                line += part
                if size > self._most:
                    head = head or bytes(line[:200])
                    del line[:-200]
                if newline:
                    yield head + b"\0" + bytes(line) if head else bytes(line)
                    line, size, head = bytearray(), 0, b""

    def _message(self, line: bytes) -> SessionMessage | None:
        head, overlong, tail = line.partition(b"\0")
        if overlong:
            return self._unusable(head, tail, f"the reply is over {self._most} bytes")
        if not line.strip():
            return None
        line = self._files.shown(line)
        try:
            return SessionMessage(wire.jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            return self._unusable(line[:200], line[-200:], "the reply is not a JSON-RPC message")

    def _unusable(self, head: bytes, tail: bytes, problem: str) -> SessionMessage | None:
        """An error in place of a reply; nothing when it is unknown what the line answers."""
        found = _ID_FIRST.search(head) or _ID_LAST.search(tail)
        if found is None:
            self._rubbish += 1
            return None
        error = wire.ErrorData(code=wire.INTERNAL_ERROR, message=problem)
        return SessionMessage(wire.JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))

    async def write(self, messages: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Messages of the session to the server, one line each."""
        with suppress(ConnectionError):
            async with messages:
                async for message in messages:
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    self._stdin.write(self._files.real(text.encode()) + b"\n")
                    await self._stdin.drain()

    async def read_errors(self) -> None:
        """Keep the end of stderr, so that the server never waits for a reader."""
        kept = self._process.stderr
        with suppress(ConnectionError):
            while block := await self._stderr.read(_BLOCK):
                kept += block
                del kept[:-STDERR_BYTES]
