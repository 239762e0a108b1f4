"""Groups of responses to problems: single-turn RL with verified answers.

A right answer is rewarded with 1, a wrong one, or none, with 0. A response whose verdict can't be
had is no rollout: it is sampled again like one that our side broke, and counted, never rewarded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from astra.engines.engine import Engine
from astra.engines.episode import ClosingHost, EngineEpisode
from astra.errors import ConfigError, HostError
from astra.protocols import ToolResult
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.training.algorithm import SampledEpisode
from astra.training.rl.material import TaskSource
from astra.training.rl.playing import GroupPlayer, RolloutJob, broken
from astra.training.rl.presets import RLPreset
from astra.types import Json, ToolSchema, Trajectory
from recipes.problems.read import read_problems
from recipes.problems.records import MathProblem, problem_messages
from recipes.problems.verify import MathVerifier


class NoTools:
    """A host without tools. What a model calls nevertheless is answered by the agent loop."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def tools(self) -> Sequence[ToolSchema]:
        return ()

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        raise HostError(f"{name!r} was called with {arguments!r}, and there are no tools")


class ProblemPlayer(GroupPlayer):
    """Has problems, known by their ids, answered in one message each."""

    def __init__(
        self,
        problems: Mapping[str, MathProblem],
        engine: Engine,
        verifier: MathVerifier,
        limits: RolloutLimits,
        *,
        group: int,
        seed: int,
        concurrency: int = 64,
    ) -> None:
        super().__init__(engine, group=group, seed=seed, concurrency=concurrency)
        self._problems = problems
        self._verifier = verifier
        self._limits = limits

    async def play_one(
        self, job: RolloutJob, episode: EngineEpisode
    ) -> SampledEpisode | Trajectory:
        problem = self._problems[job.draw.task]
        task = RolloutTask(problem.id, problem_messages(problem), job.sample)
        host = ClosingHost(NoTools(), episode)
        trajectory = await rollout(task, episode, host, self._limits)
        if trajectory.infrastructure_failure:
            return trajectory
        said = [message.content for message in trajectory.messages if message.role == "assistant"]
        verdict = await self._verifier.verify(said[0] if said else "", problem.answer)
        if verdict.correct is None:
            return broken(job, f"no verdict on {verdict.answer!r}: {verdict.reason}")
        return SampledEpisode(
            task=problem.id,
            **episode.recorded()._asdict(),
            reward=float(verdict.correct),
            answer=problem.answer,
        )


@dataclass(frozen=True, slots=True)
class ProblemTasks:
    """The problems of split `train` of a file, as tasks of an RL run."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def __call__(self, preset: RLPreset, seed: int) -> TaskSource:
        """Raises ConfigError when there are none."""
        problems = {p.id: p for p in read_problems(self.path) if p.split == "train"}
        if not problems:
            raise ConfigError(f"{str(self.path)!r} holds no problems of split 'train'")

        def player(engine: Engine, verifier: Any, limits: RolloutLimits) -> GroupPlayer:
            return ProblemPlayer(
                problems,
                engine,
                verifier,
                replace(limits, turns=1),
                group=preset.group,
                seed=seed,
                concurrency=preset.concurrency,
            )

        levels = {problem_id: problem.level or 1 for problem_id, problem in problems.items()}
        return TaskSource(levels, MathVerifier, player, {})
