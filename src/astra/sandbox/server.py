"""The fork server: zygotes by hash seed, spare children, sessions. Linux only, standard library.

Guarantees, at the levels `namespaces` and `landlock`: tool code reaches no file, network, process,
environment or memory but its own, and its limits are kept from outside. It does not protect
against bugs of the kernel itself, nor against timing between processes on one machine, and it does
not make a tool honest: docs/sandbox.md lists what stays open.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from astra.errors import ConfigError, SandboxInterrupted, SandboxUnavailable
from astra.protocols import SandboxEpisode
from astra.sandbox.base import BaseSandbox
from astra.sandbox.connection import ChildProcess
from astra.sandbox.process import ConfinementLevel, ZygoteProcess
from astra.sandbox.session import ForkSession
from astra.types import Tool, ToolSchema

LEVELS: tuple[ConfinementLevel, ...] = ("namespaces", "landlock")
"""Confining levels, strongest first."""
_LEASES_PER_ZYGOTE = 100
"""Leases of a hash seed after which another zygote is started: it takes about as long as them."""
_HASH_SEEDS = 8
"""Zygotes of at most this many hash seeds are kept; the longest unused one goes."""

_proven: set[str] = set()
"""Levels that have passed the probe in this process."""
_log = logging.getLogger(__name__)

_CLOSED = "this sandbox is closed; open another"


class ForkServer(BaseSandbox):
    """A local `Sandbox`. Use `open_sandbox`."""

    def __init__(self, level: ConfinementLevel, workers: int, spares: int) -> None:
        self._level: ConfinementLevel = level
        self._workers = workers
        self._spares = spares
        self._pools: OrderedDict[int, _Pool] = OrderedDict()
        self._sessions: set[ForkSession] = set()
        self._open = True
        self._watch = asyncio.create_task(self._reap_busy_children())

    @property
    def level(self) -> str:
        return self._level

    async def open(
        self, tools: Sequence[Tool], episode: SandboxEpisode = SandboxEpisode()
    ) -> ForkSession:
        session = ForkSession(self._lease, tools, episode, self._sessions.discard)
        try:
            await session.start()
        except BaseException:
            await session.close()
            raise
        self._sessions.add(session)
        return session

    async def close(self) -> None:
        """End every session and every process of this sandbox."""
        self._open = False
        self._watch.cancel()
        for session in tuple(self._sessions):
            await session.close()
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            await pool.close()

    async def _reap_busy_children(self) -> None:
        while True:
            await asyncio.sleep(1)
            for session in tuple(self._sessions):
                session.reap_busy_child()

    async def _lease(self, hash_seed: int) -> ChildProcess:
        if not self._open:
            raise SandboxUnavailable(_CLOSED)
        if not 0 <= hash_seed < 1 << 32:
            raise ConfigError(f"hash_seed {hash_seed!r} is not from 0 to 4294967295; choose one")
        pool = self._pools.get(hash_seed)
        if pool is None:
            pool = _Pool(self._level, hash_seed, self._workers, self._spares)
            self._pools[hash_seed] = pool
        self._pools.move_to_end(hash_seed)
        pool.waiting += 1  # before the first await: keeps the pool from being closed meanwhile
        try:
            # Taken out before the first one is awaited: nobody may lease from a closing pool.
            surplus = [p for p in list(self._pools.values())[:-_HASH_SEEDS] if p.idle]
            for unused in surplus:
                self._pools.pop(unused.hash_seed, None)
            for unused in surplus:
                await unused.close()
            child = await pool.lease()
        finally:
            pool.waiting -= 1
        if not self._open:
            child.discard()
            raise SandboxUnavailable(_CLOSED)
        return child


class _Pool:
    """The zygotes of one hash seed, used in turn, each with children forked in advance."""

    def __init__(self, level: ConfinementLevel, hash_seed: int, workers: int, spares: int) -> None:
        self._level: ConfinementLevel = level
        self.hash_seed = hash_seed
        self._spares = spares
        self._slots: list[_Slot] = [_Slot() for _ in range(workers)]
        self._leases = 0
        self._closed = False
        self.waiting = 0
        """Leases under way."""

    async def lease(self) -> ChildProcess:
        """A child for one session. Starts a zygote if there is none, or it died."""
        used = min(len(self._slots), 1 + self._leases // _LEASES_PER_ZYGOTE)
        slot = self._slots[self._leases % used]
        self._leases += 1
        while True:
            async with slot.lock:
                if self._closed:
                    raise SandboxUnavailable(_CLOSED)
                if slot.zygote is None or not slot.zygote.inspect():
                    await slot.close()
                    slot.zygote = await ZygoteProcess.start(self._level, self.hash_seed)
                zygote = slot.zygote
            child = slot.spares.popleft() if slot.spares else ChildProcess(zygote)
            while len(slot.spares) < self._spares:
                slot.spares.append(ChildProcess(zygote))
            if zygote.alive:  # it may have been found dead only now
                return child
            child.discard()

    @property
    def idle(self) -> bool:
        """Whether no session has a child of this pool."""
        return not self.waiting and all(
            slot.zygote is None or slot.zygote.children <= len(slot.spares) for slot in self._slots
        )

    async def close(self) -> None:
        self._closed = True
        for slot in self._slots:
            async with slot.lock:
                await slot.close()


class _Slot:
    def __init__(self) -> None:
        self.zygote: ZygoteProcess | None = None
        self.spares: deque[ChildProcess] = deque()
        self.lock = asyncio.Lock()

    async def close(self) -> None:
        for child in self.spares:
            child.discard()
        self.spares.clear()
        if self.zygote is not None:
            await self.zygote.close()
            self.zygote = None


_PROBE = Tool(
    document=ToolSchema(name="probe", description="", parameters={}),
    source='''
import os, socket

def probe():
    """Names of what should be denied and is not."""
    open_ = []
    for name, attempt in {
        "files": lambda: os.listdir("/"),
        "network": lambda: socket.socket(),
        "processes": lambda: os.kill(os.getpid(), 0),
    }.items():
        try:
            attempt()
        except OSError:
            continue
        open_.append(name)
    return open_
''',
)


@asynccontextmanager
async def open_sandbox(
    level: Literal["auto", "namespaces", "landlock", "unsafe"] = "auto",
    *,
    workers: int = 2,
    spares: int = 2,
) -> AsyncGenerator[ForkServer]:
    """A sandbox, closed with all its processes at the end of the block.

    `auto` takes the strongest confining level that works here, never `unsafe`, which confines
    nothing; a level that has worked in this process is not left for a weaker one. `workers`:
    most zygotes per hash seed, about one per core. `spares`: children that each keeps forked in
    advance. Raises `SandboxUnavailable` when the level does not work.
    """
    if workers < 1 or spares < 0:
        raise ConfigError(f"workers={workers!r}, spares={spares!r}; give at least 1 and 0")
    refused: list[str] = []
    for candidate in LEVELS if level == "auto" else (level,):
        server = ForkServer(candidate, workers, spares)
        try:
            # That it starts proves little: the probe tries to break out.
            (outcome,) = await server.run([_PROBE], [("probe", {})])
            if candidate != "unsafe" and outcome.value != []:
                raise SandboxUnavailable(f"level {candidate!r} does not confine: {outcome!r}")
            _proven.add(candidate)
            break
        except SandboxUnavailable as error:
            await server.close()
            if level == "auto" and candidate in _proven:
                raise SandboxUnavailable(
                    f"level {candidate!r} worked before in this process and does not now: {error}; "
                    "a weaker one is not taken in its place. Try again, or ask for another level "
                    "by name"
                ) from error
            if level == "auto" and isinstance(error, SandboxInterrupted):
                _log.warning("level %r is left out, which may work here: %s", candidate, error)
            refused.append(str(error))
        except BaseException:
            await server.close()
            raise
    else:
        raise SandboxUnavailable(
            "; ".join(refused)
            + ". Allow user namespaces or Landlock (Linux 5.13 or newer) to this process, or use "
            "astra.sandbox.RemoteSandbox; level='unsafe' runs tool code with all your rights"
        )
    try:
        yield server
    finally:
        await server.close()
