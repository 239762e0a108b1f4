"""Groups of rollouts in arenas, with the very tokens that were sampled.

What breaks on our side (sandbox, host, engine) is played again, and left out when it breaks
again: it is counted, and never rewarded. What the policy breaks is scored as it stands: an
episode that ran into a limit keeps the goals it had solved, and its tokens are trained on.
"""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from astra.arenas.showing import PlayableArenas
from astra.engines.engine import Engine
from astra.engines.episode import ClosingHost, EngineEpisode
from astra.errors import StageError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.models.policies import answer_text
from astra.protocols import Sandbox, SandboxEpisode
from astra.rewards import Reward, score
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.training.algorithm import SampledEpisode
from astra.training.rl.batch import RolloutGroup
from astra.training.rl.prompts import PromptDraw
from astra.types import Arena, CallStatus, StopReason, Trajectory

ATTEMPTS = 3
"""How often a rollout that breaks on our side is played."""
_TRUNCATED = (StopReason.length_limit, StopReason.turn_limit, StopReason.time_limit)


@dataclass(slots=True)
class PlayedRound:
    """What a round of rollouts gave. Numbers add up over rounds and processes."""

    groups: list[RolloutGroup] = field(default_factory=list[RolloutGroup])
    """Whole groups only, in the order of the draws."""
    incomplete: list[PromptDraw] = field(default_factory=list[PromptDraw])
    """Draws whose rollouts kept breaking on our side."""
    worked: int = 0
    """Rollouts that worked, in whole groups or not."""
    failures: int = 0
    """Rollouts that broke on our side, those included that worked when played again."""
    error: str = ""
    """What broke, the most frequent message."""


@dataclass(frozen=True, slots=True)
class RolloutJob:
    """One rollout that is to be played."""

    draw: PromptDraw
    sample: int
    """Which of its group."""
    seed: int


def require_some(parts: Sequence[PlayedRound]) -> None:
    """Raise StageError when rollouts were played and not one of them worked."""
    failures = sum(part.failures for part in parts)
    if failures and not any(part.worked for part in parts):
        error = next(part.error for part in parts if part.error)
        raise StageError(f"stopped: none of {failures} rollouts worked; {error}")


class GroupPlayer(ABC):
    """Plays draws, `group` rollouts each, at most `concurrency` at once."""

    def __init__(self, engine: Engine, *, group: int, seed: int, concurrency: int = 64) -> None:
        self._engine = engine
        self._group = group
        self._seed = seed
        self._concurrency = concurrency

    @abstractmethod
    async def play_one(
        self, job: RolloutJob, episode: EngineEpisode
    ) -> SampledEpisode | Trajectory:
        """One rollout; a trajectory stands for one that broke on our side."""

    async def play(self, draws: Sequence[PromptDraw], step: int) -> PlayedRound:
        """Play a round. See `require_some` for one in which nothing worked."""
        waiting = [job for draw in draws for job in self._jobs(draw)]
        done: dict[tuple[int, int], SampledEpisode] = {}
        errors: Counter[str] = Counter()
        for attempt in range(ATTEMPTS):
            broken: list[RolloutJob] = []
            for start in range(0, len(waiting), self._concurrency):
                wave = waiting[start : start + self._concurrency]
                for job, played in zip(wave, await self._wave(wave, attempt), strict=True):
                    if isinstance(played, SampledEpisode):
                        done[job.draw.number, job.sample] = played
                    else:
                        errors[played.error] += 1
                        broken.append(job)
            waiting = broken
        error = next((text for text, _ in errors.most_common(1)), "")
        played = PlayedRound(worked=len(done), failures=errors.total(), error=error)
        for draw in draws:
            samples = [done.get((draw.number, sample)) for sample in range(self._group)]
            whole = tuple(sample for sample in samples if sample is not None)
            if len(whole) == self._group:
                played.groups.append(RolloutGroup(whole, step))
            else:
                played.incomplete.append(replace(draw, tries=draw.tries + 1))
        return played

    def _jobs(self, draw: PromptDraw) -> list[RolloutJob]:
        return [
            RolloutJob(draw, sample, _seed(self._seed, draw.number, draw.tries, sample))
            for sample in range(self._group)
        ]

    async def _wave(
        self, jobs: Sequence[RolloutJob], attempt: int
    ) -> list[SampledEpisode | Trajectory]:
        """Play jobs all at once."""
        # All are opened before the first runs, for an engine in lockstep waits for all of them.
        episodes = [self._engine.open(_seed(job.seed, attempt)) for job in jobs]
        return await asyncio.gather(*map(self._closing, jobs, episodes))

    async def _closing(
        self, job: RolloutJob, episode: EngineEpisode
    ) -> SampledEpisode | Trajectory:
        try:
            played = await self.play_one(job, episode)
        finally:
            episode.close()
        if isinstance(played, SampledEpisode) and not played.completion_ids:
            return broken(job, f"the prompt of {job.draw.task!r} leaves no room in the context")
        return played


class ArenaGroupPlayer(GroupPlayer):
    """Plays arenas of a folder."""

    def __init__(
        self,
        show: PlayableArenas,
        engine: Engine,
        sandbox: Sandbox,
        limits: RolloutLimits,
        *,
        group: int,
        seed: int,
        reward: Reward = "f1",
        concurrency: int = 64,
    ) -> None:
        super().__init__(engine, group=group, seed=seed, concurrency=concurrency)
        self._show = show
        self._sandbox = sandbox
        self._limits = limits
        self._reward: Reward = reward
        self._at = lru_cache(maxsize=256)(show.at)

    async def play_one(
        self, job: RolloutJob, episode: EngineEpisode
    ) -> SampledEpisode | Trajectory:
        arena, distractors = self._at(job.draw.task, job.draw.epoch)
        host = ArenaHost(arena, distractors, self._sandbox, SandboxEpisode(seed=job.seed % 2**32))
        task = RolloutTask(job.draw.task, arena_messages(arena), job.sample)
        trajectory = await rollout(task, episode, ClosingHost(host, episode), self._limits)
        if trajectory.infrastructure_failure:
            return trajectory
        return self._scored(arena, trajectory, episode)

    def _scored(
        self, arena: Arena, trajectory: Trajectory, episode: EngineEpisode
    ) -> SampledEpisode:
        found = score(
            trajectory.calls,
            arena.goals,
            turns=trajectory.turns,
            reward=self._reward,
            answer=trajectory.answer,
            answer_target=arena.answer_target,
        )
        return SampledEpisode(
            task=trajectory.task,
            **episode.recorded()._asdict(),
            reward=found.reward,
            trajectory=trajectory,
            score=found,
            answer=answer_text(arena.answer),
        )


def broken(job: RolloutJob, error: str) -> Trajectory:
    """What stands for a rollout that broke on our side, outside the agent loop."""
    return Trajectory(
        task=job.draw.task,
        sample=job.sample,
        messages=(),
        calls=(),
        stop=StopReason.internal_error,
        turns=0,
        error=error,
    )


def _seed(*parts: int) -> int:
    """A seed that depends on all the parts."""
    text = " ".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())


def tallied(groups: Sequence[RolloutGroup]) -> dict[str, float]:
    """Means over rollouts of what is worth logging: rewards and their parts, turns, calls, …"""
    episodes = [episode for group in groups for episode in group.episodes]
    if not episodes:
        return {}
    sums: Counter[str] = Counter()
    for episode in episodes:
        sums.update(_row(episode))
    means = {name: value / len(episodes) for name, value in sums.items()}
    calls, tokens = sums["calls"], sums["policy_tokens"]
    means["tool_error_share"] = sums["tool_errors"] / calls if calls else 0.0
    means["sampling_entropy"] = sums["entropy_sum"] / tokens if tokens else 0.0
    return {n: v for n, v in means.items() if n not in ("tool_errors", "entropy_sum")}


def _row(episode: SampledEpisode) -> dict[str, float]:
    row: dict[str, float] = {
        "reward": episode.reward,
        "prompt_tokens": len(episode.prompt_ids),
        "completion_tokens": len(episode.completion_ids),
        "policy_tokens": sum(episode.policy_mask),
        "entropy_sum": sum(episode.entropies),
    }
    if episode.score is not None:
        row["f1"], row["recall"] = episode.score.f1, episode.score.recall
        row["precision"], row["solved"] = episode.score.precision, episode.score.solved
        row["answer_correct"] = float(episode.score.answer_correct or False)
    if episode.trajectory is not None:
        calls = episode.trajectory.calls
        row["turns"], row["calls"] = episode.trajectory.turns, len(calls)
        row["tool_errors"] = sum(call.status is not CallStatus.ok for call in calls)
        row["truncated_share"] = float(episode.trajectory.stop in _TRUNCATED)
    return row
