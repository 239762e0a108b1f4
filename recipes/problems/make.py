"""Makes arithmetic problems in words, with exact answers and known steps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.configs.base import Config, at_least, at_most
from astra.core.files import write_file
from astra.errors import ConfigError
from astra.types import Json, canonical_json
from recipes.command_line import Recipe
from recipes.problems.arithmetic import LARGEST, MOST_STEPS, SMALLEST_LARGEST, make_problems
from recipes.problems.records import MathProblem, problem_messages, worked_response


@dataclass(frozen=True, kw_only=True)
class MakeProblemsConfig(Config):
    """Problems."""

    out: Path | str
    """JSONL file to write."""
    count: Annotated[int, at_least(1)] = 2000
    """Problems of both splits."""
    min_steps: Annotated[int, at_least(1), at_most(MOST_STEPS)] = 1
    """Fewest steps of a problem."""
    max_steps: Annotated[int, at_least(1), at_most(MOST_STEPS)] = 5
    """Most steps of a problem."""
    largest: Annotated[int, at_least(SMALLEST_LARGEST)] = LARGEST
    """No number is larger, except totals."""
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""
    format: Literal["problems", "sft"] = "problems"
    """problems: question, answer, steps. sft: conversations with the worked steps."""
    split: Literal["train", "test"] | None = None
    """Write only this split of the problems. None: both."""
    overwrite: bool = False
    """Replace the file."""


@command_from(
    MakeProblemsConfig,
    examples=[
        "python -m recipes.problems.make --count 2000 --max-steps 5 --seed 7 --out problems.jsonl",
        "python -m recipes.problems.make --seed 7 --format sft --split train --out sft.jsonl",
    ],
)
def command(config: MakeProblemsConfig, *, as_json: bool) -> None:
    """Make multi-step arithmetic problems. The same sum never appears in both splits."""
    path = Path(config.out)
    if path.exists() and not config.overwrite:
        raise ConfigError(f"{str(path)!r} exists: give another --out, or --overwrite")
    steps = (config.min_steps, config.max_steps)
    problems = [
        problem
        for problem in make_problems(config.count, steps, config.seed, config.largest)
        if config.split in (None, problem.split)
    ]
    form = _conversation if config.format == "sft" else _record
    write_file(path, (f"{canonical_json(form(problem))}\n".encode() for problem in problems))
    splits = {"train": 0, "test": 0, **Counter(problem.split for problem in problems)}
    if as_json:
        print_json({"out": str(path), "problems": len(problems), "splits": splits})
    else:
        parts = ", ".join(f"{number} {name}" for name, number in splits.items())
        out().print(f"{len(problems)} problems ({parts}) in {path}", markup=False)


def _record(problem: MathProblem) -> Json:
    return problem.model_dump(mode="json")


def _conversation(problem: MathProblem) -> Json:
    messages = [
        {"role": message.role, "content": message.content} for message in problem_messages(problem)
    ]
    reply = {"role": "assistant", "content": worked_response(problem)}
    return {"id": problem.id, "messages": [*messages, reply], "split": problem.split}


main = Recipe("python -m recipes.problems.make", command)

if __name__ == "__main__":
    raise SystemExit(main())
