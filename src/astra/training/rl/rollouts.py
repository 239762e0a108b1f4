"""Groups of rollouts in an environment, with the exact tokens that were sampled.

An infrastructure failure (sandbox, host, engine) is played again, and left out if it fails again:
it is counted, and never rewarded. A failure of the policy is scored as it stands: an episode that
ran into a limit keeps the goals it had solved, and its tokens are trained on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass, field, replace

from astra.engines.engine import Engine
from astra.engines.episode import EngineEpisode
from astra.errors import AstraError, StageError
from astra.protocols import Sampling
from astra.training.algorithm import SampledEpisode
from astra.training.environment import HasAnswers, RolloutEnvironment
from astra.training.rl.batch import RolloutGroup
from astra.training.rl.prompts import PromptDraw

ATTEMPTS = 3
"""How often a rollout is played that ends in an infrastructure failure."""


@dataclass(slots=True)
class PlayedRound:
    """Results of a round of rollouts. Counts add up over rounds and processes."""

    groups: list[RolloutGroup] = field(default_factory=list[RolloutGroup])
    """Whole groups only, in the order of the draws."""
    incomplete: list[PromptDraw] = field(default_factory=list[PromptDraw])
    """Draws with rollouts that failed in every attempt."""
    completed: int = 0
    """Rollouts without infrastructure failure, in whole groups or not."""
    failures: int = 0
    """Infrastructure failures, also of rollouts that a later attempt completed."""
    error: str = ""
    """The most frequent message of these failures."""


def require_completed(rounds: Sequence[PlayedRound]) -> None:
    """Raise StageError if rollouts were played and none was completed."""
    failures = sum(one.failures for one in rounds)
    if failures and not any(one.completed for one in rounds):
        error = next(one.error for one in rounds if one.error)
        raise StageError(f"stopped: all {failures} rollouts failed; {error}")


@dataclass(frozen=True, slots=True)
class PlannedRollout:
    """One rollout of a group."""

    draw: PromptDraw
    sample: int
    """Index in its group."""
    seed: int


@dataclass(frozen=True, slots=True)
class GroupPlayer:
    """Plays draws, `group_size` rollouts each, at most `concurrency` at the same time."""

    environment: RolloutEnvironment
    engine: Engine
    _: KW_ONLY
    group_size: int
    seed: int
    concurrency: int = 64
    sampling: Sampling = Sampling()
    places: asyncio.Semaphore | None = None
    """For `play` that is called several times at once: rollouts that run, over all calls."""

    async def play(self, draws: Sequence[PromptDraw], step: int) -> PlayedRound:
        """Play a round. See `require_completed` for one in which every rollout failed."""
        pending = [
            PlannedRollout(draw, sample, _seed(self.seed, draw.number, draw.tries, sample))
            for draw in draws
            for sample in range(self.group_size)
        ]
        completed: dict[tuple[int, int], SampledEpisode] = {}
        errors: Counter[str] = Counter()
        for attempt in range(ATTEMPTS):
            failed: list[PlannedRollout] = []
            for start in range(0, len(pending), self.concurrency):
                wave = pending[start : start + self.concurrency]
                # All are opened before the first runs: a deterministic engine waits for all.
                models = [
                    self.engine.open(_seed(rollout.seed, attempt), self.sampling)
                    for rollout in wave
                ]
                results = await asyncio.gather(*map(self._play_one, wave, models))
                for rollout, result in zip(wave, results, strict=True):
                    if isinstance(result, SampledEpisode):
                        completed[rollout.draw.number, rollout.sample] = result
                    else:
                        errors[result] += 1
                        failed.append(rollout)
            pending = failed
        error = next((text for text, _ in errors.most_common(1)), "")
        result = PlayedRound(completed=len(completed), failures=errors.total(), error=error)
        for draw in draws:
            samples = [completed.get((draw.number, i)) for i in range(self.group_size)]
            episodes = tuple(sample for sample in samples if sample is not None)
            if len(episodes) == self.group_size:
                result.groups.append(RolloutGroup(episodes, step))
            else:
                result.incomplete.append(replace(draw, tries=draw.tries + 1))
        return result

    async def _play_one(
        self, rollout: PlannedRollout, model: EngineEpisode
    ) -> SampledEpisode | str:
        """The episode, or the message of an infrastructure failure."""
        task = rollout.draw.task
        try:
            async with self.places or nullcontext():
                outcome = await self.environment.play(
                    task, model, seed=rollout.seed, epoch=rollout.draw.epoch
                )
        except AstraError as error:
            return f"{type(error).__name__}: {error}"
        finally:
            model.close()
        trajectory = outcome.trajectory
        if trajectory is not None:
            if trajectory.infrastructure_failure:
                return trajectory.error
            trajectory = trajectory.model_copy(update={"sample": rollout.sample})
        tokens = model.recorded()
        # Counted as a failure, not scored: an episode without tokens has no gradient to learn from.
        if not tokens.completion_ids:
            return f"the prompt of {task!r} leaves no room for a message: raise max_length"
        environment = self.environment
        return SampledEpisode(
            task=task,
            **tokens._asdict(),
            reward=outcome.reward,
            trajectory=trajectory,
            score=outcome.score,
            answer=environment.answer(task) if isinstance(environment, HasAnswers) else "",
        )


def _seed(*parts: int) -> int:
    """A seed derived from all the parts."""
    # 7 bytes stay positive in torch's 64-bit seeds.
    text = " ".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())
