"""What all engines share: episodes that wait for a message are served together.

There are two ways to gather them. `deterministic`: a batch begins when every open episode waits, so
that what shares a batch, and with it every last bit of the numbers, depends on seeds alone.
Otherwise an episode joins at the next token: faster, but not bit-reproducible.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from astra.chat.template import ChatTemplate
from astra.engines.episode import EngineEpisode
from astra.errors import ModelUnavailable
from astra.protocols import Sampling


class Engine(Protocol):
    """Generates messages for many conversations at once."""

    @property
    def name(self) -> str: ...

    @property
    def timings(self) -> EngineTimings: ...

    def open(self, seed: int, sampling: Sampling = ...) -> EngineEpisode: ...


@runtime_checkable
class Pausable(Protocol):
    """An engine whose weights may change while conversations are under way."""

    def pause(self) -> None:
        """Sample nothing until `resume`. Call it on the engine's event loop: there, it comes
        between two tokens."""
        ...

    def resume(self) -> None:
        """Go on with the weights of now."""
        ...


class EngineTimings:
    """Where an engine's time went, in seconds, and how many tokens it processed."""

    def __init__(self) -> None:
        self.generation = 0.0
        """Time in forward passes and sampling."""
        self.idle = 0.0
        """Time in which episodes were open and none of them waited for a token."""
        self.tools = 0.0
        """The part of the time without generation in which at least one tool call ran."""
        self.prompt_tokens = 0
        """Tokens that went through the model and were not sampled."""
        self.sampled_tokens = 0
        self._idle_since: float | None = None
        self._generation_start = self._last_tick = 0.0
        self._calls = 0
        self._generating = False

    def tool_started(self) -> None:
        self._tick()
        self._calls += 1

    def tool_finished(self) -> None:
        self._tick()
        self._calls -= 1

    def generation_started(self) -> None:
        self.idle_finished()
        self._tick()
        self._generating = True
        self._generation_start = time.perf_counter()

    def generation_finished(self, *, idle: bool) -> None:
        """`idle`: there are open episodes, which will ask for more."""
        self._tick()
        self._generating = False
        now = time.perf_counter()
        self.generation += now - self._generation_start
        self._idle_since = now if idle else None

    def idle_finished(self) -> None:
        """A batch begins, or no open episode is left."""
        if self._idle_since is not None:
            self.idle += time.perf_counter() - self._idle_since
            self._idle_since = None

    def settle(self) -> None:
        """Count what is under way up to now."""
        self._tick()
        if self._generating:
            self.generation += self._last_tick - self._generation_start
            self._generation_start = self._last_tick
        elif self._idle_since is not None:
            self.idle += self._last_tick - self._idle_since
            self._idle_since = self._last_tick

    def reset(self) -> None:
        """Set all counters to zero. What is under way counts from now on."""
        self.settle()
        self.generation = self.idle = self.tools = 0.0
        self.prompt_tokens = self.sampled_tokens = 0

    def _tick(self) -> None:
        """Attribute the time since the last event to tools if some ran and nothing else did."""
        now = time.perf_counter()
        if self._calls and not self._generating:
            self.tools += now - self._last_tick
        self._last_tick = now


class BatchingEngine(ABC):
    """Base class of engines: gathers waiting episodes. A subclass serves them in `_serve`."""

    def __init__(
        self, name: str, chat: ChatTemplate, max_length: int, *, deterministic: bool
    ) -> None:
        self._name = name
        self._chat = chat
        self._max_length = max_length
        self._deterministic = deterministic
        self._open: list[EngineEpisode] = []
        self._waiting: list[EngineEpisode] = []
        self._task: asyncio.Task[None] | None = None
        self.timings = EngineTimings()

    @property
    def name(self) -> str:
        return self._name

    @property
    def chat(self) -> ChatTemplate:
        return self._chat

    @property
    def max_length(self) -> int:
        """Maximum tokens of a conversation: prompt and completion."""
        return self._max_length

    def open(self, seed: int, sampling: Sampling = Sampling()) -> EngineEpisode:
        """Open a conversation. A deterministic engine needs all of a batch opened before the first
        runs. `sampling`: defaults for requests that leave a value None."""
        episode = EngineEpisode(self, seed, sampling)
        self._open.append(episode)
        return episode

    def submit(self, episode: EngineEpisode) -> None:
        """Queue an episode's request."""
        self._waiting.append(episode)
        self._wake()

    def leave(self, episode: EngineEpisode) -> None:
        """Remove a closed episode. Others may have waited for it."""
        self._open.remove(episode)
        if episode in self._waiting:
            self._waiting.remove(episode)
        if not self._open:
            self.timings.idle_finished()
        self._wake()

    def _wake(self) -> None:
        if self._waiting and self._task is None and self._batch_complete():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def _batch_complete(self) -> bool:
        """Whether a batch may begin."""
        return not self._deterministic or len(self._waiting) == len(self._open)

    def _take_waiting(self) -> list[EngineEpisode]:
        """The waiting episodes, which are no longer waiting then."""
        joining, self._waiting = self._waiting, []
        if self._deterministic:
            # In the order of opening: that of asking depends on how long tools took.
            order = {id(episode): index for index, episode in enumerate(self._open)}
            joining.sort(key=lambda episode: order[id(episode)])
        return joining

    async def _run(self) -> None:
        episodes: list[EngineEpisode] = []
        try:
            while self._waiting and self._batch_complete():
                self.timings.generation_started()
                try:
                    await self._serve(episodes)
                finally:
                    self.timings.generation_finished(idle=bool(self._open))
        except Exception as error:  # noqa: BLE001 - handed to the episodes, which record it
            for episode in {*episodes, *self._take_waiting()}:
                if episode.request is not None and not episode.request.future.done():
                    failure = ModelUnavailable(f"the engine broke: {type(error).__name__}: {error}")
                    failure.__cause__ = error
                    episode.request.future.set_exception(failure)
        finally:
            self._task = None
            self._wake()

    @abstractmethod
    async def _serve(self, episodes: list[EngineEpisode]) -> None:
        """Serve requests until none waits. `episodes` holds those under way, for error handling."""


def finish(episode: EngineEpisode, *, stopped: bool) -> None:
    """Resolve an episode's request, unless the caller has gone."""
    if episode.request is not None and not episode.request.future.done():
        episode.request.future.set_result(stopped)
