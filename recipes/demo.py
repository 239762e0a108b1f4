"""The whole loop on the example tables: arenas, a nano model, SFT, RL, evaluation.

It is a script of the commands that a user types, each printed before it is run. Run a stopped demo
again and it resumes.
"""

from __future__ import annotations

import io
import json
import shlex
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from astra.cli.console import err, out, plain
from astra.cli.episodes import label
from astra.cli.options import SandboxLevel, require_training
from astra.errors import ConfigError
from astra.types import Json
from recipes.command_line import RecipeCommand
from recipes.nano.__main__ import main as make_nano_model

EXAMPLE = Path("examples/world")
MODELS = ("base", "SFT", "RL")


@dataclass(frozen=True)
class DemoSize:
    """How much of everything."""

    arenas: int = 3200
    renamed: int = 3
    """Copies of each gold episode with other names, so that the model learns to copy."""
    steps: int = 50
    """Of RL."""
    held_out: int = 800
    """Most test arenas that are played."""
    samples: int = 4


def demo_command(
    tables: Annotated[
        Path, typer.Option(help="The tables to make arenas from.", show_default=True)
    ] = EXAMPLE,
    out_folder: Annotated[Path, typer.Option("--out", help="The run folder.")] = Path("runs/loop"),
    count: Annotated[int, typer.Option(min=4, help="How many arenas.")] = DemoSize.arenas,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of RL.")] = DemoSize.steps,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 7,
    sandbox: SandboxLevel = "auto",
) -> None:
    """Tables to arenas, a nano model, SFT, RL, and an evaluation of each on held-out arenas.

    Takes 15 minutes on two CPU cores. Run a stopped demo again and it resumes.

    \b
    Examples:
      python -m recipes.demo
      python -m recipes.demo --count 60 --steps 1 --out runs/small
    """
    if tables == EXAMPLE and not tables.exists():
        raise ConfigError(
            f"{str(EXAMPLE)!r} is not here: run this in a clone of the repository, or name tables "
            "of your own with --tables"
        )
    require_training()
    _Demo(tables, out_folder, DemoSize(arenas=count, steps=steps), seed, sandbox).run()


class _Demo:
    """The commands in order. Each is left out when what it makes is there."""

    def __init__(self, tables: Path, folder: Path, size: DemoSize, seed: int, sandbox: str) -> None:
        self._tables = tables
        self._folder = folder
        self._size = size
        self._seed = str(seed)
        self._sandbox = sandbox
        self._minutes: dict[str, float] = {}

    def run(self) -> None:
        start = time.monotonic()
        arenas, rows = self._folder / "arenas", self._folder / "sft.jsonl"
        self._make(arenas)
        if not rows.exists():
            self._step("rows", *self._export(arenas, rows))
        models = self._train(arenas, rows)
        found = [self._evaluate(arenas, name, models) for name in models]
        self._step(
            *("plots", "runs", "plot", self._folder / "sft", self._folder / "rl"),
            *("--out", self._folder / "plots"),
        )
        self._tell(found, models, time.monotonic() - start)

    def _make(self, arenas: Path) -> None:
        # Look-ups alone: what a million parameters can learn in minutes.
        self._step(
            *("arenas", "arenas", "make", "--tables", self._tables, "--out", arenas),
            *("--count", self._size.arenas, "--operations", "lookup", "--hops", "1:3"),
            *("--scenarios", "single_hop=2,parallel_single_hop=1,multi_hop=2"),
            *("--per-band", 1, "--test-share", 0.235, "--seed", self._seed),
            *("--sandbox", self._sandbox),
        )

    def _export(self, arenas: Path, rows: Path) -> Sequence[object]:
        return (
            *("arenas", "export", arenas, "--format", "sft", "--no-reasons"),
            *("--renamed", self._size.renamed, "--seed", self._seed, "--out", rows),
        )

    def _train(self, arenas: Path, rows: Path) -> dict[str, Path]:
        """The three models' folders, by name."""
        base = self._folder / "nano"
        sft, rl = self._folder / "sft", self._folder / "rl"
        if not (base / "config.json").exists():
            self._step("nano", "recipes.nano", "--rows", rows, "--out", base, "--seed", self._seed)
        self._step(
            *("SFT", "train", "sft", "--rows", rows, "--model", base, "--preset", "nano"),
            *("--out", sft, "--seed", self._seed, *_resumed(sft)),
        )
        self._step(
            *("RL", "train", "rl", "--arenas", arenas, "--model", sft / "final"),
            *("--preset", "nano", "--steps", self._size.steps, "--out", rl),
            *("--seed", self._seed, "--sandbox", self._sandbox, *_resumed(rl)),
        )
        return dict(zip(MODELS, (base, sft / "final", rl / "final"), strict=True))

    def _evaluate(self, arenas: Path, name: str, models: dict[str, Path]) -> Json:
        kept = self._kept(name)
        report = kept / "report.json"
        if not report.exists():
            text = self._step(
                *(f"evaluation of {name}", "evaluate", "arenas", arenas, "--model", models[name]),
                *("--split", "test", "--limit", self._size.held_out, "--distractors", "banded"),
                *("--samples", self._size.samples, "--turns", 6, "--max-tokens", 48),
                *("--concurrency", 128),
                *("--seed", self._seed, "--sandbox", self._sandbox, "--out", kept, "--json"),
                *self._against(name, models),
                captured=True,
            )
            report.write_text(text, "utf-8")
        return json.loads(report.read_text("utf-8"))

    def _kept(self, name: str) -> Path:
        return self._folder / "evaluation" / name.lower()

    def _against(self, name: str, models: dict[str, Path]) -> Sequence[object]:
        """Each model but the first is compared with the one that it began as."""
        if name == MODELS[0]:
            return ()
        before = MODELS[MODELS.index(name) - 1]
        episodes = f"episodes-{label(str(models[before]))}-sampled.jsonl"
        return ("--against", self._kept(before) / episodes)

    def _step(self, title: str, *arguments: object, captured: bool = False) -> str:
        """Run one command and return what it printed, if captured; ends the demo if it fails."""
        from astra.cli.main import run

        words = [str(argument) for argument in arguments]
        recipe = words[0] == "recipes.nano"
        program = "python -m" if recipe else "astra"
        out().print(plain(f"$ {program} {shlex.join(words)}", "bold"), soft_wrap=True)
        started = time.monotonic()
        printed = io.StringIO()
        if captured:
            with redirect_stdout(printed):
                status = run(words)
        elif recipe:
            status = make_nano_model(words[1:])
        else:
            status = run(words)
        if status:
            err().print(f"the demo ends here: {title} failed")
            raise typer.Exit(status)
        self._minutes[title] = (time.monotonic() - started) / 60
        return printed.getvalue()

    def _tell(self, found: Sequence[Json], models: dict[str, Path], seconds: float) -> None:
        console = out()
        console.print(_table([report["models"][0] for report in found]))
        gained = found[-1]["comparison"]
        console.print(
            f"RL less SFT, sampled, paired by arena: F1 {_interval(gained['f1'])}, higher on "
            f"{gained['better']} arenas, lower on {gained['worse']}"
        )
        spent = ", ".join(f"{title} {minutes:.1f}" for title, minutes in self._minutes.items())
        first = next(iter(models.values())).parent / "arenas"
        console.print(
            f"held-out arenas, their entities and relations unseen in training, banded "
            f"distractors; 95 % intervals over arenas\n"
            f"{seconds / 60:.1f} minutes in all ({spent}). Next:\n"
            f"  curves: {self._folder / 'plots'}\n"
            f"  astra arenas stats {first}\n"
            f"  astra evaluate arenas {first} --model {models['RL']} --model {models['SFT']}\n"
            f"  astra credit show --help",
            markup=False,
            soft_wrap=True,
        )


def _resumed(folder: Path) -> list[str]:
    return ["--resume"] if (folder / "config.toml").exists() else []


def _table(reports: Sequence[Json]) -> Table:
    table = Table(
        *("model", "arenas", "F1, greedy", "F1, sampled", "recall", "precision", "solved"),
        *("calls", "turns"),
    )
    for name, report in zip(MODELS, reports, strict=True):
        sampled = report["sampled"]
        figures = (sampled[key] for key in ("recall", "precision", "solved", "calls", "turns"))
        table.add_row(
            name,
            str(sampled["arenas"]),
            *(_interval(report[way]["f1"]) for way in ("greedy", "sampled")),
            *("–" if figure is None else f"{figure:.3f}" for figure in figures),
        )
    return table


def _interval(value: Json) -> str:
    if value is None:
        return "no score"
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


main = RecipeCommand("python -m recipes.demo", demo_command)

if __name__ == "__main__":
    raise SystemExit(main())
