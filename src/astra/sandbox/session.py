"""An open episode: one child process, asked one call at a time.

A hostile tool can answer its own calls as it likes; it can't answer another episode's, and it
never holds an expected answer, for those stay with the caller. Tool code that patches modules or
builtins changes them for the rest of its own episode, stateless or not.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence

from astra.errors import (
    SandboxBadResult,
    SandboxDied,
    SandboxError,
    SandboxInterrupted,
    SandboxLimit,
    SandboxUnavailable,
)
from astra.protocols import CallOutcome, SandboxEpisode, SandboxLimits
from astra.sandbox import wire
from astra.sandbox.base import BaseSession
from astra.sandbox.child.zygote import OUT_OF_MEMORY
from astra.sandbox.process import ZygoteProcess
from astra.types import Json, Tool

_SPIN_SECONDS = 0.0003
"""How long a call looks for its reply before it goes to sleep in the event loop: about what
sleeping and waking costs."""
_YIELD_SECONDS = 0.005
"""How long quick calls may keep the event loop to themselves."""
_MOST_AT_ONCE = 32
_BYTES_AT_ONCE = 1 << 15
"""Calls that are sent together; the second bound does not hold for a single call."""
_IDLE_CPU_SECONDS = 0.25
"""CPU time that a child may use between two calls, while it has nothing to do."""
_CREDENTIALS = struct.Struct("3i")
_BIRTH = SandboxLimits(cpu_seconds=30.0, wall_seconds=30.0)
"""For a child that has not run tool code yet: to be forked, and to read its tools."""
_TRIES = 3
"""How often a call is made in all, when processes of ours are killed from outside."""
_PAUSE_SECONDS = 0.1
# A child's own faults. It can send no signal, not even to itself: any other comes from outside.
_FAULTS = {
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT),
    *(signal.SIGTRAP, signal.SIGSYS, signal.SIGPIPE, signal.SIGXCPU, signal.SIGXFSZ),
}
_log = logging.getLogger(__name__)


class ChildProcess:
    """Our end of one child process: frames out, frames in, deadlines, death."""

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
        most = episode.limits.output_bytes + wire.ENVELOPE_BYTES
        payload = self._take_frame(most, more=more)
        if payload is not None:
            return payload
        cpu_before = self.cpu_seconds()
        spin_until = time.perf_counter() + (_SPIN_SECONDS if spin else 0.0)
        while True:
            try:
                part = self._socket.recv(1 << 16)
            except BlockingIOError:
                if time.perf_counter() < spin_until:
                    os.sched_yield()  # the child may be waiting for this very core
                else:
                    await self._wait(started, episode.limits, cpu_before)
                continue
            except OSError:
                part = b""
            if not part:
                raise await self._exit_error()
            self._buffer += part
            payload = self._take_frame(most, more=more)
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
                await self._wait(started, _BIRTH, 0.0)
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
            if left <= 0 and limits is _BIRTH:
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
        try:
            return await waiter
        finally:
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


def _is_infrastructure(error: SandboxError) -> bool:
    """Whether an error says nothing about the tool: a kill from outside, or no room to fork."""
    return isinstance(error, SandboxInterrupted) or (
        isinstance(error, SandboxLimit) and error.limit == "processes"
    )


class ForkSession(BaseSession):
    """One episode in a `ForkServer`; satisfies `SandboxSession`."""

    def __init__(
        self,
        lease: Callable[[int], Awaitable[ChildProcess]],
        tools: Sequence[Tool],
        episode: SandboxEpisode,
        closed: Callable[[ForkSession], None],
    ) -> None:
        self._lease = lease
        self._opening = wire.opening_frame(tools, episode)
        self._episode = episode
        self._closed = closed
        self._child: ChildProcess | None = None
        self._lock = asyncio.Lock()
        self._log: list[tuple[str, dict[str, Json]]] = []
        self._number = 0
        self._open = True
        self._last_yield = time.perf_counter()
        self._idle_sample: tuple[ChildProcess | None, int, float] = (None, 0, 0.0)

    async def call(self, name: str, arguments: dict[str, Json]) -> CallOutcome:
        if not self._open:
            raise SandboxUnavailable("this session is closed; open another")
        async with self._lock:
            started = time.perf_counter()
            if started - self._last_yield > _YIELD_SECONDS:
                await asyncio.sleep(0)
                started = self._last_yield = time.perf_counter()
            kills = 0
            while True:
                try:
                    child = self._child
                    if child is None or not child.usable:
                        child = await self.start()
                        started = time.perf_counter()
                    outcome = await self._request(child, name, arguments, started)
                    break
                except (SandboxInterrupted, SandboxLimit) as error:
                    self._discard_child()
                    kills += 1
                    await self._before_retry(error, kills)
                except BaseException:
                    # Also after a cancellation: the next reply would be that of this call.
                    self._discard_child()
                    raise
            if self._episode.stateful:
                self._log.append((name, arguments))
            return outcome

    async def call_many(
        self, calls: Sequence[tuple[str, dict[str, Json]]]
    ) -> list[CallOutcome | SandboxError]:
        """Make calls in order; several are sent at once, so the child never waits for us."""
        if not self._open:
            raise SandboxUnavailable("this session is closed; open another")
        outcomes: list[CallOutcome | SandboxError] = []
        kills = 0
        async with self._lock:
            while len(outcomes) < len(calls):
                answered = len(outcomes)
                try:
                    child = self._child
                    if child is None or not child.usable:
                        child = await self.start()
                    await self._request_batch(child, calls, outcomes)
                except (SandboxDied, SandboxLimit, SandboxBadResult, SandboxInterrupted) as error:
                    self._discard_child()
                    if _is_infrastructure(error):
                        kills = 1 if len(outcomes) > answered else kills + 1
                        await self._before_retry(error, kills)
                    else:
                        outcomes.append(error)
                except BaseException:
                    self._discard_child()
                    raise
        return outcomes

    async def _before_retry(self, error: SandboxError, kills: int) -> None:
        """Wait before a call is made again; raise the error if it must not be."""
        if not _is_infrastructure(error):
            raise error
        if self._open and kills < _TRIES:
            _log.warning("%s; the call is made again in a new process", error)
            await asyncio.sleep(_PAUSE_SECONDS * kills)
        elif self._open:
            raise error
        if not self._open:
            raise SandboxDied("the session was closed during the call") from None

    async def _request_batch(
        self,
        child: ChildProcess,
        calls: Sequence[tuple[str, dict[str, Json]]],
        outcomes: list[CallOutcome | SandboxError],
    ) -> None:
        """Send the next calls together and append their outcomes.

        What is sent fits into the socket's buffer: a child that blocks on a long reply never
        keeps us from reading it.
        """
        frames: list[bytes] = []
        size = 0
        for name, arguments in calls[len(outcomes) : len(outcomes) + _MOST_AT_ONCE]:
            frame = wire.call_frame(self._number + len(frames) + 1, name, arguments)
            size += len(frame)
            if frames and size > _BYTES_AT_ONCE:
                break
            frames.append(frame)
        started = time.perf_counter()
        await child.send(b"".join(frames), started, self._episode.limits)
        for left in reversed(range(len(frames))):
            name, arguments = calls[len(outcomes)]
            self._number += 1
            payload = await child.receive(started, self._episode, more=left > 0, spin=False)
            reply = wire.read_reply(payload, self._number)
            now = time.perf_counter()
            outcomes.append(wire.outcome(name, reply, now - started, self._episode.limits))
            started = now
            if self._episode.stateful:
                self._log.append((name, arguments))

    async def start(self) -> ChildProcess:
        """Fork a child, hand it the tools and, when stateful, replay what had been answered."""
        self._discard_child()
        child = self._child = await self._lease(self._episode.hash_seed)
        await child.send(self._opening, time.perf_counter(), _BIRTH)
        for name, arguments in self._log:
            await self._request(child, name, arguments, time.perf_counter())
        return child

    async def _request(
        self, child: ChildProcess, name: str, arguments: dict[str, Json], started: float
    ) -> CallOutcome:
        self._number += 1
        frame = wire.call_frame(self._number, name, arguments)
        await child.send(frame, started, self._episode.limits)
        payload = await child.receive(started, self._episode)
        reply = wire.read_reply(payload, self._number)
        seconds = time.perf_counter() - started
        return wire.outcome(name, reply, seconds, self._episode.limits)

    def _discard_child(self) -> None:
        if self._child is not None:
            self._child.discard()
            self._child = None

    def reap_busy_child(self) -> None:
        """Called every second: end a child that uses CPU time without a call."""
        child, number = self._child, self._number
        if self._lock.locked():
            self._idle_sample = (None, 0, 0.0)
        elif self._idle_sample[:2] != (child, number):
            self._idle_sample = (child, number, child.cpu_seconds() if child else 0.0)
        # Summed over the seconds: on a busy machine a child gets little of each.
        elif child and child.cpu_seconds() - self._idle_sample[2] > _IDLE_CPU_SECONDS:
            self._discard_child()

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False
        if self._child is not None:
            self._child.kill()  # wakes a call that is still waiting
        async with self._lock:
            self._discard_child()
        self._closed(self)
