"""One arena played call by call, for runners that call tools themselves.

`ArenaEnvironment` takes whole messages. A session takes what a runner hands over: one call, the
calls of a message, or a text to the user. Its log is that of a rollout, so scores are the same.

What this does not guarantee: a runner that makes calls one by one does not say which of them stood
in one message, so each of them counts as a turn. The reward does not depend on it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, Self, TypeVar

from astra.core.loop import on_loop, run_sync
from astra.core.messages import message_to_openai
from astra.episodes import Episode, Score
from astra.errors import ConfigError, HostError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import ArenaUser, arena_user
from astra.protocols import Sandbox
from astra.rewards import Reward, RewardFunction, load_reward, score_trajectory
from astra.rollouts.calls import clean
from astra.rollouts.loop import RolloutLimits, RolloutLog, RolloutTask, as_kept, make_calls
from astra.sandbox.opening import SandboxLevel, shared_sandbox
from astra.types import (
    Arena,
    CallRecord,
    CallStatus,
    Message,
    StopReason,
    ToolCallRequest,
    Trajectory,
)

T = TypeVar("T")
_OVER = json.dumps(
    {"error": {"code": "episode_over", "message": "the episode is over: no call is made any more"}}
)


class ToolReply(NamedTuple):
    """What a call gave back."""

    text: str
    """As it is sent to a model."""
    record: CallRecord | None
    """None: the episode was over, and nothing was called."""

    @property
    def is_error(self) -> bool:
        return self.record is None or self.record.status is not CallStatus.ok


class TurnReply(NamedTuple):
    """What a message of the agent brought about."""

    calls: tuple[ToolReply, ...]
    """In the order of the message's calls."""
    user: str | None
    """What the user answered to a message without calls. None: nothing."""


class AsyncArenaSession:
    """One episode of an arena, call by call. Use it as a context, or open and close it.

    It may be used from any event loop, and from several tasks: turns are taken one after another.
    """

    def __init__(
        self,
        arena: Arena,
        *,
        reward: str | RewardFunction = "f1",
        system_prompt: str | None = None,
        seed: int = 0,
        sample: int = 0,
        max_turns: int = 256,
        sandbox: SandboxLevel | Sandbox = "auto",
    ) -> None:
        """`reward`: f1, recall, precision, strict, module:function or a function.

        `system_prompt` None: the built-in one. `seed` and `sample`: of the tools' randomness.
        `max_turns`: messages and single calls, after which the episode ends. `sandbox`: a level, or
        an open sandbox of the caller's, whose event loop is then used. Raises ConfigError.
        """
        if max_turns < 1:
            raise ConfigError(f"max_turns={max_turns!r}: must be at least 1")
        self.arena = arena
        self._reward: Reward | RewardFunction = load_reward(reward)
        self._task = RolloutTask(arena.id, arena_messages(arena, system_prompt), sample)
        self._limits = RolloutLimits(turns=max_turns)
        self._seed = seed
        self._sandbox: SandboxLevel | Sandbox = sandbox
        self._log = RolloutLog(messages=list(self._task.messages))
        self._stop: StopReason | None = None
        self._host: ArenaHost | None = None
        self._user: ArenaUser | None = None
        self._characters = 0
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()

    # --- playing -----------------------------------------------------------------------------

    async def open(self) -> Self:
        """Begin the episode. Raises ConfigError for a session that was opened before."""
        await self._on_loop(self._open())
        return self

    async def call(self, name: str, arguments: Mapping[str, Any] | str) -> ToolReply:
        """Make one call. `arguments`: an object, or its JSON text as a model wrote it."""
        return (await self.call_many([(name, arguments)]))[0]

    async def call_many(
        self, calls: Iterable[tuple[str, Mapping[str, Any] | str]], text: str = ""
    ) -> tuple[ToolReply, ...]:
        """Make the calls of one message. `text`: what the agent says beside them."""
        requests = [
            ToolCallRequest(id="", tool=name, arguments=_as_text(arguments))
            for name, arguments in calls
        ]
        if not requests:
            return ()
        message = Message(role="assistant", content=text, tool_calls=tuple(requests))
        return (await self.take(message)).calls

    async def say(self, text: str) -> str | None:
        """Say something to the user, and return the answer. None: the episode is over."""
        return (await self.take(Message(role="assistant", content=text))).user

    async def take(self, message: Message) -> TurnReply:
        """Take an assistant message, with calls or without.

        Raises HostError if the sandbox broke, which is never the agent's failure.
        """
        return await self._on_loop(self._take(message))

    async def close(self) -> None:
        """Free the processes of the tools. What was played can still be scored."""
        await self._on_loop(self._stack.aclose())

    # --- what is there -----------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self._stop is not None

    @property
    def messages(self) -> list[Any]:
        """The conversation so far, in the chat-completions form."""
        return [message_to_openai(message) for message in self._log.messages]

    @property
    def tools(self) -> list[Any]:
        """The tools that are shown now, in the chat-completions form.

        They may be more after a reply of the user.
        """
        return [document.openai() for document in self._opened().tools()]

    def trajectory(self) -> Trajectory:
        """The episode so far. One that is not over has the stop reason turn_limit."""
        return self._log.trajectory(self._task, self._stop or StopReason.turn_limit)

    def score(self) -> Score:
        """The score of the episode so far. Raises HostError after a failure of the sandbox."""
        trajectory = self.trajectory()
        if trajectory.infrastructure_failure:
            raise HostError(f"the episode of arena {self.arena.id!r} broke, and has no score")
        return score_trajectory(self.arena, trajectory, self._reward)

    def episode(self) -> Episode:
        """The episode so far, with its score. None after a failure of the sandbox."""
        trajectory = self.trajectory()
        score = None if trajectory.infrastructure_failure else self.score()
        return Episode(
            arena=self.arena.id, sample=self._task.sample, trajectory=trajectory, score=score
        )

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- on the loop of the sandbox ----------------------------------------------------------

    async def _on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        # The sandbox of a level belongs to astra's own loop, where all sessions share it.
        return await (on_loop(coroutine) if isinstance(self._sandbox, str) else coroutine)

    async def _open(self) -> None:
        if self._host is not None:
            raise ConfigError("the session was opened before: make another one")
        sandbox = self._sandbox
        if isinstance(sandbox, str):
            sandbox = await self._stack.enter_async_context(shared_sandbox(sandbox))
        host = ArenaHost(self.arena, sandbox, seed=self._seed, sample=self._task.sample)
        await self._stack.enter_async_context(host)
        self._host, self._user = host, arena_user(self.arena, host)

    def _opened(self) -> ArenaHost:
        if self._host is None:
            raise ConfigError("the session is not open: call open(), or use it as a context")
        return self._host

    async def _take(self, message: Message) -> TurnReply:
        host = self._opened()
        async with self._turn:
            if self.done:
                return TurnReply((ToolReply(_OVER, None),) * len(message.tool_calls), None)
            log, turn = self._log, self._log.turns
            first, before = len(log.messages), len(log.calls)
            message = as_kept(message, turn, {call.id for call in log.calls})
            log.messages.append(message)
            log.turns += 1
            documents = {document.name: document for document in host.tools()}
            said: str | None = None
            try:
                await make_calls(message.tool_calls, turn, host, documents, self._limits, log)
                if not message.tool_calls:
                    said = await self._answer()
            except asyncio.CancelledError:
                # The answer to a call that is cut off may still come: nothing is asked after it.
                self._stop = StopReason.time_limit
                raise
            except Exception:
                self._stop = StopReason.host_error
                raise
            new = log.messages[first:]
            self._characters += sum(
                len(each.content)
                + len(each.reasoning)
                + sum(len(c.arguments) for c in each.tool_calls)
                for each in new
            )
            if self._stop is None and self._characters > self._limits.episode_characters:
                self._stop = StopReason.length_limit
            if self._stop is None and log.turns >= self._limits.turns:
                self._stop = StopReason.turn_limit
            replies = zip(new[1:], log.calls[before:], strict=False)
            return TurnReply(tuple(ToolReply(m.content, record) for m, record in replies), said)

    async def _answer(self) -> str | None:
        """What the user says after a message without calls. None ends the episode."""
        log = self._log
        # As in a rollout, no user is asked after the last message.
        ended = self._user is None or log.turns >= self._limits.turns
        more = None if ended or self._user is None else await self._user.reply(log.messages)
        if more is None:
            self._stop = StopReason.answered
        else:
            log.messages.append(Message(role="user", content=clean(more)))
        return more


async def score_conversation(
    arena: Arena,
    messages: Iterable[Message],
    *,
    reward: str | RewardFunction = "f1",
    sandbox: SandboxLevel | Sandbox = "auto",
) -> Score:
    """The score of a conversation that a runner recorded, whose calls are made again.

    Tools are deterministic, as certificates say, so the results are those that the agent saw. What
    a runner answered by itself (unknown tools, broken arguments) counts as it does in a rollout.
    """
    async with AsyncArenaSession(arena, reward=reward, sandbox=sandbox) as session:
        for message in messages:
            if message.role == "assistant":
                await session.take(message)
        return session.score()


def _as_text(arguments: Mapping[str, Any] | str) -> str:
    """Arguments as a model would have written them; what is not JSON is refused as such later."""
    if isinstance(arguments, str):
        return arguments
    try:
        return json.dumps(dict(arguments), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return repr(arguments)


class ArenaSession:
    """One episode of an arena, call by call. A context manager; safe to use from threads.

    `AsyncArenaSession` has the same methods to await.
    """

    def __init__(
        self,
        arena: Arena,
        *,
        reward: str | RewardFunction = "f1",
        system_prompt: str | None = None,
        seed: int = 0,
        sample: int = 0,
        max_turns: int = 256,
        sandbox: SandboxLevel = "auto",
    ) -> None:
        """`reward`: f1, recall, precision, strict, module:function or a function.

        `system_prompt` None: the built-in one. `seed` and `sample`: of the tools' randomness.
        `max_turns`: messages and single calls, after which the episode ends. Raises ConfigError.
        """
        self._inner = AsyncArenaSession(
            arena,
            reward=reward,
            system_prompt=system_prompt,
            seed=seed,
            sample=sample,
            max_turns=max_turns,
            sandbox=sandbox,
        )

    @property
    def arena(self) -> Arena:
        return self._inner.arena

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self._inner.done

    @property
    def messages(self) -> list[Any]:
        """The conversation so far, in the chat-completions form."""
        return self._inner.messages

    @property
    def tools(self) -> list[Any]:
        """The tools that are shown now, in the chat-completions form."""
        return self._inner.tools

    def open(self) -> Self:
        """Begin the episode. Raises ConfigError for a session that was opened before."""
        run_sync(self._inner.open())
        return self

    def call(self, name: str, arguments: Mapping[str, Any] | str) -> ToolReply:
        """Make one call. `arguments`: an object, or its JSON text as a model wrote it."""
        return run_sync(self._inner.call(name, arguments))

    def call_many(
        self, calls: Iterable[tuple[str, Mapping[str, Any] | str]], text: str = ""
    ) -> tuple[ToolReply, ...]:
        """Make the calls of one message. `text`: what the agent says beside them."""
        return run_sync(self._inner.call_many(calls, text))

    def say(self, text: str) -> str | None:
        """Say something to the user, and return the answer. None: the episode is over."""
        return run_sync(self._inner.say(text))

    def take(self, message: Message) -> TurnReply:
        """Take an assistant message, with calls or without.

        Raises HostError if the sandbox broke, which is never the agent's failure.
        """
        return run_sync(self._inner.take(message))

    def trajectory(self) -> Trajectory:
        """The episode so far. One that is not over has the stop reason turn_limit."""
        return self._inner.trajectory()

    def score(self) -> Score:
        """The score of the episode so far. Raises HostError after a failure of the sandbox."""
        return self._inner.score()

    def episode(self) -> Episode:
        """The episode so far, with its score. None after a failure of the sandbox."""
        return self._inner.episode()

    def close(self) -> None:
        """Free the processes of the tools. What was played can still be scored."""
        run_sync(self._inner.close())

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()
