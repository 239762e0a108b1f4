"""The owner's side of a zygote: starts it, forks and kills children, learns of their deaths.

The zygote is executed by a bare interpreter with an empty environment, so nothing of this process
(memory, keys, answers, descriptors) is in it or in what it forks.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Literal

from astra.errors import SandboxInterrupted, SandboxUnavailable

ConfinementLevel = Literal["namespaces", "landlock", "unsafe"]

_CHILD_CODE = Path(__file__).parent / "child"
_PYTHON = (sys.executable, "-S", "-s", "-P", "-X", "utf8", "-c")
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_START_PAUSES = (0.1, 0.5)
"""Seconds before a start that came to nothing is tried again."""
# A refusal with one of these is a matter of the moment, not of what this machine allows.
_SCARCE = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EINTR}
_log = logging.getLogger(__name__)
# The child code becomes a package of its own, so that `astra` and what it imports stay outside.
# `random`, `threading` and `logging` would make themselves anew in every child, half of the cost of
# a fork; only one thread forks here, it holds no locks, and every child seeds `random` itself.
_BOOTSTRAP = """
import os, sys, types
os.register_at_fork = lambda **_: None
package = types.ModuleType("astra_child")
package.__path__ = [sys.argv[1]]
sys.modules["astra_child"] = package
from astra_child import zygote
sys.dont_write_bytecode = True  # from here on: no file is written by what tools import
descriptor, level, owner = int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
sys.argv[1:] = []
zygote.main(descriptor, level, owner)
"""


class ZygoteProcess:
    """One running zygote. Build with `start`; lives until `close` or its own death."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, level: ConfinementLevel
    ) -> None:
        self.level: ConfinementLevel = level
        self.alive = True
        self._process = process
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._outgoing: deque[tuple[bytes, socket.socket | None]] = deque()
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._next_id = 0
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(control, self._on_message)

    @classmethod
    async def start(cls, level: ConfinementLevel, hash_seed: int) -> ZygoteProcess:
        """Start one and wait until it is confined.

        Tries again, and says so, when it is killed meanwhile or the machine is short of something.
        Raises `SandboxUnavailable` where the level does not work, else `SandboxInterrupted`.
        """
        for pause in _START_PAUSES:
            try:
                return await cls._start_once(level, hash_seed)
            except SandboxInterrupted as error:
                _log.warning("%s; trying again", error)
                await asyncio.sleep(pause)
        return await cls._start_once(level, hash_seed)

    @classmethod
    async def _start_once(cls, level: ConfinementLevel, hash_seed: int) -> ZygoteProcess:
        if sys.platform != "linux":
            raise SandboxUnavailable(
                f"the sandbox needs Linux, this is {sys.platform!r}; run in a Linux container "
                "or virtual machine, or use astra.sandbox.RemoteSandbox"
            )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        command = [*_PYTHON, _BOOTSTRAP, str(_CHILD_CODE), str(theirs.fileno()), level]
        with theirs:
            try:
                process = subprocess.Popen(
                    [*command, str(os.getpid())],
                    env={"PYTHONHASHSEED": str(hash_seed)},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for us; we end it ourselves
                )
            except OSError as error:
                ours.close()
                if error.errno not in _SCARCE:
                    raise
                raise SandboxInterrupted(f"no sandbox process can be started: {error}") from None
        zygote = cls(process, ours, level)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await zygote._ready
        except BaseException as error:
            await zygote.close()
            if isinstance(error, TimeoutError):
                raise SandboxInterrupted(
                    f"level {level!r} did not start within {_START_SECONDS:.0f} s; is the "
                    "machine overloaded?"
                ) from None
            raise
        return zygote

    @property
    def children(self) -> int:
        """How many children are held: forked, and not yet discarded."""
        return len(self._exits)

    def fork(self) -> tuple[int, socket.socket]:
        """A new child and our end of its connection. It may not be forked yet."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._next_id += 1
        self._exits[self._next_id] = self._loop.create_future()
        self._send(b"F%d" % self._next_id, theirs)
        return self._next_id, ours

    def kill(self, child: int) -> None:
        """End a child. Does nothing if it has ended."""
        exit_ = self._exits.get(child)
        if exit_ is not None and not exit_.done():
            self._send(b"K%d" % child, None)

    def discard(self, child: int) -> None:
        """End a child whose exit status is not needed."""
        self.kill(child)
        self._exits.pop(child, None)

    def inspect(self) -> bool:
        """Whether it is alive now: messages that the event loop has not read yet count."""
        if self.alive:
            self._on_message()
        if self.alive and self._process.poll() is not None:
            self._disconnect("it was killed")
        return self.alive

    async def exit_status(self, child: int, seconds: float = 2.0) -> int | None:
        """The wait status of a child that is ending; -1: never forked; None: unknown."""
        exit_ = self._exits.get(child)
        if exit_ is None or not self.alive:
            return None
        done, _ = await asyncio.wait([exit_], timeout=seconds)
        return exit_.result() if done and not exit_.cancelled() else None

    async def close(self) -> None:
        """End the zygote and all its children, and wait for them to be gone."""
        self._disconnect("closed")
        waited = 0.0
        while self._process.poll() is None:
            if waited > _STOP_SECONDS:
                self._process.kill()
            await asyncio.sleep(0.005)
            waited += 0.005

    def _send(self, message: bytes, descriptor: socket.socket | None) -> None:
        self._outgoing.append((message, descriptor))
        if len(self._outgoing) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._outgoing and self.alive:
            message, descriptor = self._outgoing[0]
            try:
                if descriptor is None:
                    self._control.send(message)
                else:
                    socket.send_fds(self._control, [message], [descriptor.fileno()])
            except BlockingIOError:
                self._loop.add_writer(self._control, self._flush)
                return
            except OSError as error:
                self._disconnect(str(error))
                return
            self._outgoing.popleft()
            if descriptor is not None:
                descriptor.close()
        if self.alive:
            self._loop.remove_writer(self._control)

    def _on_message(self) -> None:
        for _ in range(64):  # then the event loop has its turn, however much a zygote sends
            try:
                message = self._control.recv(8192)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                return self._disconnect("it ended without a message")
            if message[:1] == b"X":
                child, status = message[1:].split()
                exit_ = self._exits.get(int(child))
                if exit_ is not None and not exit_.done():
                    exit_.set_result(int(status))
            elif message == b"R":
                if not self._ready.done():  # the start may have been cancelled
                    self._ready.set_result(None)
            else:
                number, _, reason = message[1:].decode(errors="replace").partition(" ")
                scarce = number.isdecimal() and int(number) in _SCARCE
                return self._disconnect(reason.strip(), refused=not scarce)

    def _disconnect(self, reason: str, *, refused: bool = False) -> None:
        """Let go of it. `refused`: the kernel does not allow what its level needs."""
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._control)
        self._loop.remove_writer(self._control)
        self._control.close()
        for _, descriptor in self._outgoing:
            if descriptor is not None:
                descriptor.close()
        self._outgoing.clear()
        for exit_ in self._exits.values():
            exit_.cancel()
        self._exits.clear()
        with contextlib.suppress(asyncio.InvalidStateError):
            self._ready.set_exception(
                SandboxUnavailable(f"level {self.level!r} does not work here: {reason}")
                if refused
                else SandboxInterrupted(f"level {self.level!r} did not start: {reason}")
            )
            self._ready.exception()  # marks it as seen: the start may have been cancelled
