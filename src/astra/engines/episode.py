"""One conversation with an engine: a `Model` that keeps every token it was given or sampled.

Text goes out and tool results come back as messages, but what is recorded are the sampled ids
themselves: nothing that the policy wrote is ever encoded again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import NamedTuple, Protocol

from astra.chat.template import ChatTemplate
from astra.errors import ModelBadReply, ModelUnavailable
from astra.hosts.wrapped import WrappedHost
from astra.protocols import Reply, Sampling, ToolHost, ToolResult
from astra.types import FinishReason, Json, Message, ToolSchema, Usage


class EpisodeTokens(NamedTuple):
    """The tokens of an episode. T: all after the prompt, up to the last one that was sampled."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    policy_mask: tuple[bool, ...]
    """T: whether the policy wrote the token."""
    logprobs: tuple[float, ...]
    """T: at sampling time, under the temperature's distribution. 0.0 outside the mask."""
    entropies: tuple[float, ...]
    """T: nats. 0.0 outside the mask, NaN where the engine does not know."""
    steps: tuple[int, ...]
    """T: number of the assistant turn, from 0. -1 outside the mask."""


@dataclass(slots=True, eq=False)
class GenerationRequest:
    """A request for one message."""

    sampling: Sampling
    max_tokens: int
    """Maximum tokens of the message."""
    future: asyncio.Future[bool]
    """Resolved when the message is finished. True: it ended by itself, not by a limit."""
    sampled: int = 0


class ToolTimer(Protocol):
    """Learns when tools run, so that an engine knows what it waits for."""

    def tool_started(self) -> None: ...

    def tool_finished(self) -> None: ...


class EngineProtocol(Protocol):
    """The part of an engine that an episode uses."""

    @property
    def name(self) -> str: ...

    @property
    def chat(self) -> ChatTemplate: ...

    @property
    def max_length(self) -> int: ...

    @property
    def timings(self) -> ToolTimer: ...

    def submit(self, episode: EngineEpisode) -> None: ...

    def leave(self, episode: EngineEpisode) -> None: ...


@dataclass(slots=True, eq=False)
class EngineEpisode:
    """A `Model` for one conversation. Close it when the conversation is over.

    It serves one conversation whose earlier messages do not change: the tokens are those of the
    messages that it was given, in order.
    """

    engine: EngineProtocol
    seed: int
    sampling: Sampling = Sampling()
    """Defaults for requests that leave a value None."""
    ids: list[int] = field(default_factory=list[int])
    """Prompt and completion so far."""
    request: GenerationRequest | None = None
    slot: int = -1
    """Index in the engine's cache. Managed by the engine."""
    cached: int = 0
    """Number of tokens whose keys and values are cached. Managed by the engine."""
    open: bool = True
    _prompt_length: int = 0
    _mask: list[bool] = field(default_factory=list[bool])
    _logprobs: list[float] = field(default_factory=list[float])
    _entropies: list[float] = field(default_factory=list[float])
    _steps: list[int] = field(default_factory=list[int])
    _turn: int = -1
    _message_count: int = 0
    """Messages of the conversation whose tokens are in `ids`."""
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    @property
    def name(self) -> str:
        return self.engine.name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """Write the next message. Its finish reason is `length` at the limit of message or episode.

        Raises ModelUnavailable if the episode is closed or its engine broke.
        """
        if not self.open:
            raise ModelUnavailable("this episode is closed: open another one")
        cached_tokens = len(self.ids)
        self._append(messages, tools)
        start = len(self.ids)
        room = self.engine.max_length - start
        finished = False
        if room > 0:
            own = self.sampling
            limit = own.max_tokens if sampling.max_tokens is None else sampling.max_tokens
            sampling = replace(
                sampling,
                temperature=(
                    own.temperature if sampling.temperature is None else sampling.temperature
                ),
                top_p=own.top_p if sampling.top_p is None else sampling.top_p,
                max_tokens=limit,
            )
            future = asyncio.get_running_loop().create_future()
            self.request = GenerationRequest(sampling, min(limit or room, room), future)
            self.engine.submit(self)
            try:
                finished = await future
            finally:
                self.request = None  # a cancelled caller, too: the engine then drops the episode
        message = self.engine.chat.parse(self.ids[start:], tools)
        usage = Usage(
            prompt_tokens=start,
            completion_tokens=len(self.ids) - start,
            cached_tokens=cached_tokens,
        )
        if not finished:
            return Reply(message, FinishReason.length, usage)
        return Reply(
            message, FinishReason.tool_calls if message.tool_calls else FinishReason.stop, usage
        )

    def _append(self, messages: Sequence[Message], tools: Sequence[ToolSchema]) -> None:
        """Append the tokens of messages that are new since the last call.

        Tools stand in the prompt of the beginning. Those that come later stand in messages.
        """
        if not self.ids:
            self.ids = self.engine.chat.render(messages, tools)
            self._prompt_length = len(self.ids)
        else:
            new = messages[self._message_count :]
            if not new or any(message.role == "assistant" for message in new):
                raise ModelBadReply(
                    f"an engine's conversation continues with tool results, not with "
                    f"{[message.role for message in new]!r}: open another episode"
                )
            reply = messages[self._message_count - 1]
            ids = self.engine.chat.following(reply, new, self.ids[-1])
            self.ids.extend(ids)
            self._mask += [False] * len(ids)
            self._logprobs += [0.0] * len(ids)
            self._entropies += [0.0] * len(ids)
            self._steps += [-1] * len(ids)
        self._message_count = len(messages) + 1  # with the one that is written next
        self._turn += 1

    def reseed(self, seed: int) -> None:
        """Let another seed decide what is sampled from now on."""
        self._rng.seed(seed)

    def uniform(self) -> float:
        """The next number of the episode's own generator, in [0, 1)."""
        return self._rng.random()

    def add(self, token: int, logprob: float, entropy: float) -> None:
        """Record a sampled token."""
        self.ids.append(token)
        self._mask.append(True)
        self._logprobs.append(logprob)
        self._entropies.append(entropy)
        self._steps.append(self._turn)

    def recorded(self) -> EpisodeTokens:
        """The tokens so far, without tool results after the last sampled token."""
        end = len(self._mask)
        while end and not self._mask[end - 1]:
            end -= 1
        return EpisodeTokens(
            tuple(self.ids[: self._prompt_length]),
            tuple(self.ids[self._prompt_length : self._prompt_length + end]),
            tuple(self._mask[:end]),
            tuple(self._logprobs[:end]),
            tuple(self._entropies[:end]),
            tuple(self._steps[:end]),
        )

    def close(self) -> None:
        """Free the episode's cache in the engine. Its recorded tokens stay."""
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
        self._episode.engine.timings.tool_started()
        try:
            return await self.host.call(name, arguments)
        finally:
            self._episode.engine.timings.tool_finished()
