"""Episodes with scores: one, or groups of many at once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple, Protocol, runtime_checkable

from astra.core.messages import message_from_openai
from astra.episodes import Episode, Tokens
from astra.errors import ConfigError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.protocols import Model, Sampling, ToolHost, UserPolicy
from astra.rewards import Reward, RewardFunction, load_reward, score_trajectory
from astra.rollouts.adapters import AdaptedHost, AdaptedModel, UserModel, UserToolHost
from astra.rollouts.loop import RolloutLimits, RolloutTask
from astra.rollouts.loop import rollout as play_rollout
from astra.sandbox.opening import SandboxLevel, shared_sandbox
from astra.types import Arena, Message, Trajectory

ATTEMPTS = 3
"""How often an episode with an infrastructure failure is played."""

_log = logging.getLogger(__name__)


@runtime_checkable
class PlayedConversation(Protocol):
    """A model in one conversation, which records its tokens."""

    def model(self) -> Model: ...

    def enclosed(self, host: ToolHost) -> ToolHost:
        """The host, which ends the conversation when the rollout leaves it."""
        ...

    def tokens(self) -> Tokens: ...

    def close(self) -> None: ...


@runtime_checkable
class ConversingModel(Protocol):
    """A model with a state for each conversation, as local models have."""

    def converse(self, seed: int) -> PlayedConversation: ...


@dataclass(frozen=True, slots=True)
class _Rules:
    """How episodes are played and scored."""

    limits: RolloutLimits
    reward: Reward | RewardFunction
    system_prompt: str | None
    seed: int


def _rules(
    max_turns: int,
    max_tokens: int | None,
    temperature: float | None,
    seed: int,
    reward: str | RewardFunction,
    system_prompt: str | None,
) -> _Rules:
    if max_turns < 1:
        raise ConfigError(f"max_turns={max_turns!r}: must be at least 1")
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    limits = RolloutLimits(turns=max_turns, sampling=sampling)
    return _Rules(limits, load_reward(reward), system_prompt, seed)


def _seed(*parts: object) -> int:
    """A seed that depends on all the parts, small enough for any endpoint."""
    text = " ".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) >> 1


async def rollout(
    task: Arena | str | Sequence[Message | Mapping[str, Any]],
    model: UserModel,
    host: UserToolHost | None = None,
    *,
    max_turns: int = 32,
    max_tokens: int | None = None,
    temperature: float | None = None,
    seed: int = 0,
    reward: str | RewardFunction = "f1",
    system_prompt: str | None = None,
    sandbox: SandboxLevel = "auto",
) -> Episode:
    """Play one episode. An arena brings its own tools; a text, or messages, need a host.

    `max_tokens`: of one message. `temperature` None: the model's own. An infrastructure failure is
    not raised: the episode has no score, and `trajectory.error` says what broke.
    """
    rules = _rules(max_turns, max_tokens, temperature, seed, reward, system_prompt)
    if isinstance(task, Arena):
        if host is not None:
            raise ConfigError("an arena brings its own tools: leave the host out")
        async with shared_sandbox(sandbox) as server:
            return await _play(_arena_start(task, 0, rules, server), model, rules)
    if host is None:
        raise ConfigError("a text needs a host with the tools: give FunctionHost([...])")
    messages = () if system_prompt is None else (Message(role="system", content=system_prompt),)
    if isinstance(task, str):
        messages += (Message(role="user", content=task),)
    else:
        messages += tuple(message_from_openai(message) for message in task)
    seed = _seed(seed, "task", 0)
    start = _Start(RolloutTask("task", messages), AdaptedHost(host), None, seed, None)
    return await _play(start, model, rules)


class _Start(NamedTuple):
    task: RolloutTask
    host: ToolHost
    arena: Arena | None
    seed: int
    user: UserPolicy | None


def _arena_start(arena: Arena, sample: int, rules: _Rules, server: Any, attempt: int = 0) -> _Start:
    seed = _seed(rules.seed, arena.id, sample, attempt)
    task = RolloutTask(arena.id, arena_messages(arena, rules.system_prompt), sample)
    host = ArenaHost(arena, server, seed=rules.seed, sample=sample)
    return _Start(task, host, arena, seed, arena_user(arena, host))


async def _play(start: _Start, model: UserModel, rules: _Rules) -> Episode:
    if isinstance(model, ConversingModel):
        return await _converse(start, model.converse(start.seed), rules)
    # The seed of the request: the loop adds the sample's number to it.
    sampling = replace(rules.limits.sampling, seed=start.seed - start.task.sample)
    limits = replace(rules.limits, sampling=sampling)
    trajectory = await play_rollout(start.task, AdaptedModel(model), start.host, limits, start.user)
    return _scored(start, trajectory, rules, None)


async def _converse(start: _Start, conversation: PlayedConversation, rules: _Rules) -> Episode:
    try:
        trajectory = await play_rollout(
            *(start.task, conversation.model(), conversation.enclosed(start.host), rules.limits),
            user=start.user,
        )
    finally:
        conversation.close()
    return _scored(start, trajectory, rules, conversation.tokens())


def _scored(start: _Start, trajectory: Trajectory, rules: _Rules, tokens: Tokens | None) -> Episode:
    score = None
    if start.arena is not None and not trajectory.infrastructure_failure:
        score = score_trajectory(start.arena, trajectory, rules.reward)
    return Episode(
        arena=None if start.arena is None else start.arena.id,
        sample=start.task.sample,
        trajectory=trajectory,
        score=score,
        tokens=tokens,
    )


async def rollout_groups(
    arenas: Iterable[Arena],
    model: UserModel,
    *,
    group_size: int = 1,
    max_turns: int = 32,
    max_tokens: int | None = None,
    temperature: float | None = None,
    concurrency: int = 64,
    seed: int = 0,
    reward: str | RewardFunction = "f1",
    system_prompt: str | None = None,
    sandbox: SandboxLevel = "auto",
) -> AsyncGenerator[list[Episode]]:
    """Play each arena `group_size` times; yields whole, scored groups in the order of the arenas.

    `concurrency`: episodes at the same time. Episodes with infrastructure failures are played
    again, and their group is dropped with a warning if they fail again.
    """
    if group_size < 1 or concurrency < 1:
        raise ConfigError(
            f"group_size={group_size!r}, concurrency={concurrency!r}: must be at least 1"
        )
    rules = _rules(max_turns, max_tokens, temperature, seed, reward, system_prompt)
    async with shared_sandbox(sandbox) as server:
        groups = _Groups(model, rules, server, group_size, concurrency)
        # A local model's episodes share forward passes: the groups of a wave begin together, so
        # that what shares a pass depends on the seeds alone.
        waves = isinstance(model, ConversingModel)
        stream = groups.in_waves(arenas) if waves else groups.ahead(arenas)
        try:
            async for group in stream:
                yield group
        finally:
            await stream.aclose()


class _Groups:
    def __init__(
        self, model: UserModel, rules: _Rules, server: Any, group_size: int, concurrency: int
    ) -> None:
        self._model = model
        self._rules = rules
        self._server = server
        self._group_size = group_size
        self._gate = asyncio.Semaphore(concurrency)
        self._wave = max(1, concurrency // group_size)

    async def in_waves(self, arenas: Iterable[Arena]) -> AsyncGenerator[list[Episode]]:
        remaining = iter(arenas)
        while wave := list(islice(remaining, self._wave)):
            starts = [(arena, sample) for arena in wave for sample in range(self._group_size)]
            episodes = await self._replayed(starts)
            for index, arena in enumerate(wave):
                first = index * self._group_size
                group = episodes[first : first + self._group_size]
                if (whole := self._whole(arena, group)) is not None:
                    yield whole

    async def ahead(self, arenas: Iterable[Arena]) -> AsyncGenerator[list[Episode]]:
        running: deque[tuple[Arena, asyncio.Task[list[Episode]]]] = deque()

        async def finished() -> list[Episode] | None:
            arena, task = running.popleft()
            return self._whole(arena, await task)

        try:
            for arena in arenas:
                starts = [(arena, sample) for sample in range(self._group_size)]
                running.append((arena, asyncio.create_task(self._replayed(starts))))
                if len(running) > self._wave and (whole := await finished()) is not None:
                    yield whole
            while running:
                if (whole := await finished()) is not None:
                    yield whole
        finally:
            for _, task in running:
                task.cancel()
            await asyncio.gather(*(task for _, task in running), return_exceptions=True)

    async def _replayed(self, starts: Sequence[tuple[Arena, int]]) -> list[Episode]:
        """An episode of each start, played again after infrastructure failures."""
        episodes: dict[int, Episode] = {}
        for attempt in range(ATTEMPTS):
            missing = [
                index
                for index in range(len(starts))
                if index not in episodes or episodes[index].trajectory.infrastructure_failure
            ]
            if not missing:
                break
            prepared = [
                _arena_start(*starts[index], self._rules, self._server, attempt)
                for index in missing
            ]
            played = await self._at_once(prepared)
            episodes.update(zip(missing, played, strict=True))
        return [episodes[index] for index in range(len(starts))]

    async def _at_once(self, starts: Sequence[_Start]) -> list[Episode]:
        if isinstance(self._model, ConversingModel):
            # All are opened before the first runs: a deterministic engine waits for all of them.
            conversations = [self._model.converse(start.seed) for start in starts]
            return await asyncio.gather(
                *(
                    _converse(start, conversation, self._rules)
                    for start, conversation in zip(starts, conversations, strict=True)
                )
            )

        async def gated(start: _Start) -> Episode:
            async with self._gate:
                return await _play(start, self._model, self._rules)

        return await asyncio.gather(*map(gated, starts))

    def _whole(self, arena: Arena, group: list[Episode]) -> list[Episode] | None:
        broken = [episode.trajectory for episode in group if episode.score is None]
        if not broken:
            return group
        _log.warning(
            "arena %r is left out: %d of %d episodes broke %d times: %s",
            *(arena.id, len(broken), len(group), ATTEMPTS, broken[0].error),
        )
        return None
