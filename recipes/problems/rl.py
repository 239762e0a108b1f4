"""Single-turn RL on problems: the answers are verified, no tool is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from astra.cli.console import out
from astra.cli.requirements import require_training
from astra.configs.training import TrainRLConfig
from recipes.command_line import RecipeCommand
from recipes.credit_options import credit_config


def rl_command(
    problems: Annotated[Path, typer.Option(help="A file of problems; split train is played.")],
    model: Annotated[str, typer.Option(help="A model folder, or a Hugging Face id.")],
    out_folder: Annotated[Path, typer.Option("--out", help="The run folder to write.")],
    algorithm: Annotated[
        Literal["grpo", "acpo"], typer.Option(help="The credit-assignment algorithm.")
    ] = "grpo",
    credit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of acpo, e.g. gamma=0.2."),
    ] = None,
    preset: Annotated[
        Literal["nano", "laptop", "h200", "paper-14b"], typer.Option(help="Other settings.")
    ] = "nano",
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is random.")] = 0,
) -> None:
    """Train a model by RL on problems. A stopped run resumes.

    \b
    Examples:
      python -m recipes.problems.rl --problems problems.jsonl --model runs/sft/final --out runs/rl
    """
    require_training()
    from astra.training.rl.train import train_rl
    from recipes.problems.player import ProblemRollouts

    result = train_rl(
        TrainRLConfig(
            arenas=ProblemRollouts.of_file(problems),
            model=model,
            out=out_folder,
            preset=preset,
            max_steps=steps,
            algorithm=algorithm,
            credit=credit_config(credit or (), attribution="likelihood"),
            seed=seed,
        )
    )
    reward = result.metrics.get("reward", float("nan"))
    tasks = int(result.metrics["tasks"])
    out().print(f"{result.steps} steps on {tasks} problems; reward at the end {reward:.3f}")


main = RecipeCommand("python -m recipes.problems.rl", rl_command)

if __name__ == "__main__":
    raise SystemExit(main())
