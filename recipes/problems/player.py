"""Problems with answers as an environment of RL: single-turn, rewarded by verification.

A right answer is rewarded with 1, a wrong or missing one with 0. If the verifier fails, the
response counts as an infrastructure failure: it is sampled again, and never rewarded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from astra.engines.episode import ClosingHost, EngineEpisode
from astra.errors import ConfigError, StageError
from astra.hosts.joined import JoinedHost
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.training.environment import RolloutOutcome
from recipes.problems.read import read_problems
from recipes.problems.records import MathProblem, problem_messages
from recipes.problems.verify import MathVerifier


class ProblemRollouts:
    """A `RolloutEnvironment` over problems by id, each answered in one message."""

    def __init__(
        self, problems: Mapping[str, MathProblem], verifier: MathVerifier | None = None
    ) -> None:
        self._problems = problems
        self._verifier = MathVerifier() if verifier is None else verifier
        self._source = "problems"

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """The problems of split `train` of a file. Raises ConfigError if it has none."""
        problems = {p.id: p for p in read_problems(path) if p.split == "train"}
        if not problems:
            raise ConfigError(f"{str(path)!r} holds no problems of split 'train'")
        rollouts = cls(problems)
        rollouts._source = str(path)
        return rollouts

    def identity(self) -> str:
        """What a run folder stores."""
        return self._source

    async def __aenter__(self) -> Self:
        await self._verifier.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._verifier.__aexit__(kind, error, trace)

    def tasks(self) -> Sequence[str]:
        return list(self._problems)

    def difficulty(self, task: str) -> int:
        """The problem's level."""
        return self._problems[task].level or 1

    def answer(self, task: str) -> str:
        return self._problems[task].answer

    async def play(
        self, task: str, model: EngineEpisode, *, seed: int, epoch: int
    ) -> RolloutOutcome:
        del seed, epoch
        problem = self._problems[task]
        start = RolloutTask(problem.id, problem_messages(problem))
        # No tools: the agent loop answers calls that a model makes nevertheless.
        host = ClosingHost(JoinedHost(()), model)
        trajectory = await rollout(start, model, host, RolloutLimits(turns=1, seconds=math.inf))
        if trajectory.infrastructure_failure:
            return RolloutOutcome(0.0, trajectory)
        replies = [
            message.content for message in trajectory.messages if message.role == "assistant"
        ]
        verdict = await self._verifier.verify(replies[0] if replies else "", problem.answer)
        if verdict.correct is None:
            raise StageError(f"no verdict on {verdict.answer!r}: {verdict.reason}")
        return RolloutOutcome(float(verdict.correct))
