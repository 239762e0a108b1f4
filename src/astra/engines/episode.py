"""One conversation with an engine: a `Model` that keeps every token it was given or sampled.

Text goes out and tool results come back as messages, but what is recorded are the sampled ids
themselves: nothing that the policy wrote is ever encoded again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from astra.errors import ModelBadReply, ModelUnavailable
from astra.hosts.wrapped import WrappedHost
from astra.protocols import Reply, Sampling, ToolHost, ToolResult
from astra.types import FinishReason, Json, Message, ToolSchema, Usage

if TYPE_CHECKING:
    from astra.chat.template import ChatTemplate


class EpisodeTokens(NamedTuple):
    """The tokens of an episode. T: all after the prompt, up to the last one that was sampled."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    policy_mask: tuple[bool, ...]
    """T: whether the policy wrote the token."""
    logprobs: tuple[float, ...]
    """T: at sampling time, under the temperature's distribution; 0.0 outside the mask."""
    entropies: tuple[float, ...]
    """T: nats; 0.0 outside the mask; NaN where the engine can't tell."""
    steps: tuple[int, ...]
    """T: number of the assistant turn, from 0; -1 outside the mask."""


@dataclass(slots=True, eq=False)
class GenerationRequest:
    """One message that is to be written."""

    sampling: Sampling
    max_tokens: int
    """Most tokens of the message."""
    future: asyncio.Future[bool]
    """Resolved when the message is finished: whether it ended by itself, not by a limit."""
    sampled: int = 0


class ToolTimer(Protocol):
    """Told when tools run, so that an engine knows what it waits for."""

    def call(self) -> None: ...

    def returned(self) -> None: ...


class EngineProtocol(Protocol):
    """What an episode needs of its engine."""

    @property
    def name(self) -> str: ...

    @property
    def chat(self) -> ChatTemplate: ...

    @property
    def context(self) -> int: ...

    @property
    def clock(self) -> ToolTimer: ...

    def submit(self, episode: EngineEpisode) -> None: ...

    def leave(self, episode: EngineEpisode) -> None: ...


@dataclass(slots=True, eq=False)
class EngineEpisode:
    """A `Model` for one conversation. Close it when the conversation is over.

    Not for two conversations at once, nor for one whose earlier messages change: the tokens kept
    are those of the messages that it was given, in order.
    """

    engine: EngineProtocol
    seed: int
    ids: list[int] = field(default_factory=list[int])
    """Prompt and completion so far."""
    request: GenerationRequest | None = None
    slot: int = -1
    """Where the engine keeps it; the engine's own."""
    cached: int = 0
    """Tokens whose keys and values are kept; the engine's own."""
    open: bool = True
    _prompt: int = 0
    _mask: list[bool] = field(default_factory=list[bool])
    _logprobs: list[float] = field(default_factory=list[float])
    _entropies: list[float] = field(default_factory=list[float])
    _steps: list[int] = field(default_factory=list[int])
    _turn: int = -1
    _seen: int = 0
    """Messages of the conversation that stand in `ids`."""
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    @property
    def name(self) -> str:
        return self.engine.name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """Write the next message; `length` when it, or the context, came to its limit.

        Raises ModelUnavailable when the episode is closed or its engine broke.
        """
        if not self.open:
            raise ModelUnavailable("this episode is closed: open another one")
        given = self._take(messages, tools)
        start = len(self.ids)
        finished = await self._write(sampling)
        message = self.engine.chat.parse(self.ids[start:], tools)
        usage = Usage(
            prompt_tokens=start, completion_tokens=len(self.ids) - start, cached_tokens=given
        )
        if not finished:
            return Reply(message, FinishReason.length, usage)
        return Reply(
            message, FinishReason.tool_calls if message.tool_calls else FinishReason.stop, usage
        )

    def _take(self, messages: Sequence[Message], tools: Sequence[ToolSchema]) -> int:
        """Append the tokens of messages not seen before; returns how many were there already."""
        known = len(self.ids)
        if not known:
            self.ids = self.engine.chat.render(messages, tools)
            self._prompt = len(self.ids)
        else:
            new = messages[self._seen :]
            if not new or any(message.role == "assistant" for message in new):
                raise ModelBadReply(
                    f"an engine's conversation goes on with results of tools, not with "
                    f"{[message.role for message in new]!r}: open another episode"
                )
            said = messages[self._seen - 1]
            self._extend(self.engine.chat.following(said, new, self.ids[-1]))
        self._seen = len(messages) + 1  # with the one about to be written
        self._turn += 1
        return known

    def _extend(self, ids: Sequence[int]) -> None:
        """Tokens that the policy did not write."""
        self.ids.extend(ids)
        self._mask += [False] * len(ids)
        self._logprobs += [0.0] * len(ids)
        self._entropies += [0.0] * len(ids)
        self._steps += [-1] * len(ids)

    async def _write(self, sampling: Sampling) -> bool:
        room = self.engine.context - len(self.ids)
        if room <= 0:
            return False
        future = asyncio.get_running_loop().create_future()
        self.request = GenerationRequest(sampling, min(sampling.max_tokens or room, room), future)
        self.engine.submit(self)
        try:
            return await future
        finally:
            self.request = None

    def uniform(self) -> float:
        """The next number of the episode's generator, in [0, 1)."""
        return self._rng.random()

    def add(self, token: int, logprob: float, entropy: float) -> None:
        """Record a sampled token."""
        self.ids.append(token)
        self._mask.append(True)
        self._logprobs.append(logprob)
        self._entropies.append(entropy)
        self._steps.append(self._turn)

    def recorded(self) -> EpisodeTokens:
        """The tokens so far; results of tools after which nothing was sampled are left out."""
        end = len(self._mask)
        while end and not self._mask[end - 1]:
            end -= 1
        return EpisodeTokens(
            tuple(self.ids[: self._prompt]),
            tuple(self.ids[self._prompt : self._prompt + end]),
            tuple(self._mask[:end]),
            tuple(self._logprobs[:end]),
            tuple(self._entropies[:end]),
            tuple(self._steps[:end]),
        )

    def close(self) -> None:
        """Give the episode's place in the engine back. What was recorded stays."""
        if self.open:
            self.open = False
            self.engine.leave(self)


class ClosingHost(WrappedHost):
    """A host that closes the episode when the rollout leaves it, so that no engine waits for it."""

    def __init__(self, host: ToolHost, episode: EngineEpisode) -> None:
        super().__init__(host)
        self._episode = episode

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._episode.close()
        await super().__aexit__(kind, error, trace)

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        self._episode.engine.clock.call()
        try:
            return await self.host.call(name, arguments)
        finally:
            self._episode.engine.clock.returned()
