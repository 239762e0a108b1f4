"""Held-out problems answered by a model folder, as RL has them answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from astra.configs.training import TrainRLConfig
from astra.engines.loading import load_engine
from astra.errors import ConfigError, StageError
from astra.protocols import Sampling
from astra.training.rl.prompts import PromptDraw
from astra.training.rl.rollout_metrics import rollout_means
from astra.training.rl.rollouts import GroupPlayer
from recipes.problems.player import ProblemRollouts
from recipes.problems.read import read_problems
from recipes.problems.records import MathProblem


@dataclass(frozen=True, slots=True)
class PlayProblems:
    """A `Play`: the share that is solved, over problems and samples; and greedily (`greedy/…`)."""

    problems: tuple[MathProblem, ...]
    config: TrainRLConfig
    """Resolved options."""
    samples: int

    @classmethod
    def of_file(
        cls, path: Path, config: TrainRLConfig, *, limit: int | None, samples: int
    ) -> PlayProblems:
        """The first problems of split `test`. Raises ConfigError where there are none."""
        found = [problem for problem in read_problems(path) if problem.split == "test"]
        if not found:
            raise ConfigError(
                f"{str(path)!r} holds no problems of split 'test', which are played in the end: "
                'give some rows "split": "test"'
            )
        return cls(tuple(found[:limit]), config, samples)

    def __call__(self, model: Path, seed: int) -> dict[str, float]:
        """Raises what loading and playing raise; StageError where a problem could not be played."""
        config = self.config
        engine = load_engine(str(model), max_length=config.max_length)

        async def main() -> dict[str, float]:
            found: dict[str, float] = {}
            environment = ProblemRollouts({problem.id: problem for problem in self.problems})
            async with environment:
                for prefix, temperature, samples in (
                    ("", config.temperature, self.samples),
                    ("greedy/", 0.0, 1),
                ):
                    player = GroupPlayer(
                        environment,
                        engine,
                        group_size=samples,
                        seed=seed,
                        concurrency=config.concurrency or 64,
                        sampling=Sampling(temperature=temperature, max_tokens=config.max_tokens),
                    )
                    draws = [PromptDraw(p.id, 0, number) for number, p in enumerate(self.problems)]
                    played = await player.play(draws, 0)
                    if played.incomplete:
                        raise StageError(
                            f"{len(played.incomplete)} of {len(draws)} problems could not be "
                            f"played: {played.error}"
                        )
                    means = rollout_means(played.groups)
                    found[f"{prefix}solved"] = means["reward"]
                    found[f"{prefix}tokens"] = means["policy_tokens"]
            return found

        return asyncio.run(main())
