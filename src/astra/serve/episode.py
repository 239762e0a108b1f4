"""One episode of an arena for clients that send calls, may vanish, and are told how it ended.

It is played by `rollouts.session`, so that checks and scores are the same everywhere. What comes on
top: a call that was begun is finished whatever becomes of its client, and an episode has an end,
before which nothing is known of its score.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from astra.episodes import Score
from astra.errors import HostError, SandboxError, SessionError
from astra.protocols import Sandbox
from astra.rewards import Reward, RewardFunction, score_trajectory
from astra.rollouts.session import AsyncArenaSession, ToolReply
from astra.types import Arena, StopReason, Trajectory

T = TypeVar("T")


class ServedEpisode:
    """An episode that goes on until `say` is not answered, a limit is met, or it is ended.

    Calls run one at a time, in the order in which they came.
    """

    def __init__(
        self,
        arena: Arena,
        sandbox: Sandbox,
        *,
        max_turns: int,
        seed: int = 0,
        sample: int = 0,
        reward: Reward | RewardFunction = "f1",
        system_prompt: str | None = None,
    ) -> None:
        """`max_turns`: calls and messages together."""
        self.arena = arena
        self._reward: Reward | RewardFunction = reward
        self._session = AsyncArenaSession(
            arena,
            system_prompt=system_prompt,
            seed=seed,
            sample=sample,
            max_turns=max_turns,
            sandbox=sandbox,
        )
        self._lock = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._started = time.perf_counter()
        self._result: Trajectory | None = None

    async def open(self) -> None:
        """Make the tools ready. Raises HostError."""
        await self._session.open()

    @property
    def messages(self) -> list[Any]:
        """The conversation so far, in the chat-completions form, from the system prompt on."""
        return self._session.messages

    @property
    def tools(self) -> list[Any]:
        """The tools that can be called now; a user of the arena may bring more."""
        return self._session.tools

    @property
    def busy(self) -> bool:
        """Whether a call or a message is being answered."""
        return bool(self._running)

    @property
    def over(self) -> bool:
        return self._result is not None

    def calls_made(self) -> int:
        """Calls that were answered so far."""
        return len(self._session.trajectory().calls)

    async def call(self, tool: str, arguments: str) -> ToolReply:
        """Call a tool with arguments as JSON text, as a model writes them.

        The call is made, and counts, even if the caller is cancelled meanwhile. Raises SessionError
        after the end, HostError if the sandbox broke, which ends the episode.
        """
        return await self._finished(self._session.call(tool, arguments))

    async def say(self, text: str) -> str | None:
        """Say something to the user. None: there was no answer, and the episode is over.

        Raises SessionError after the end.
        """
        return await self._finished(self._session.say(text))

    async def _finished(self, turn: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(self._take(turn))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may be gone, and asyncio would complain

    async def _take(self, turn: Coroutine[Any, Any, T]) -> T:
        async with self._lock:
            if self._result is not None:
                turn.close()
                stop = self._result.stop.value
                raise SessionError(409, f"the episode is over ({stop}): open another session")
            try:
                reply = await turn
            except Exception as error:
                await self._end(StopReason.host_error, f"{type(error).__name__}: {error}")
                if isinstance(error, HostError | SandboxError):
                    raise HostError(f"the episode broke: {error}") from error
                raise
            if self._session.done:
                await self._end(self._session.trajectory().stop)
            return reply

    async def end(self, stop: StopReason, error: str = "") -> Trajectory:
        """End the episode after the call that runs, and free its processes."""
        async with self._lock:
            return await self._end(stop, error)

    async def _end(self, stop: StopReason, error: str = "") -> Trajectory:
        if self._result is None:
            seconds = time.perf_counter() - self._started
            outcome = {"stop": stop, "error": error, "seconds": seconds}
            self._result = self._session.trajectory().model_copy(update=outcome)
            # What was played counts, however the sandbox ends.
            with suppress(HostError, SandboxError):
                await self._session.close()
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
