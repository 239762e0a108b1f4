"""The papers' comparisons, arms × seeds, from one arena folder and one model."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from astra.arenas.sets import ArenaSet, load_arenas
from astra.cli.console import err, out, plain, print_json
from astra.cli.options import AsJson, Level, PerBand, SandboxLevel
from astra.cli.requirements import require_training
from astra.configs.training import CreditConfig, TrainRLConfig
from astra.errors import ConfigError
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import open_sandbox
from astra.types import Json
from recipes.credit_options import credit_config, read_pairs

if TYPE_CHECKING:
    from recipes.reproduce.comparisons import ArmComparison
    from recipes.reproduce.rl_trial import Play
    from recipes.reproduce.trials import TrialOutcome

ARENAS, MODEL = "runs/loop/arenas", "runs/loop/sft/final"
"""What `make demo` makes."""
TRAINED = "trained/"
"""Before the names of measurements from the arenas that were trained on."""
Which = Literal["reward", "distractors", "filling", "credit"]
SizeName = Literal["nano", "gpu"]


@dataclasses.dataclass(frozen=True, slots=True)
class ReproductionSize:
    """How much of everything, unless it is typed."""

    preset: str
    """Of RL."""
    steps: int
    limit: int
    """Held-out arenas, or problems, that are played."""
    samples: int


SIZES: dict[str, ReproductionSize] = {
    "nano": ReproductionSize("nano", steps=60, limit=60, samples=4),
    "gpu": ReproductionSize("h200", steps=200, limit=200, samples=4),
}


def reproduce_command(
    comparison: Annotated[
        Which, typer.Argument(metavar="COMPARISON", help="What is compared.", show_default=False)
    ],
    out_path: Annotated[
        Path | None,
        typer.Option("--out", help="The folder to write.  [default: runs/COMPARISON]"),
    ] = None,
    arenas: Annotated[
        Path | None,
        typer.Option(help=f"A run folder of arenas, with both splits.  [default: {ARENAS}]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help=f"The model that all arms and seeds start from, after SFT.  [default: {MODEL}]"
        ),
    ] = None,
    problems: Annotated[
        Path | None, typer.Option(help="credit: a file of problems, instead of arenas.")
    ] = None,
    size: Annotated[
        SizeName, typer.Option(help="Settings that go together; gpu has never been run by us.")
    ] = "nano",
    seeds: Annotated[str, typer.Option(help="Seeds, with commas between them.")] = "0,1,2",
    arms: Annotated[
        str | None, typer.Option(help="Only these arms, and the baseline; with commas.")
    ] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="credit: also ACPO without one of its parts each.")
    ] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps of a run.")] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Every run ends at so many sampled tokens.")
    ] = None,
    prompts: Annotated[int | None, typer.Option(min=1, help="Groups of a batch.")] = None,
    group: Annotated[int | None, typer.Option(min=2, help="Rollouts of a prompt.")] = None,
    message_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of one message of the policy.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Held-out arenas or problems that are played.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Sampled episodes of each of them.")
    ] = None,
    trained: Annotated[
        bool,
        typer.Option(
            "--trained", help="Also play up to --limit of the arenas that are trained on."
        ),
    ] = False,
    evaluate_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints that are played, too.")
    ] = None,
    per_band: PerBand = None,
    credit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of all arms with acpo."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of TRL's GRPOConfig."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Trials at once; the cores are shared among them.")
    ] = 1,
    sandbox: SandboxLevel = "auto",
    as_json: AsJson = False,
) -> None:
    """Run a comparison: every arm with every seed, then held-out tasks; intervals and curves.

    reward, distractors and filling are ablations of the ASTRA paper, credit compares GRPO, GiGPO
    and ACPO. What is done is on record: the same command goes on where it was stopped, also with
    more seeds or arms. Exit status 1 when a trial broke; it is tried again by the same command.

    \b
    Examples:
      python -m recipes.reproduce reward
      python -m recipes.reproduce reward --arenas runs/world --model runs/sft/final
      python -m recipes.reproduce credit --problems problems.jsonl --model runs/sft/final
      python -m recipes.reproduce filling --seeds 0,1 --out runs/filling
    """
    arenas, model = _material(arenas, model, problems, comparison)
    out_path = out_path or Path("runs") / comparison
    require_training()
    from astra.training.presets.resolve import resolve, with_fitting_micro_batch
    from recipes.problems.player import ProblemRollouts
    from recipes.reproduce.comparisons import COMPARISONS, of_problems
    from recipes.reproduce.rl_trial import RLTrial
    from recipes.reproduce.trials import ParallelTrials, plan, run_trials

    compared, of_size = COMPARISONS[comparison], SIZES[size]
    if problems is not None:
        compared = of_problems(compared)
    config, _ = resolve(
        TrainRLConfig(
            arenas=ProblemRollouts.of_file(problems)
            if arenas is None and problems
            else arenas or "",
            model=model,
            out=out_path,
            preset=of_size.preset,
            batch_size=prompts,
            group_size=group,
            max_steps=steps or of_size.steps,
            max_tokens=message_tokens,
            trl=read_pairs(settings or ()),
            # The credit of all arms with ACPO; `of_arm` leaves it out of the others.
            algorithm="acpo",
            credit=_credit(comparison, steps or of_size.steps, credit or ()),
            distractors_per_band=per_band,
            sandbox=sandbox,
            # Bars of several trials would write over each other.
            progress=not (as_json or workers > 1 or not sys.stderr.isatty()),
        ),
        "rl",
    )
    config = with_fitting_micro_batch(config, 1)
    how = _How(limit or of_size.limit, samples or of_size.samples, trained)
    trial = RLTrial(compared, config, _play(config, problems, how), evaluate_every, tokens)
    names = None if arms is None else [name.strip() for name in arms.split(",")]
    shared = trial.shared(**dataclasses.asdict(how))
    chosen = [
        dataclasses.replace(arm, shared=shared)
        for arm in compared.chosen(names, ablations=ablations)
    ]
    drawn = _seeds(seeds)
    for arm in chosen:
        trial.check(arm)
    trials = plan(chosen, drawn, out_path)
    first = compared.baseline if compared.equal_tokens else None
    parallel = ParallelTrials(workers, partial(_share_cores, workers), first)
    outcomes = run_trials(
        trials,
        trial,
        report=_reporter(len(trials)),
        clean_up=trial.tidy,
        parallel=parallel if workers > 1 else None,
    )
    failures = [failure for planned in trials if (failure := planned.failure())]
    _write_and_print(compared, outcomes, out_path, failures, as_json=as_json)
    if failures:
        raise typer.Exit(1)


# --- what is asked for -----------------------------------------------------------------------


def _material(
    arenas: Path | None, model: str | None, problems: Path | None, comparison: Which
) -> tuple[Path | None, str]:
    """Arenas and model, those of `make demo` where none are given. Raises ConfigError."""
    if problems is not None:
        if arenas is not None or comparison != "credit":
            raise ConfigError(
                "--problems stands in for --arenas, and only credit can be run on them"
            )
        if model is None:
            raise ConfigError("give --model: one that was taught on problems like these")
        return None, model
    taken = [ARENAS] * (arenas is None) + [MODEL] * (model is None)
    if not all(Path(path).exists() for path in taken):
        raise ConfigError(
            "give --arenas and --model, which all arms and seeds start from: `astra arenas make` "
            "and `astra train sft` make them. `make demo` makes both: "
            f"{ARENAS} and {MODEL}"
        )
    return arenas or Path(ARENAS), model or MODEL


def _seeds(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise ConfigError(f"--seeds {text!r}: write numbers, as in 0,1,2") from None


def _credit(comparison: Which, steps: int, typed: Sequence[str]) -> CreditConfig:
    """Options of all arms with ACPO: both phases come about, however short a run is."""
    if comparison == "credit":
        return credit_config(typed, explore_steps=max(1, steps * 5 // 6))
    if typed:
        raise ConfigError(f"--credit {typed[0]!r}: only the comparison 'credit' has settings")
    return CreditConfig()


@dataclasses.dataclass(frozen=True, slots=True)
class _How:
    """How models are played."""

    limit: int
    """Most tasks of a split."""
    samples: int
    trained: bool
    """Whether those that were trained on are played, too."""


def _play(config: TrainRLConfig, problems: Path | None, how: _How) -> Play:
    """Held-out problems, or arenas with banded distractors; sampled as in training."""
    if problems is not None:
        if how.trained:
            raise ConfigError("--trained is of arenas: leave it out with --problems")
        from recipes.problems.play import PlayProblems

        return PlayProblems.of_file(problems, config, limit=how.limit, samples=how.samples)
    return _PlayArenas(config, how)


class _PlayArenas:
    """Plays the same arenas, with the same distractors, for every model."""

    def __init__(self, config: TrainRLConfig, how: _How) -> None:
        from astra.evaluation.models import EvaluationSetup

        assert isinstance(config.arenas, Path)
        sampling = Sampling(temperature=config.temperature, max_tokens=config.max_tokens)
        limits = RolloutLimits(turns=config.max_turns or 1, sampling=sampling)
        self._exam = EvaluationSetup(
            limits, config.max_length, how.samples, config.concurrency or 64
        )
        self._level: Level = config.sandbox
        self._shown: dict[str, ArenaSet] = {}
        splits: dict[Literal["test", "train"], str] = {"test": ""}
        if how.trained:
            splits["train"] = TRAINED
        for split, named in splits.items():
            arenas = load_arenas(config.arenas, split)[: how.limit]
            self._shown[named] = arenas.with_distractors(
                "banded", per_band=config.distractors_per_band
            )

    def __call__(self, model: Path, seed: int) -> dict[str, float]:
        from astra.evaluation.models import examine, figures

        async def main() -> dict[str, float]:
            async with open_sandbox(self._level) as sandbox:
                found: dict[str, float] = {}
                for named, shown in self._shown.items():
                    told = figures(await examine(model, shown, sandbox, self._exam, seed))
                    found |= {named + name: value for name, value in told.items()}
                return found

        return asyncio.run(main())


def _share_cores(workers: int) -> None:
    """In the process of a trial: its threads for sums on the CPU."""
    import torch

    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // workers))


# --- results ---------------------------------------------------------------------------------


def _reporter(total: int) -> Callable[[str], None]:
    """Prints a line per trial on stderr, with the minutes since the start."""
    start = time.monotonic()
    err().print(f"{total} trials; those with an outcome are not run again")

    def report(line: str) -> None:
        minutes = (time.monotonic() - start) / 60
        err().print(plain(f"{minutes:6.1f} min  {line}"), soft_wrap=True)

    return report


def _write_and_print(
    comparison: ArmComparison,
    outcomes: Sequence[TrialOutcome],
    folder: Path,
    failures: Sequence[dict[str, Json]],
    *,
    as_json: bool,
) -> None:
    from recipes.reproduce.summary import table_cells, table_titles, write_summary

    summary = write_summary(outcomes, comparison.baseline, folder, failures)
    folders = [folder]
    ablations = {arm.name for arm in comparison.ablations}
    if any(outcome.arm in ablations for outcome in outcomes):
        folders.append(folder / "ablations")
        compared = [o for o in outcomes if o.arm in {*ablations, comparison.whole}]
        write_summary(compared, comparison.whole, folders[-1])
    files = [
        str(path.relative_to(folder))
        for each in folders
        for path in sorted(each.iterdir())
        if path.suffix in (".json", ".md", ".csv", ".png")
    ]
    if as_json:
        print_json({**summary.model_dump(mode="json"), "folder": str(folder), "files": files})
        return
    table = Table(*table_titles(summary.baseline))
    for measure in (*comparison.headline, TRAINED + comparison.headline[0]):
        for row in summary.rows:
            if row.measure == measure:
                table.add_row(*table_cells(row))
        table.add_section()
    console = out()
    console.print(plain(f"{comparison.about} ({comparison.place})", "bold"))
    console.print(table)
    for failure in failures:
        text = f"no outcome: {failure['arm']}, seed {failure['seed']}: {failure['message']}"
        console.print(plain(text, "red"), soft_wrap=True)
    console.print(plain(f"written to {folder}: {', '.join(files)}"), soft_wrap=True)
