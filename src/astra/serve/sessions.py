"""The open sessions of a server: one episode each, bounded in number and in time.

A session is found by an id that can't be guessed. Two secrets come with it: with the play token
its tools can be called, with the score token its score can be read after the end. So whoever opens
a session can hand the first to an agent and keep the second.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from astra.arenas.sets import ArenaSet
from astra.episodes import Episode, Score
from astra.errors import HostError, SandboxError, SessionError, StoreError
from astra.protocols import Sandbox
from astra.rewards import Reward, RewardFunction
from astra.rollouts.session import ToolReply
from astra.serve.episode import ServedEpisode
from astra.serve.metrics import ServerMetrics
from astra.types import Arena, StopReason

ENDED_SESSIONS = 10_000
"""Ended sessions whose results can still be read; the oldest are forgotten first."""
RETRY_SECONDS = 2
"""When a client that was refused should try again."""
_ARENAS = 128
"""Arenas kept in memory. A read takes milliseconds, and sessions often share an arena."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Bounds of the sessions of a server."""

    sessions: int = 256
    """Open sessions at once."""
    idle_seconds: float = 600.0
    """A session without a call for so long ends; its episode is scored as it stands."""
    episode_seconds: float = 3600.0
    turns: int = 128
    """Calls and messages of an episode."""


class ServedSession:
    """An episode that clients reach by an id."""

    def __init__(self, episode: ServedEpisode, sample: int) -> None:
        self.id = secrets.token_hex(16)
        self.play_token = secrets.token_urlsafe(24)
        self.score_token = secrets.token_urlsafe(24)
        self.episode = episode
        self.sample = sample
        self.opened = self.used = time.monotonic()

    @property
    def arena(self) -> Arena:
        return self.episode.arena


class SessionResult(NamedTuple):
    """What stays of a session after its end."""

    id: str
    arena: str
    sample: int
    play_token: str
    score_token: str
    stop: StopReason
    error: str
    score: Score | None
    """None after an infrastructure failure."""


class SessionTable:
    """Opens, finds and ends sessions. Use it as a context: leaving it ends all of them."""

    def __init__(
        self,
        arenas: ArenaSet,
        sandbox: Sandbox,
        *,
        limits: SessionLimits,
        seed: int = 0,
        reward: Reward | RewardFunction = "f1",
        system_prompt: str | None = None,
        on_end: Callable[[Episode], None] | None = None,
    ) -> None:
        """`on_end`: receives each episode when it has ended."""
        self.arenas = arenas
        self.limits = limits
        self.metrics = ServerMetrics()
        self._sandbox = sandbox
        self._seed = seed
        self._reward: Reward | RewardFunction = reward
        self._system_prompt = system_prompt
        self._on_end = on_end
        self._open: dict[str, ServedSession] = {}
        self._ended: OrderedDict[str, SessionResult] = OrderedDict()
        self._read: OrderedDict[str, Arena] = OrderedDict()
        self._closing = False
        self._reaper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> SessionTable:
        self._reaper = asyncio.create_task(self._end_overdue())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        if self._reaper is not None:
            self._reaper.cancel()
        stopped = "the server was stopped before the episode ended"
        for session in tuple(self._open.values()):
            await self.end(session, StopReason.internal_error, stopped)

    def __len__(self) -> int:
        """Open sessions."""
        return len(self._open)

    def arena(self, arena_id: str) -> Arena:
        """An arena by its id. Raises SessionError."""
        arena = self._read.get(arena_id)
        if arena is None:
            try:
                arena = self.arenas[arena_id]
            except KeyError:
                problem = f"there is no arena {arena_id[:100]!r} here: see /arenas"
                raise SessionError(404, problem) from None
            except StoreError as error:
                raise SessionError(500, str(error)) from error
            self._read[arena_id] = arena
            if len(self._read) > _ARENAS:
                self._read.popitem(last=False)
        return arena

    async def open(self, arena_id: str, sample: int = 0) -> ServedSession:
        """Begin an episode. Raises SessionError: 404 for the arena, 503 if there is no room."""
        arena = self.arena(arena_id)
        if self._closing or len(self._open) >= self.limits.sessions:
            self.metrics.refused += 1
            why = "the server is stopping" if self._closing else f"{len(self._open)} are open"
            raise SessionError(503, f"no room for another session: {why}; try again later")
        episode = ServedEpisode(
            arena,
            self._sandbox,
            max_turns=self.limits.turns,
            seed=self._seed,
            sample=sample,
            reward=self._reward,
            system_prompt=self._system_prompt,
        )
        session = ServedSession(episode, sample)
        # Before anything is awaited, so that no more than allowed are opened at once.
        self._open[session.id] = session
        try:
            await episode.open()
        except BaseException:
            del self._open[session.id]
            raise
        self.metrics.opened += 1
        return session

    def is_open(self, session_id: str) -> bool:
        """Whether a session goes on."""
        return session_id in self._open

    def find(self, session_id: str) -> ServedSession:
        """An open session. Raises SessionError: 409 if it has ended, 404 if there is none."""
        session = self._open.get(session_id)
        if session is not None:
            return session
        result = self.result(session_id)
        raise SessionError(409, f"the episode is over ({result.stop.value}): open another session")

    def result(self, session_id: str) -> SessionResult:
        """What became of an ended session. Raises SessionError: 409 if it goes on."""
        result = self._ended.get(session_id)
        if result is not None:
            return result
        if session_id in self._open:
            raise SessionError(409, "the episode goes on: there is no score yet")
        raise SessionError(404, "there is no such session; it may have ended long ago")

    def play_token(self, session_id: str) -> str | None:
        """The token for playing a session, also of one that is over. None if there is none."""
        session = self._open.get(session_id) or self._ended.get(session_id)
        return None if session is None else session.play_token

    def score_token(self, session_id: str) -> str | None:
        """The token for reading a session's score. None if there is no such session."""
        session = self._open.get(session_id) or self._ended.get(session_id)
        return None if session is None else session.score_token

    async def call(self, session: ServedSession, tool: str, arguments: str) -> ToolReply:
        """Call a tool of a session. Raises SessionError, also for failures of ours (500)."""
        session.used = started = time.monotonic()
        try:
            reply = await session.episode.call(tool, arguments)
        except (HostError, SandboxError) as error:
            raise SessionError(500, f"{error}; the episode is over and has no score") from error
        finally:
            session.used = time.monotonic()
            self._put_away(session)
        status = "over" if reply.record is None else reply.record.status.value
        self.metrics.add_call(status, session.used - started)
        return reply

    async def say(self, session: ServedSession, text: str) -> str | None:
        """Say something in a session. None: nobody answers, and the episode is over."""
        session.used = time.monotonic()
        try:
            return await session.episode.say(text)
        except (HostError, SandboxError) as error:
            raise SessionError(500, f"{error}; the episode is over and has no score") from error
        finally:
            session.used = time.monotonic()
            self._put_away(session)

    async def end(self, session: ServedSession, stop: StopReason, error: str = "") -> None:
        """End a session. One that is over stays as it ended."""
        await session.episode.end(stop, error)
        self._put_away(session)

    def _put_away(self, session: ServedSession) -> None:
        """Move a session that is over to those that only hold a result."""
        if not session.episode.over or self._open.pop(session.id, None) is None:
            return
        trajectory, score = session.episode.trajectory, session.episode.score()
        self._ended[session.id] = SessionResult(
            session.id,
            session.arena.id,
            session.sample,
            session.play_token,
            session.score_token,
            trajectory.stop,
            trajectory.error,
            score,
        )
        if len(self._ended) > ENDED_SESSIONS:
            self._ended.popitem(last=False)
        self.metrics.ended[trajectory.stop.value] += 1
        if self._on_end is not None:
            self._on_end(
                Episode(
                    arena=session.arena.id,
                    sample=session.sample,
                    trajectory=trajectory,
                    score=score,
                )
            )

    async def _end_overdue(self) -> None:
        """End sessions that are idle or have gone on for too long."""
        pause = min(1.0, self.limits.idle_seconds / 4, self.limits.episode_seconds / 4)
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            for session in tuple(self._open.values()):
                self._put_away(session)  # its caller may have gone before it was over
                idle = not session.episode.busy and now - session.used > self.limits.idle_seconds
                if idle or now - session.opened > self.limits.episode_seconds:
                    await self.end(session, StopReason.time_limit)
