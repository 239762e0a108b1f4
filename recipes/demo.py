"""The whole loop on the example tables: arenas, a nano model, SFT, RL, evaluation.

With `--longer N` RL plays longer questions than SFT has shown, and so does the evaluation.

A script of the commands that a user types, each printed before it is run. Run a stopped demo again
and it resumes.
"""

from __future__ import annotations

import io
import json
import shlex
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from rich.table import Table

from astra.cli import main as astra
from astra.cli.command import command_from
from astra.cli.console import err, out, plain
from astra.configs.base import SandboxConfig, at_least
from astra.errors import ConfigError
from astra.training.requirements import require_training
from astra.types import Json
from recipes.command_line import Recipe
from recipes.nano.__main__ import main as make_nano_model

EXAMPLE = Path("examples/world")
MODELS = ("base", "SFT", "RL")
LONGER = Path(__file__).with_name("longer.toml")


@dataclass(frozen=True)
class DemoConfig(SandboxConfig):
    """Demo."""

    tables: Path | str = EXAMPLE
    """Tables to make arenas from."""
    _: KW_ONLY
    out: Path | str = Path("runs/loop")
    """Folder of everything that is made."""
    count: Annotated[int, at_least(4)] = 3200
    """Arenas of both splits."""
    longer: Annotated[int, at_least(0)] = 0
    """Arenas of longer questions, of both splits: RL trains on them, with more rollouts, and all
    models play them. 0: those that SFT shows."""
    max_steps: Annotated[int, at_least(1)] | None = None
    """Optimizer steps of RL. None: 50, with `--longer` 100."""
    limit: Annotated[int, at_least(1)] = 800
    """Evaluate on the first test arenas."""
    samples: Annotated[int, at_least(1)] = 4
    """Sampled episodes per test arena."""
    seed: int = 7
    """Seed of every random choice. The same seed and inputs give the same bytes."""


@command_from(
    DemoConfig,
    examples=[
        "python -m recipes.demo",
        "python -m recipes.demo --longer 2600 --out runs/longer",
        "python -m recipes.demo --count 60 --max-steps 1",
    ],
)
def command(config: DemoConfig) -> int:
    """Tables to arenas, a nano model, SFT, RL, and an evaluation of each on held-out arenas.

    Takes 15 minutes on two CPU cores; with `--longer 2600` RL alone takes an hour and a half of one
    core. Run a stopped demo again and it resumes.
    """
    if config.tables == EXAMPLE and not EXAMPLE.exists():
        raise ConfigError(
            f"{str(EXAMPLE)!r} is not here: run this in the repository, or name tables of your own"
        )
    require_training()
    start = time.monotonic()
    folder = Path(config.out)
    steps = _Steps()
    seed = ("--seed", config.seed)
    sandbox = ("--sandbox", config.sandbox)

    arenas = folder / "arenas"
    # Look-ups alone: what a million parameters can learn in minutes.
    kind = ("--operations", "lookup", "--distractors-per-band", 1, "--test-fraction", 0.235)
    steps.run(
        *("arenas", "arenas", "make", config.tables, "--out", arenas, "--count", config.count),
        *("--max-hops", 3, "--scenarios", "single_hop=2,parallel_single_hop=1,multi_hop=2"),
        *(*kind, *seed, *sandbox),
    )
    played, preset, max_tokens = arenas, "nano", 48
    if config.longer:
        # The seed decides which entities are held out: the same in both folders.
        played, preset, max_tokens = folder / "longer", str(LONGER), 96
        steps.run(
            *("longer", "arenas", "make", config.tables, "--out", played),
            *("--count", config.longer, "--min-hops", 2, "--max-hops", 5),
            *("--scenarios", "multi_hop=1,parallel_multi_hop=1", *kind, *seed, *sandbox),
        )
    rows = folder / "sft.jsonl"
    if not rows.exists():
        # Copies of each gold episode with other names teach the model to copy.
        steps.run(
            *("rows", "arenas", "export", arenas, "--format", "sft", "--no-reasoning"),
            *("--renamed-copies", 3, *seed, "--out", rows),
        )
    base, sft, rl = folder / "nano", folder / "sft", folder / "rl"
    if not (base / "config.json").exists():
        steps.run("nano", "recipes.nano", "--dataset", rows, "--out", base, *seed)
    steps.run(
        *("SFT", "train", "sft", "--dataset", rows, "--model", base, "--preset", "nano"),
        *("--out", sft, *seed),
    )
    max_steps = config.max_steps or (100 if config.longer else 50)
    steps.run(
        *("RL", "train", "rl", "--arenas", played, "--model", sft / "final"),
        *("--preset", preset, "--max-steps", max_steps, "--out", rl, *seed, *sandbox),
        # At a constant rate the noise of the last steps stays, and greedy episodes may lose by it.
        *("--lr-schedule", "linear", "--trl", "scale_rewards=none"),
    )

    ways = {"greedy": (0, 1), "sampled": (1, config.samples)}
    reports: list[dict[str, Json]] = []
    for name, model in zip(MODELS, (base, sft / "final", rl / "final"), strict=True):
        reports.append({})
        for way, (temperature, samples) in ways.items():
            text = steps.run(
                *(f"{name}, {way}", "evaluate", "arenas", played, "--model", model),
                *("--split", "test", "--limit", config.limit, "--distractors", "banded"),
                *("--samples", samples, "--temperature", temperature, "--max-turns", 6),
                *("--max-tokens", max_tokens, "--concurrency", 128, *seed, *sandbox, "--json"),
                *("--out", folder / "evaluation" / f"{name.lower()}-{way}"),
                captured=True,
            )
            reports[-1][way] = json.loads(text)
    gains: list[str] = []
    for way in ways:
        both = (folder / "evaluation" / f"{name}-{way}" for name in ("rl", "sft"))
        text = steps.run(f"gain, {way}", "evaluate", "compare", *both, "--json", captured=True)
        gain = json.loads(text)
        gains.append(
            f"RL minus SFT, {way}, paired by arena: F1 {_interval(gain['f1'])}, higher on "
            f"{gain['better']} arenas, lower on {gain['worse']}"
        )
    steps.run("plots", "plot", sft, rl, "--out", folder / "plots")

    console = out()
    console.print(_table(reports))
    console.print("\n".join(gains), soft_wrap=True)
    console.print(
        f"held-out arenas with entities and relations that training never saw, banded "
        f"distractors; 95 % intervals over arenas\n"
        f"{(time.monotonic() - start) / 60:.1f} minutes in all ({steps.times()}). Next:\n"
        f"  curves: {folder / 'plots'}\n"
        f"  astra arenas stats {played}\n"
        f"  astra evaluate compare {folder / 'evaluation/rl-greedy'} "
        f"{folder / 'evaluation/sft-greedy'}\n"
        f"  astra credit show --help",
        markup=False,
        soft_wrap=True,
    )
    return 0


class _Steps:
    """Runs commands and keeps their times."""

    def __init__(self) -> None:
        self._minutes: dict[str, float] = {}

    def run(self, title: str, *arguments: object, captured: bool = False) -> str:
        """Run a command; returns its output if `captured`. Raises SystemExit if it fails."""
        words = [str(argument) for argument in arguments]
        recipe = words[0] == "recipes.nano"
        program = "python -m" if recipe else "astra"
        out().print(plain(f"$ {program} {shlex.join(words)}", "bold"), soft_wrap=True)
        start = time.monotonic()
        output = io.StringIO()
        if captured:
            with redirect_stdout(output):
                status = astra.run(words)
        else:
            status = make_nano_model(words[1:]) if recipe else astra.run(words)
        if status:
            err().print(f"the demo ends here: {title} failed")
            raise SystemExit(status)
        self._minutes[title] = (time.monotonic() - start) / 60
        return output.getvalue()

    def times(self) -> str:
        """Minutes of each command."""
        return ", ".join(f"{title} {minutes:.1f}" for title, minutes in self._minutes.items())


def _table(reports: Sequence[dict[str, Json]]) -> Table:
    table = Table(
        *("model", "arenas", "F1, greedy", "F1, sampled", "recall", "precision", "solved"),
        *("calls", "turns"),
    )
    for name, report in zip(MODELS, reports, strict=True):
        sampled = report["sampled"]
        means = (sampled[key] for key in ("recall", "precision", "solved", "calls", "turns"))
        table.add_row(
            name,
            str(sampled["arenas"]),
            *(_interval(report[way]["f1"]) for way in ("greedy", "sampled")),
            *("–" if mean is None else f"{mean:.3f}" for mean in means),
        )
    return table


def _interval(value: Json) -> str:
    if value is None:
        return "no score"
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


main = Recipe("python -m recipes.demo", command)

if __name__ == "__main__":
    raise SystemExit(main())
