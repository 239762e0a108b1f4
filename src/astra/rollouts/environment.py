"""One arena played by a loop of one's own: reset, step, score.

The episode runs in `rollouts.loop`, as in training and evaluation. Its model waits for the message
that `step` brings, so that limits, errors and scores are the same everywhere.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from astra.core.loop import run_sync
from astra.core.messages import message_to_openai
from astra.episodes import Episode, Score
from astra.errors import ConfigError, HostError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.protocols import Reply, Sampling
from astra.rewards import Reward, RewardFunction, load_reward, score_trajectory
from astra.rollouts.adapters import assistant_reply
from astra.rollouts.loop import RolloutLimits, RolloutLog, RolloutTask, rollout
from astra.sandbox.opening import SandboxLevel, shared_sandbox
from astra.types import Arena, Message, StopReason, ToolSchema, Trajectory


@dataclass(frozen=True, slots=True)
class StepResult:
    """State of an episode. Pass `messages` and `tools` to any chat-completions client."""

    # Any: the openai package's typed dicts refuse dict[str, Any].
    messages: list[Any]
    """The conversation so far, in the chat-completions form."""
    tools: list[Any]
    """The tools, in the chat-completions form."""
    reward: float
    """Change of the reward by this step. The sum over all steps is the episode's reward."""
    done: bool
    stop: str | None
    """Why the episode ended. None while it goes on."""


class _Player:
    """The model of the episode: hands each request to `step` and waits for its message."""

    name = "environment"

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self._reply: asyncio.Future[Reply] | None = None

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        self._reply = asyncio.get_running_loop().create_future()
        self.waiting.set()
        return await self._reply

    def answer(self, reply: Reply) -> None:
        assert self._reply is not None
        self.waiting.clear()
        self._reply.set_result(reply)


class AsyncArenaEnvironment:
    """One arena, played by a loop of your own.

    Use it as a context, or close it. Raises ConfigError for an impossible option.
    """

    def __init__(
        self,
        arena: Arena,
        *,
        reward: str | RewardFunction = "f1",
        max_turns: int = 32,
        system_prompt: str | None = None,
        seed: int = 0,
        sandbox: SandboxLevel = "auto",
    ) -> None:
        """`reward`: f1, recall, precision, strict, module:function or a function.

        `system_prompt` None: the built-in one in the language of the question. `seed`: of the
        tools' randomness.
        """
        if max_turns < 1:
            raise ConfigError(f"max_turns={max_turns!r}: must be at least 1")
        self.arena = arena
        self._reward: Reward | RewardFunction = load_reward(reward)
        self._limits = RolloutLimits(turns=max_turns, seconds=math.inf)
        self._task = RolloutTask(arena.id, arena_messages(arena, system_prompt))
        self._seed = seed
        self._level: SandboxLevel = sandbox
        self._log = RolloutLog()
        self._player: _Player | None = None
        self._running: asyncio.Task[Trajectory] | None = None
        self._stack = AsyncExitStack()
        self._total = 0.0
        self._tools: list[Any] = []

    async def reset(self) -> StepResult:
        """Begin an episode from the start."""
        await self.close()
        server = await self._stack.enter_async_context(shared_sandbox(self._level))
        host = ArenaHost(self.arena, server, seed=self._seed)
        self._tools = [schema.openai() for schema in host.tools()]
        self._log, self._total, self._player = RolloutLog(), 0.0, _Player()
        self._running = asyncio.create_task(
            rollout(
                *(self._task, self._player, host, self._limits),
                user=arena_user(self.arena, host),
                log=self._log,
            )
        )
        return await self._state()

    async def step(self, message: Any) -> StepResult:
        """Take an assistant message and run its tool calls.

        `message`: a `Message`, a mapping in the chat-completions form, a ChatCompletionMessage of
        the openai package, or a text. Raises ModelBadReply for anything else, ConfigError after the
        end, HostError if the sandbox broke.
        """
        if self._player is None or self._running is None:
            raise ConfigError("the episode has not begun: call reset()")
        if self._running.done():
            raise ConfigError("the episode is over: call reset() for another one")
        self._player.answer(assistant_reply(message))
        return await self._state()

    async def _state(self) -> StepResult:
        assert self._running is not None and self._player is not None
        asked = asyncio.create_task(self._player.waiting.wait())
        try:
            await asyncio.wait((asked, self._running), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        done = self._running.done()
        trajectory = self._trajectory()
        if trajectory.infrastructure_failure and done:
            raise HostError(f"the episode broke: {trajectory.error}")
        # A function as the reward judges whole episodes.
        judged = done or not callable(self._reward)
        total = self._score(trajectory).reward if judged else 0.0
        gained, self._total = total - self._total, total
        return StepResult(
            messages=[message_to_openai(message) for message in self._log.messages],
            tools=self._tools,
            reward=gained,
            done=done,
            stop=trajectory.stop.value if done else None,
        )

    def _trajectory(self) -> Trajectory:
        if self._running is not None and self._running.done() and not self._running.cancelled():
            return self._running.result()
        # Not at its end: what counts are the calls so far.
        return self._log.trajectory(self._task, StopReason.turn_limit)

    def _score(self, trajectory: Trajectory) -> Score:
        return score_trajectory(self.arena, trajectory, self._reward)

    def score(self) -> Score:
        """The score of the episode so far."""
        return self._score(self._trajectory())

    def episode(self) -> Episode:
        """The episode so far, with its score."""
        trajectory = self._trajectory()
        scored = None if trajectory.infrastructure_failure else self._score(trajectory)
        return Episode(arena=self.arena.id, trajectory=trajectory, score=scored)

    async def close(self) -> None:
        """End the episode and free its sandbox session. What was played stays readable."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait((self._running,))
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class ArenaEnvironment:
    """One arena, played by a loop of your own. A context manager.

    `astra.aio.ArenaEnvironment` awaits the same methods.
    """

    def __init__(
        self,
        arena: Arena,
        *,
        reward: str | RewardFunction = "f1",
        max_turns: int = 32,
        system_prompt: str | None = None,
        seed: int = 0,
        sandbox: SandboxLevel = "auto",
    ) -> None:
        """`reward`: f1, recall, precision, strict, module:function or a function.

        `system_prompt` None: the built-in one in the language of the question. `seed`: of the
        tools' randomness. Raises ConfigError for an impossible option.
        """
        self._inner = AsyncArenaEnvironment(
            arena,
            reward=reward,
            max_turns=max_turns,
            system_prompt=system_prompt,
            seed=seed,
            sandbox=sandbox,
        )

    @property
    def arena(self) -> Arena:
        return self._inner.arena

    def reset(self) -> StepResult:
        """Begin an episode from the start."""
        return run_sync(self._inner.reset())

    def step(self, message: Any) -> StepResult:
        """Take an assistant message and run its tool calls.

        `message`: a `Message`, a mapping in the chat-completions form, a ChatCompletionMessage of
        the openai package, or a text. Raises ModelBadReply for anything else, ConfigError after the
        end, HostError if the sandbox broke.
        """
        return run_sync(self._inner.step(message))

    def score(self) -> Score:
        """The score of the episode so far."""
        return self._inner.score()

    def episode(self) -> Episode:
        """The episode so far, with its score."""
        return self._inner.episode()

    def close(self) -> None:
        """End the episode and free its sandbox session. What was played stays readable."""
        run_sync(self._inner.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
