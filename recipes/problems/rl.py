"""Single-turn RL on problems: the answers are verified, no tool is called."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from astra.cli.command import command_from
from astra.cli.console import out
from astra.configs.base import OutputConfig, at_least
from astra.configs.training import AttributionName, CreditConfig, TrainRLConfig
from astra.training.requirements import require_training
from recipes.command_line import Recipe


@dataclass(frozen=True, kw_only=True)
class ProblemCreditConfig(CreditConfig):
    """Credit assignment."""

    attribution: AttributionName = "likelihood"
    """acpo: how a step's contribution is measured. Problems have no goals to verify."""


@dataclass(frozen=True)
class TrainOnProblemsConfig(OutputConfig):
    """Model, data and optimization."""

    _: KW_ONLY
    model: str | Path
    """Model to train: a folder or a Hugging Face id."""
    problems: Path | str
    """File or folder of problems; split train is used."""
    out: Path | str
    """Run folder to write. The model is OUT/final."""
    batch_size: Annotated[int | None, at_least(1)] = None
    """Problems per optimizer step. Each is answered --group-size times. None: preset."""
    group_size: Annotated[int | None, at_least(2)] = None
    """Responses per problem and step (G). None: preset."""
    max_steps: Annotated[int | None, at_least(1)] = None
    """Optimizer steps. None: preset."""
    preset: Literal["auto", "nano", "laptop", "h200", "paper-14b"] | Path | str = "auto"
    """Values for all options not given. auto: by model size and device. Or a TOML file."""
    max_tokens: Annotated[int | None, at_least(1)] = None
    """Maximum tokens of a response. None: preset."""
    algorithm: Literal["grpo", "acpo"] = "grpo"
    """Credit-assignment algorithm."""
    credit: ProblemCreditConfig = field(default_factory=ProblemCreditConfig)


@command_from(
    TrainOnProblemsConfig,
    examples=[
        "python -m recipes.problems.rl --problems math.jsonl --model runs/sft/final --out runs/rl"
    ],
)
def command(config: TrainOnProblemsConfig) -> None:
    """Train a model by RL on problems. A stopped run resumes."""
    require_training()
    from astra.training.rl.train import train_rl
    from recipes.problems.player import ProblemRollouts

    result = train_rl(
        TrainRLConfig(
            arenas=ProblemRollouts.of_file(Path(config.problems)),
            model=config.model,
            out=config.out,
            batch_size=config.batch_size,
            group_size=config.group_size,
            max_steps=config.max_steps,
            preset=config.preset,
            max_tokens=config.max_tokens,
            algorithm=config.algorithm,
            credit=config.credit,
            seed=config.seed,
            if_exists=config.if_exists,
            progress=config.progress,
        )
    )
    reward = result.metrics.get("reward", float("nan"))
    tasks = int(result.metrics["tasks"])
    out().print(f"{result.steps} steps on {tasks} problems; reward at the end {reward:.3f}")


main = Recipe("python -m recipes.problems.rl", command)

if __name__ == "__main__":
    raise SystemExit(main())
