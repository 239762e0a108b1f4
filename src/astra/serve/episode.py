"""One episode of an arena, played call by call by somebody else's loop.

Clients of the server make one call after another and may vanish at any time; what was called stays
recorded. Calls are checked, carried out and scored as in `rollouts.loop`.

What this does not guarantee: that a call belongs to an assistant message. Each is recorded as a
message of its own, for a client sends calls and not messages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from astra.episodes import Score
from astra.errors import HostError, SandboxError, SessionError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.protocols import Sandbox
from astra.rewards import Reward, RewardFunction, score_trajectory
from astra.rollouts.calls import as_sent, carry_out, clean, record
from astra.rollouts.loop import RolloutLimits, RolloutLog, RolloutTask
from astra.types import (
    Arena,
    CallStatus,
    Message,
    StopReason,
    ToolCallRequest,
    ToolSchema,
    Trajectory,
)


class CallReply(NamedTuple):
    """What a call answered, as the agent reads it."""

    text: str
    status: CallStatus

    @property
    def is_error(self) -> bool:
        return self.status is not CallStatus.ok


class ServedEpisode:
    """An episode that goes on until `say` is not answered, a limit is met, or it is ended.

    Calls run one at a time, in the order in which they came.
    """

    def __init__(
        self,
        arena: Arena,
        sandbox: Sandbox,
        *,
        limits: RolloutLimits,
        seed: int = 0,
        sample: int = 0,
        reward: Reward | RewardFunction = "f1",
        system_prompt: str | None = None,
    ) -> None:
        """`limits`: `turns` bounds the calls and the messages together."""
        self.arena = arena
        self._limits = limits
        self._reward: Reward | RewardFunction = reward
        self._host = ArenaHost(arena, sandbox, seed=seed, sample=sample)
        self._user = arena_user(arena, self._host)
        self._task = RolloutTask(arena.id, arena_messages(arena, system_prompt), sample)
        self._log = RolloutLog(messages=list(self._task.messages))
        self._lock = asyncio.Lock()
        self._running: set[asyncio.Task[CallReply] | asyncio.Task[str | None]] = set()
        self._started = time.perf_counter()
        self._result: Trajectory | None = None

    async def open(self) -> None:
        """Make the tools ready. Raises HostError."""
        await self._host.__aenter__()

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation so far: system prompt and question first."""
        return self._log.messages

    @property
    def busy(self) -> bool:
        """Whether a call or a message is being answered."""
        return bool(self._running)

    def calls_made(self) -> int:
        """Calls that were answered so far."""
        return len(self._log.calls)

    def tools(self) -> Sequence[ToolSchema]:
        """The tools that can be called now; a user of the arena may bring more."""
        return self._host.tools()

    @property
    def over(self) -> bool:
        return self._result is not None

    async def call(self, tool: str, arguments: str) -> CallReply:
        """Call a tool with arguments as JSON text, as a model writes them.

        The call is made, and counts, even if the caller is cancelled meanwhile. Raises SessionError
        after the end, HostError if the sandbox broke, which ends the episode.
        """
        task = asyncio.create_task(self._call(tool, arguments))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def say(self, text: str) -> str | None:
        """Say something to the user. None: there was no answer, and the episode is over.

        Raises SessionError after the end.
        """
        task = asyncio.create_task(self._say(text))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[CallReply] | asyncio.Task[str | None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may be gone, and asyncio would complain

    async def _call(self, tool: str, arguments: str) -> CallReply:
        async with self._lock:
            self._require_open()
            turn = self._log.turns
            request = ToolCallRequest(id=f"call_{turn}", tool=clean(tool), arguments=arguments)
            documents = {document.name: document for document in self._host.tools()}
            started = time.perf_counter()
            outcome = await carry_out(
                request, self._host, documents, self._limits.argument_characters
            )
            text, result = as_sent(outcome.result, self._limits.result_characters)
            made = record(request, turn, outcome._replace(result=result))
            seconds = time.perf_counter() - started
            self._log.calls.append(made.model_copy(update={"seconds": seconds}))
            kept = request.model_copy(update={"arguments": clean(arguments)})
            self._log.messages.append(Message(role="assistant", tool_calls=(kept,)))
            self._log.messages.append(Message(role="tool", content=text, tool_call_id=kept.id))
            self._log.turns += 1
            if outcome.failure is not None:
                await self._end(StopReason.host_error, str(outcome.failure))
                raise HostError(f"the episode broke: {outcome.failure}") from outcome.failure
            await self._stop_at_limits()
            return CallReply(text, outcome.status)

    async def _say(self, text: str) -> str | None:
        async with self._lock:
            self._require_open()
            self._log.messages.append(Message(role="assistant", content=clean(text)))
            self._log.turns += 1
            answer: str | None = None
            if self._user is not None and self._log.turns < self._limits.turns:
                answer = await self._user.reply(tuple(self._log.messages))
            if answer is None:
                await self._end(StopReason.answered)
            else:
                self._log.messages.append(Message(role="user", content=clean(answer)))
                await self._stop_at_limits()
            return answer

    def _require_open(self) -> None:
        if self._result is not None:
            raise SessionError(
                409, f"the episode is over ({self._result.stop.value}): open another session"
            )

    async def _stop_at_limits(self) -> None:
        if self._log.turns >= self._limits.turns:
            await self._end(StopReason.turn_limit)
        elif sum(len(m.content) for m in self._log.messages) > self._limits.episode_characters:
            await self._end(StopReason.length_limit)

    async def end(self, stop: StopReason, error: str = "") -> Trajectory:
        """End the episode after the call that runs, and free its processes."""
        async with self._lock:
            return await self._end(stop, error)

    async def _end(self, stop: StopReason, error: str = "") -> Trajectory:
        if self._result is None:
            seconds = time.perf_counter() - self._started
            self._result = self._log.trajectory(self._task, stop, error, seconds)
            # What was played counts, however the sandbox ends.
            with suppress(HostError, SandboxError):
                await self._host.__aexit__(None, None, None)
        return self._result

    @property
    def trajectory(self) -> Trajectory:
        """The episode. Raises SessionError before its end."""
        if self._result is None:
            raise SessionError(409, "the episode goes on: there is no result yet")
        return self._result

    def score(self) -> Score | None:
        """The score; None after an infrastructure failure. Raises SessionError before the end."""
        trajectory = self.trajectory
        if trajectory.infrastructure_failure:
            return None
        return score_trajectory(self.arena, trajectory, self._reward)
