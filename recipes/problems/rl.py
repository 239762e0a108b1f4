"""Single-turn RL on problems: the answers are verified, no tool is called."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from astra.cli.console import out
from astra.cli.options import require_training
from recipes.command_line import RecipeCommand


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
    from astra.training.rl.presets import PRESETS
    from astra.training.rl.run import RLJob, train_rl
    from recipes.problems.player import ProblemRollouts

    settings = PRESETS[preset]
    job = RLJob(
        arenas=None,
        environment=ProblemRollouts.of_file(problems),
        model=model,
        out=out_folder,
        preset=dataclasses.replace(settings, steps=steps or settings.steps),
        algorithm=algorithm,
        credit=tuple(credit or ()),
        seed=seed,
        resume=(out_folder / "config.toml").exists(),
        quiet=not sys.stderr.isatty(),
    )
    report = train_rl(job)
    reward = "–" if report.reward is None else f"{report.reward:.3f}"
    out().print(f"{report.steps} steps on {report.tasks} problems; reward at the end {reward}")


main = RecipeCommand("python -m recipes.problems.rl", rl_command)

if __name__ == "__main__":
    raise SystemExit(main())
