"""What all engines share: episodes that wait are served together.

Two ways of gathering them. `lockstep`: a batch begins when every open episode waits, so that
what shares a batch, and with it every last bit of the numbers, depends on seeds alone.
Otherwise an episode joins at the next token: more of it at once, but not the same bits twice.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from astra.engines.episode import EngineEpisode
from astra.errors import ModelUnavailable

if TYPE_CHECKING:
    from astra.chat.template import ChatTemplate


class Engine(Protocol):
    """Writes messages for many conversations at once."""

    @property
    def name(self) -> str: ...

    @property
    def clock(self) -> EngineTimings: ...

    def open(self, seed: int) -> EngineEpisode: ...


class EngineTimings:
    """Where an engine's time went, in seconds, and what it wrote. Reset by whoever reads it."""

    def __init__(self) -> None:
        self.busy = self.waiting = 0.0
        """`waiting`: episodes were open, and none of them asked for a token."""
        self.tools = 0.0
        """What of that passed with at least one tool call under way."""
        self.prompt_tokens = self.sampled_tokens = 0
        """`prompt_tokens`: those that went through the model and were not sampled."""
        self._idle_since: float | None = None
        self._started = self._mark = 0.0
        self._calls = 0
        self._working = False

    def _tick(self) -> None:
        now = time.perf_counter()
        if self._calls and not self._working:
            self.tools += now - self._mark
        self._mark = now

    def call(self) -> None:
        """A tool is called."""
        self._tick()
        self._calls += 1

    def returned(self) -> None:
        """It has returned."""
        self._tick()
        self._calls -= 1

    def work(self) -> None:
        """The engine begins a batch."""
        self.stop_waiting()
        self._tick()
        self._working = True
        self._started = time.perf_counter()

    def rest(self, *, waiting: bool) -> None:
        """The batch is over; `waiting`: there are episodes that will ask for more."""
        self._tick()
        self._working = False
        now = time.perf_counter()
        self.busy += now - self._started
        self._idle_since = now if waiting else None

    def stop_waiting(self) -> None:
        """There is nobody left to wait for, or work to do."""
        if self._idle_since is not None:
            self.waiting += time.perf_counter() - self._idle_since
            self._idle_since = None

    def reset(self) -> None:
        """Begin to count anew."""
        self.busy = self.waiting = self.tools = 0.0
        self.prompt_tokens = self.sampled_tokens = 0


class BatchingEngine(ABC):
    """Gathers the episodes that wait. A subclass serves them in `_serve`."""

    def __init__(self, name: str, chat: ChatTemplate, context: int, *, lockstep: bool) -> None:
        self._name = name
        self._chat = chat
        self._context = context
        self._lockstep = lockstep
        self._open: list[EngineEpisode] = []
        self._waiting: list[EngineEpisode] = []
        self._task: asyncio.Task[None] | None = None
        self.clock = EngineTimings()

    @property
    def name(self) -> str:
        return self._name

    @property
    def chat(self) -> ChatTemplate:
        return self._chat

    @property
    def context(self) -> int:
        """Most tokens of a conversation, prompt and completion."""
        return self._context

    def open(self, seed: int) -> EngineEpisode:
        """A conversation. In lockstep, open all that are to run together before the first runs."""
        episode = EngineEpisode(self, seed)
        self._open.append(episode)
        return episode

    def submit(self, episode: EngineEpisode) -> None:
        """Have an episode's request served."""
        self._waiting.append(episode)
        self._wake()

    def leave(self, episode: EngineEpisode) -> None:
        """An episode is over; others may have waited for it."""
        self._open.remove(episode)
        if episode in self._waiting:
            self._waiting.remove(episode)
        if not self._open:
            self.clock.stop_waiting()
        self._wake()

    def _wake(self) -> None:
        if self._waiting and self._task is None and self._complete():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def _complete(self) -> bool:
        """Whether a batch may begin."""
        return not self._lockstep or len(self._waiting) == len(self._open)

    def _joining(self) -> list[EngineEpisode]:
        """Those that wait, in the order in which they were opened; they wait no longer."""
        joining, self._waiting = self._waiting, []
        if self._lockstep:
            order = {id(episode): index for index, episode in enumerate(self._open)}
            joining.sort(key=lambda episode: order[id(episode)])
        return joining

    async def _run(self) -> None:
        episodes: list[EngineEpisode] = []
        try:
            while self._waiting and self._complete():
                self.clock.work()
                try:
                    await self._serve(episodes)
                finally:
                    self.clock.rest(waiting=bool(self._open))
        except Exception as error:  # noqa: BLE001 - handed to the episodes, which record it
            self._fail(episodes, error)
        finally:
            self._task = None
            self._wake()

    def _fail(self, episodes: Sequence[EngineEpisode], error: Exception) -> None:
        for episode in {*episodes, *self._joining()}:
            if episode.request is not None and not episode.request.future.done():
                broken = ModelUnavailable(f"the engine broke: {type(error).__name__}: {error}")
                broken.__cause__ = error
                episode.request.future.set_exception(broken)

    @abstractmethod
    async def _serve(self, episodes: list[EngineEpisode]) -> None:
        """Serve what waits until nothing does; keeps those under way in `episodes`."""


def finish(episode: EngineEpisode, *, stopped: bool) -> None:
    """Resolve an episode's request, unless whoever asked has gone."""
    if episode.request is not None and not episode.request.future.done():
        episode.request.future.set_result(stopped)
