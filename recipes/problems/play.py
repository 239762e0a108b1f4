"""Held-out problems answered by a model folder, as RL has them answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from astra.engines.loading import load_engine
from astra.errors import ConfigError, StageError
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits
from astra.training.rl.playing import tallied
from astra.training.rl.presets import RLPreset
from astra.training.rl.prompts import PromptDraw
from recipes.problems.player import ProblemPlayer
from recipes.problems.read import read_problems
from recipes.problems.records import MathProblem
from recipes.problems.verify import MathVerifier


@dataclass(frozen=True, slots=True)
class PlayProblems:
    """A `Play`: the share that is solved, over problems and samples."""

    problems: tuple[MathProblem, ...]
    preset: RLPreset
    samples: int

    @classmethod
    def of_file(
        cls, path: Path, preset: RLPreset, *, limit: int | None, samples: int
    ) -> PlayProblems:
        """The first problems of split `test`. Raises ConfigError where there are none."""
        found = [problem for problem in read_problems(path) if problem.split == "test"]
        if not found:
            raise ConfigError(
                f"{str(path)!r} holds no problems of split 'test', which are played in the end: "
                'give some rows "split": "test"'
            )
        return cls(tuple(found[:limit]), preset, samples)

    def __call__(self, model: Path, seed: int) -> dict[str, float]:
        """Raises what loading and playing raise; StageError where a problem could not be played."""
        preset = self.preset
        engine = load_engine(str(model), context=preset.context)
        temperature = float(preset.trl.get("temperature", 1.0))
        sampling = Sampling(temperature=temperature, max_tokens=preset.message_tokens)

        async def main() -> dict[str, float]:
            async with MathVerifier() as verifier:
                player = ProblemPlayer(
                    {problem.id: problem for problem in self.problems},
                    engine,
                    verifier,
                    RolloutLimits(turns=1, sampling=sampling),
                    group=self.samples,
                    seed=seed,
                    concurrency=preset.concurrency,
                )
                draws = [PromptDraw(p.id, 0, number) for number, p in enumerate(self.problems)]
                played = await player.play(draws, 0)
                if played.incomplete:
                    raise StageError(
                        f"{len(played.incomplete)} of {len(draws)} problems could not be played: "
                        f"{played.error}"
                    )
                means = tallied(played.groups)
                return {"solved": means["reward"], "tokens": means["policy_tokens"]}

        return asyncio.run(main())
