"""The command: arms × seeds of a comparison, from one arena folder and one model."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from rich.table import Table

from astra.arenas.sets import ArenaSet, DistractorSource, load_arenas
from astra.cli.command import command_from
from astra.cli.console import err, out, plain, print_json
from astra.configs.base import SandboxConfig, at_least, at_most
from astra.configs.training import CreditConfig, TrainRLConfig
from astra.errors import ConfigError, StageError
from astra.evaluation.arenas import EvaluationSummary, conversations, play, tallied
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import open_sandbox
from astra.training.requirements import require_training
from astra.types import Json
from recipes.command_line import Recipe

if TYPE_CHECKING:
    from recipes.reproduce.comparisons import ArmComparison
    from recipes.reproduce.rl_trial import Play
    from recipes.reproduce.trials import TrialOutcome

ARENAS, MODEL = Path("runs/loop/arenas"), Path("runs/loop/sft/final")
"""Outputs of `make demo`."""
MEASURES = ("recall", "precision", "solved", "answer_correct", "turns", "calls", "failure_rate")
"""Means of an evaluation that are measured beside F1."""
TRAINED = "trained/"
"""Prefix of measurements on arenas of split train."""
GREEDY = "greedy/"
"""Prefix of measurements on held-out tasks of one episode each, at temperature 0."""


class ReproductionSize(NamedTuple):
    """Values of options that are not given."""

    preset: str
    max_steps: int
    limit: int


SIZES = {
    "nano": ReproductionSize("nano", max_steps=60, limit=60),
    "gpu": ReproductionSize("h200", max_steps=200, limit=200),
}


@dataclass(frozen=True)
class ReproduceConfig(SandboxConfig):
    """Comparison."""

    comparison: Literal["reward", "distractors", "filling", "credit"]
    """What is compared."""
    _: KW_ONLY
    arenas: Path | str | None = None
    """Run folder of arenas with both splits. None: runs/loop/arenas, of the demo."""
    model: str | Path | None = None
    """Model that all trials start from, after SFT. None: runs/loop/sft/final, of the demo."""
    problems: Path | str | None = None
    """File of problems instead of arenas, for the comparison credit."""
    out: Path | str | None = None
    """Folder to write. None: runs/COMPARISON."""
    size: Literal["nano", "gpu"] = "nano"
    """Values for options not given. gpu has not been tried."""
    preset: Path | str | None = None
    """Values of training for options not given: a preset, or a TOML file. None: of --size."""
    seeds: Sequence[str] = ("0", "1", "2")
    """Seeds of each arm."""
    arms: Sequence[str] | None = None
    """Run only these arms and the baseline. None: all but those that have to be named."""
    ablations: bool = False
    """Add ACPO without one of its parts each, for the comparison credit."""
    max_steps: Annotated[int | None, at_least(1)] = None
    """Optimizer steps. None: 60 (nano), 200 (gpu)."""
    max_sampled_tokens: Annotated[int | None, at_least(1)] = None
    """End every run at this many sampled tokens. None: at --max-steps."""
    batch_size: Annotated[int | None, at_least(1)] = None
    """Arenas per optimizer step. Each is played --group-size times. None: preset."""
    group_size: Annotated[int | None, at_least(2)] = None
    """Episodes per arena and step (G). None: preset."""
    max_tokens: Annotated[int | None, at_least(1)] = None
    """Maximum tokens of one assistant message. None: preset."""
    limit: Annotated[int | None, at_least(1)] = None
    """Evaluate on the first held-out arenas or problems. None: 60 (nano), 200 (gpu)."""
    samples: Annotated[int | None, at_least(1)] = None
    """Sampled episodes per held-out arena or problem. None: 4."""
    trained: bool = False
    """Evaluate on --limit arenas of split train, too."""
    evaluate_every: Annotated[int | None, at_least(1)] = None
    """Steps between checkpoints that are evaluated, too. None: only the final model is."""
    distractors_per_band: Annotated[int | None, at_least(0), at_most(20)] = None
    """Maximum distractors per similarity band. None: as the arenas were made."""
    credit: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Options of credit assignment, of all arms that have them: alpha=0.5, step_weight=0.5."""
    trl: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further options of TRL's trainer config: adam_beta2=0.95."""
    workers: Annotated[int, at_least(1)] = 1
    """Trials at the same time. They share the cores."""


@command_from(
    ReproduceConfig,
    examples=[
        "python -m recipes.reproduce reward --arenas runs/world --model runs/sft/final",
        "python -m recipes.reproduce credit --problems problems.jsonl --model runs/sft/final",
        "python -m recipes.reproduce filling --seeds 0,1 --out runs/filling",
        "python -m recipes.reproduce credit --arms gigpo,hgpo,counterfactual",
    ],
)
def command(config: ReproduceConfig, *, as_json: bool) -> int:
    """Train every arm of a comparison with every seed, and evaluate on held-out tasks.

    reward, distractors and filling are ablations of the ASTRA paper; credit compares algorithms:
    GRPO, GiGPO, ACPO and, if named, the others. Trials with an outcome are not run again: the same
    command resumes, also with more seeds or arms. Exit status 1 if a trial failed; the same command
    tries it again.
    """
    require_training()
    from astra.training.presets.resolve import resolve, with_fitting_micro_batch
    from recipes.problems.player import ProblemRollouts
    from recipes.reproduce.comparisons import COMPARISONS, of_problems
    from recipes.reproduce.rl_trial import RLTrial
    from recipes.reproduce.trials import ParallelTrials, plan, run_trials

    arenas, model = arenas_and_model(config)
    folder = Path(config.out or Path("runs") / config.comparison)
    comparison, size = COMPARISONS[config.comparison], SIZES[config.size]
    problems = None if config.problems is None else Path(config.problems)
    if problems is not None:
        comparison = of_problems(comparison)
    max_steps = config.max_steps or size.max_steps
    training, _ = resolve(
        TrainRLConfig(
            arenas=ProblemRollouts.of_file(problems) if problems else arenas,
            model=model,
            out=folder,
            preset=config.preset or size.preset,
            batch_size=config.batch_size,
            group_size=config.group_size,
            max_steps=max_steps,
            max_tokens=config.max_tokens,
            trl=config.trl,
            # The credit of all arms; `of_arm` leaves ACPO's further options out of the others.
            algorithm="acpo",
            credit=_credit(config, max_steps),
            distractors_per_band=config.distractors_per_band,
            sandbox=config.sandbox,
            # Bars of several trials would write over each other.
            progress=not (as_json or config.workers > 1 or not sys.stderr.isatty()),
        ),
        "rl",
    )
    training = with_fitting_micro_batch(training, 1)
    evaluation = _Evaluation(
        config.limit or size.limit, config.samples or 4, config.trained, comparison.played_with
    )
    play: Play
    if problems is None:
        play = _ArenaEvaluation(training, evaluation)
    elif evaluation.trained:
        raise ConfigError("--trained is for arenas: leave it out with --problems")
    else:
        from recipes.problems.play import PlayProblems

        play = PlayProblems.of_file(
            problems, training, limit=evaluation.limit, samples=evaluation.samples
        )
    trial = RLTrial(comparison, training, play, config.evaluate_every, config.max_sampled_tokens)
    # `greedy`: an outcome without it would leave holes in the table.
    shared = trial.shared(**evaluation._asdict(), greedy=True)
    arms = [
        replace(arm, shared=shared)
        for arm in comparison.chosen(config.arms, ablations=config.ablations)
    ]
    for arm in arms:
        trial.check(arm)
    try:
        seeds = list(dict.fromkeys(map(int, config.seeds)))
    except ValueError:
        texts = ",".join(config.seeds)
        raise ConfigError(f"--seeds {texts!r}: write numbers, as in 0,1,2") from None
    trials = plan(arms, seeds, folder)
    first_arm = comparison.baseline if comparison.equal_tokens else None
    parallel = ParallelTrials(config.workers, partial(_share_cores, config.workers), first_arm)
    outcomes = run_trials(
        trials,
        trial,
        report=_reporter(len(trials)),
        clean_up=trial.tidy,
        parallel=parallel if config.workers > 1 else None,
    )
    failures = [failure for planned in trials if (failure := planned.failure())]
    _write_and_print(comparison, outcomes, folder, failures, as_json=as_json)
    return 1 if failures else 0


main = Recipe("python -m recipes.reproduce", command)


# --- options -----------------------------------------------------------------------------------


def arenas_and_model(config: ReproduceConfig) -> tuple[Path, str]:
    """Arenas and model, those of `make demo` by default. Raises ConfigError if they are missing."""
    if config.problems is not None:
        if config.arenas is not None or config.comparison != "credit":
            raise ConfigError("--problems replaces --arenas, for the comparison 'credit' only")
        if config.model is None:
            raise ConfigError("give --model: one that was taught on problems like these")
        return Path(), str(config.model)
    defaults = [ARENAS] * (config.arenas is None) + [MODEL] * (config.model is None)
    if not all(path.exists() for path in defaults):
        raise ConfigError(
            "give --arenas and --model, which all arms and seeds start from: `astra arenas make` "
            f"and `astra train sft` make them, `make demo` makes both ({ARENAS}, {MODEL})"
        )
    return Path(config.arenas or ARENAS), str(config.model or MODEL)


def _credit(config: ReproduceConfig, max_steps: int) -> CreditConfig:
    """Options of all arms. ACPO has both phases however short a run is."""
    if config.comparison != "credit":
        if config.credit:
            name = next(iter(config.credit))
            raise ConfigError(f"--credit {name!r}: only the comparison 'credit' has these options")
        return CreditConfig()
    names = {field.name for field in fields(CreditConfig)}
    values: dict[str, Any] = {"explore_steps": max(1, max_steps * 5 // 6)}
    options: dict[str, Any] = {}
    for name, value in config.credit.items():
        if name in names:
            values[name] = None if value == "none" else value
        else:
            options[name] = value
    return CreditConfig(**values, options=options)


# --- evaluation --------------------------------------------------------------------------------


class _Evaluation(NamedTuple):
    limit: int
    samples: int
    trained: bool
    distractors: DistractorSource


class _ArenaEvaluation:
    """A `Play`: the same arenas, with the same distractors, for every model; sampled and greedy.

    `astra.evaluate` has one seed for both; here the distractors stay while the episodes' seed
    changes with the trial.
    """

    def __init__(self, config: TrainRLConfig, evaluation: _Evaluation) -> None:
        assert isinstance(config.arenas, Path)
        self._config = config
        self._samples = evaluation.samples
        self._arenas: dict[str, ArenaSet] = {}
        splits: dict[str, Literal["test", "train"]] = {"": "test"}
        if evaluation.trained:
            splits[TRAINED] = "train"
        for prefix, split in splits.items():
            arenas = load_arenas(config.arenas, split)[: evaluation.limit]
            self._arenas[prefix] = arenas.with_distractors(
                evaluation.distractors, per_band=config.distractors_per_band
            )
        self._arenas[GREEDY] = self._arenas[""]

    def __call__(self, model: Path, seed: int) -> dict[str, float]:
        from astra.engines.local import LocalModel

        async def evaluate() -> dict[str, float]:
            means: dict[str, float] = {}
            async with open_sandbox(self._config.sandbox) as sandbox:
                for prefix, arenas in self._arenas.items():
                    greedy = prefix == GREEDY
                    sampling = Sampling(
                        temperature=0.0 if greedy else self._config.temperature,
                        max_tokens=self._config.max_tokens,
                    )
                    local = LocalModel(model, max_length=self._config.max_length)
                    episodes = play(
                        arenas,
                        conversations(local, seed),
                        sandbox,
                        RolloutLimits(turns=self._config.max_turns or 1, sampling=sampling),
                        samples=1 if greedy else self._samples,
                        seed=seed,
                        concurrency=self._config.concurrency or 64,
                        in_waves=True,
                    )
                    summary = await tallied(episodes, seed)
                    means |= {prefix + name: mean for name, mean in _means(summary).items()}
            return means

        return asyncio.run(evaluate())


def _means(summary: EvaluationSummary) -> dict[str, float]:
    """The means of an evaluation by name. Raises StageError if no episode could be scored."""
    if summary.f1 is None:
        raise StageError(f"no episode could be scored: {next(iter(summary.errors), 'none played')}")
    return {"f1": summary.f1.mean, **{name: getattr(summary, name) for name in MEASURES}}


def _share_cores(workers: int) -> None:
    """Set the threads of a trial's process."""
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
    from recipes.reproduce.summary import COST, table_cells, table_titles, write_summary

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
    first = comparison.headline[0]
    costs = (f"{COST}{name}" for name in ("sampled_tokens", "step_seconds", "credit_seconds"))
    for measure in (first, GREEDY + first, TRAINED + first, *comparison.headline[1:], *costs):
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
