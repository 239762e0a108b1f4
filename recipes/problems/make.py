"""Makes arithmetic problems in words, with exact answers and known steps."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from astra.cli.console import out, print_json
from astra.cli.options import AsJson
from astra.errors import ConfigError
from astra.types import Json, canonical_json
from recipes.command_line import RecipeCommand
from recipes.problems.arithmetic import LARGEST, SMALLEST_LARGEST, make_problems
from recipes.problems.records import MathProblem, problem_messages, worked_response


def make_command(
    out_file: Annotated[
        Path, typer.Option("--out", help="The JSONL file to write.", show_default=False)
    ],
    count: Annotated[int, typer.Option(min=1, help="How many problems.")] = 2000,
    steps: Annotated[
        str, typer.Option(help="Least and most steps of a problem, e.g. 1:5, or one number.")
    ] = "1:5",
    largest: Annotated[
        int, typer.Option(min=SMALLEST_LARGEST, help="No number is larger, but for total sums.")
    ] = LARGEST,
    seed: Annotated[int, typer.Option(help="The same seed makes the same file.")] = 0,
    form: Annotated[
        Literal["problems", "sft"],
        typer.Option(
            "--format",
            help="problems: question, answer, steps. sft: conversations with the steps worked.",
        ),
    ] = "problems",
    split: Annotated[
        Literal["train", "test"] | None,
        typer.Option(help="Write only this split; made are as many.  [default: both]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make multi-step arithmetic problems. The same sum never stands in both splits.

    \b
    Examples:
      python -m recipes.problems.make --count 2000 --steps 1:5 --seed 7 --out problems.jsonl
      python -m recipes.problems.make --seed 7 --format sft --split train --out sft.jsonl
    """
    if out_file.exists() and not force:
        raise ConfigError(f"{str(out_file)!r} exists: give another --out, or --force to replace it")
    made = [
        p for p in make_problems(count, _range(steps), seed, largest) if split in (None, p.split)
    ]
    _write(out_file, (_sft(p) if form == "sft" else p.model_dump(mode="json") for p in made))
    by_split = {name: sum(p.split == name for p in made) for name in ("train", "test")}
    if as_json:
        print_json({"out": str(out_file), "problems": len(made), "splits": by_split})
    else:
        parts = ", ".join(f"{number} {name}" for name, number in by_split.items())
        out().print(f"{len(made)} problems ({parts}) in {out_file}", markup=False)


def _range(text: str) -> tuple[int, int]:
    least, _, most = text.partition(":")
    try:
        return int(least), int(most or least)
    except ValueError:
        raise ConfigError(f"--steps {text!r}: give a number, or two as 1:5") from None


def _sft(problem: MathProblem) -> Json:
    messages: list[Json] = [
        {"role": message.role, "content": message.content} for message in problem_messages(problem)
    ]
    messages.append({"role": "assistant", "content": worked_response(problem)})
    return {"id": problem.id, "messages": messages, "split": problem.split}


def _write(path: Path, rows: Iterable[Json]) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(canonical_json(row) + "\n" for row in rows)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


main = RecipeCommand("python -m recipes.problems.make", make_command)

if __name__ == "__main__":
    raise SystemExit(main())
