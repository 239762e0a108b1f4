"""The owner's end of one child process: frames out, frames in, deadlines, the reasons of its death.

Everything that the child does is hostile: it may stop reading, answer slowly or without end, or
close its connection. Each wait has a deadline, of wall time and of CPU time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import time

from astra.errors import (
    SandboxBadResult,
    SandboxDied,
    SandboxError,
    SandboxInterrupted,
    SandboxLimit,
)
from astra.protocols import SandboxEpisode, SandboxLimits
from astra.sandbox import wire
from astra.sandbox.child.zygote import OUT_OF_MEMORY
from astra.sandbox.process import ZygoteProcess

_SPIN_SECONDS = 0.0003
"""How long a call looks for its reply before it goes to sleep in the event loop: about what
sleeping and waking costs."""
_CREDENTIALS = struct.Struct("3i")
BIRTH = SandboxLimits(cpu_seconds=30.0, wall_seconds=30.0)
"""For a child that has not run tool code yet: to be forked, and to read its tools."""
# A child's own faults. It can send no signal, not even to itself: any other comes from outside.
_FAULTS = {
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT),
    *(signal.SIGTRAP, signal.SIGSYS, signal.SIGPIPE, signal.SIGXCPU, signal.SIGXFSZ),
}


class ChildProcess:
    """Our end of one child process: frames out, frames in, deadlines, death."""

    asleep = 0
    """How many calls sleep until a child of theirs answers, of all in this process."""

    def __init__(self, zygote: ZygoteProcess) -> None:
        self._zygote = zygote
        self._id, self._socket = zygote.fork()
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._pid = 0

    @property
    def usable(self) -> bool:
        return self._zygote.alive

    def kill(self) -> None:
        """End the child, whatever it is doing."""
        self._zygote.kill(self._id)

    def discard(self) -> None:
        """End the child and our connection to it."""
        self._socket.close()
        self._zygote.discard(self._id)

    async def send(self, frame: bytes, started: float, limits: SandboxLimits) -> None:
        """Send a frame. Raises `SandboxLimit` (wall, cpu) when the child does not read it."""
        left = memoryview(frame)
        cpu_before = None
        while True:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                pass
            except OSError:
                raise await self._exit_error() from None
            if not left:
                return
            if cpu_before is None:
                cpu_before = self.cpu_seconds()
            await self._wait(started, limits, cpu_before, to_write=True)

    def received(self, episode: SandboxEpisode, *, more: bool = False) -> bytes | None:
        """The next frame if it is here already. Raises `SandboxLimit` (output)."""
        return self._take_frame(episode.limits.output_bytes + wire.ENVELOPE_BYTES, more=more)

    async def receive(
        self, started: float, episode: SandboxEpisode, *, more: bool = False, spin: bool = True
    ) -> bytes:
        """The next frame. Raises `SandboxLimit` (wall, cpu, output) or `SandboxDied`.

        `more`: another reply is due, and may have arrived already. `spin`: poll for a while before
        sleeping; faster for one call, wasteful when there is other work.
        """
        if not self._pid:
            await self._read_process_id()
            started = time.perf_counter()  # that it had to be forked is not the tool's doing
        payload = self.received(episode, more=more)
        if payload is not None:
            return payload
        cpu_before = self.cpu_seconds()
        spin_until = time.perf_counter() + (_SPIN_SECONDS if spin else 0.0)
        while True:
            try:
                part = self._socket.recv(1 << 16)
            except BlockingIOError:
                # While it spins, the event loop does nothing else: only where nobody else waits.
                if not ChildProcess.asleep and time.perf_counter() < spin_until:
                    os.sched_yield()  # the child may be waiting for this very core
                else:
                    await self._wait(started, episode.limits, cpu_before)
                continue
            except OSError:
                part = b""
            if not part:
                raise await self._exit_error()
            self._buffer += part
            payload = self.received(episode, more=more)
            if payload is not None:
                return payload

    def _take_frame(self, most: int, *, more: bool) -> bytes | None:
        if len(self._buffer) < 4:
            return None
        (size,) = wire.LENGTH.unpack_from(self._buffer)
        if size > most:
            raise SandboxLimit("output", f"the reply has {size} bytes, more than {most}")
        if len(self._buffer) < size + 4:
            return None
        payload, self._buffer = self._buffer[4 : size + 4], self._buffer[size + 4 :]
        if self._buffer and not more:
            raise SandboxBadResult("the child sent more than one reply to one call")
        return payload

    async def _read_process_id(self) -> None:
        """Read the first byte: with it the kernel sends the child's process id."""
        started = time.perf_counter()
        while True:
            try:
                byte, control, _, _ = self._socket.recvmsg(1, socket.CMSG_SPACE(_CREDENTIALS.size))
                break
            except BlockingIOError:
                await self._wait(started, BIRTH, 0.0)
            except OSError:
                raise await self._exit_error() from None
        if not byte:
            raise await self._exit_error()
        self._pid = _CREDENTIALS.unpack(control[0][2])[0]
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)

    async def _wait(
        self, started: float, limits: SandboxLimits, cpu_before: float, *, to_write: bool = False
    ) -> None:
        """Sleep until something can be read, or written, or a limit is passed."""
        while True:
            left = started + limits.wall_seconds - time.perf_counter()
            if left <= 0 and limits is BIRTH:
                raise SandboxInterrupted(
                    f"a new sandbox process does nothing for {limits.wall_seconds} s; is the "
                    "machine overloaded?"
                )
            if left <= 0:
                what = "the arguments were not read" if to_write else "no answer"
                raise SandboxLimit("wall", f"{what} within {limits.wall_seconds} s")
            cpu_left = cpu_before + limits.cpu_seconds - self.cpu_seconds()
            if cpu_left <= 0:
                raise SandboxLimit("cpu", f"more than {limits.cpu_seconds} s of CPU time")
            if await self._is_ready(min(left, max(cpu_left, 0.002)), to_write):
                return

    async def _is_ready(self, seconds: float, to_write: bool) -> bool:
        waiter: asyncio.Future[bool] = self._loop.create_future()

        def wake(answer: bool) -> None:
            if not waiter.done():
                waiter.set_result(answer)

        # By number: for a socket the loop formats its description each time, and drops it.
        descriptor = self._socket.fileno()
        if to_write:
            self._loop.add_writer(descriptor, wake, True)
        else:
            self._loop.add_reader(descriptor, wake, True)
        timer = self._loop.call_later(seconds, wake, False)
        ChildProcess.asleep += 1
        try:
            return await waiter
        finally:
            ChildProcess.asleep -= 1
            timer.cancel()
            if to_write:
                self._loop.remove_writer(descriptor)
            else:
                self._loop.remove_reader(descriptor)

    def cpu_seconds(self) -> float:
        """CPU time the child has used so far, by the kernel's clock of that process."""
        if not self._pid:
            return 0.0
        try:
            return time.clock_gettime((~self._pid << 3) | 2)
        except OSError:
            return 0.0

    async def _exit_error(self) -> SandboxError:
        """Why it is gone: `SandboxInterrupted` when it was ended from outside."""
        status = await self._zygote.exit_status(self._id)
        if status is None and not self._zygote.inspect():
            return SandboxInterrupted("the sandbox process that forks was killed from outside")
        if status is None:
            return SandboxDied("the child closed its connection, and goes on")
        if status == -1:
            return SandboxLimit("processes", "no process can be forked; close some sessions")
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.strsignal(number) or str(number)
            if number in _FAULTS:
                return SandboxDied(f"the child was killed by signal {number} ({name})")
            return SandboxInterrupted(
                f"a sandbox process was killed from outside by signal {number} ({name}); "
                "is the machine out of memory?"
            )
        code = os.WEXITSTATUS(status)
        if code == OUT_OF_MEMORY:
            return SandboxLimit("memory", "the child ran out of memory outside of tool code")
        return SandboxDied(f"the child ended by itself with exit status {code}")
