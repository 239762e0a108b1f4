"""An open episode: one child process, asked one call at a time.

A hostile tool can answer its own calls as it likes; it can't answer another episode's, and it
never holds an expected answer, for those stay with the caller. Tool code that patches modules or
builtins changes them for the rest of its own episode, stateless or not.
"""

from __future__ import annotations

import asyncio
import logging
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
from astra.protocols import RESTORE, CallOutcome, SandboxEpisode
from astra.sandbox import wire
from astra.sandbox.base import BaseSession
from astra.sandbox.connection import BIRTH, ChildProcess
from astra.types import Json, Tool

_YIELD_SECONDS = 0.005
"""How long quick calls may keep the event loop to themselves."""
_MOST_AT_ONCE = 32
_BYTES_AT_ONCE = 1 << 15
"""Calls that are sent together; the second bound does not hold for a single call."""
_IDLE_CPU_SECONDS = 0.25
"""CPU time that a child may use between two calls, while it has nothing to do."""
_TRIES = 3
"""How often a call is made in all, when processes of ours are killed from outside."""
_PAUSE_SECONDS = 0.1
_log = logging.getLogger(__name__)


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
            self._remember(name, arguments)
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

    def _remember(self, name: str, arguments: dict[str, Json]) -> None:
        if (name, arguments) == RESTORE:
            self._log.clear()
        elif self._episode.remembers:
            self._log.append((name, arguments))

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
            payload = child.received(self._episode, more=left > 0)
            if payload is None:
                payload = await child.receive(started, self._episode, more=left > 0, spin=False)
            reply = wire.read_reply(payload, self._number)
            now = time.perf_counter()
            outcomes.append(wire.outcome(name, reply, now - started, self._episode))
            started = now
            self._remember(name, arguments)

    async def start(self) -> ChildProcess:
        """Fork a child, hand it the tools and, when stateful, replay what had been answered."""
        self._discard_child()
        child = self._child = await self._lease(self._episode.hash_seed)
        await child.send(self._opening, time.perf_counter(), BIRTH)
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
        return wire.outcome(name, reply, seconds, self._episode)

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
