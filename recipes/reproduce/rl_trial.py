"""A trial of RL: a run of its own from the model that all share, then held-out tasks played.

Points come from the run's metrics, and from checkpoints if they are to be played; the final
measurements from playing the final model. Sampled rollouts and tokens are counted, used or not.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from astra.errors import StageError
from astra.runs.folder import RunFolder
from astra.training.checkpoints import checkpoints, step_of
from astra.training.metrics import METRICS, STEP
from astra.training.rl.run import RLJob, check_settings, train_rl
from astra.training.sft.train import CHECKPOINTS
from astra.types import Json
from recipes.reproduce.budget import SAMPLED, TokenBudget
from recipes.reproduce.comparisons import ArmComparison
from recipes.reproduce.trials import (
    OUTCOME,
    Arm,
    MeasurementPoint,
    TrialOutcome,
    TrialResult,
)

RUN = "run"
"""The run folder, in that of the trial."""
GROUPS = "filling/groups"
"""The metric that says how many groups were sampled in a step."""
HELD_OUT = "held_out/"
"""Before the names of measurements from playing checkpoints."""
GENEROUS = 4
"""How many times the baseline's steps a run with a budget of tokens may take."""

Play = Callable[[Path, int], dict[str, float]]
"""Plays held-out tasks with a model folder and a seed; what came of it, by name."""


@dataclass(frozen=True, slots=True)
class RLTrial:
    """A `Trial`: trains as the arm says and measures. Resumes what was stopped."""

    comparison: ArmComparison
    job: RLJob
    """What all arms share; folder, seed and the arm's options are put in."""
    play: Play
    evaluate_every: int | None = None
    """Steps between checkpoints that are played, too; None: only the final model is."""
    tokens: int | None = None
    """Sampled tokens at which every arm stops; None: at the steps of the job's preset, and with
    `equal_tokens` all arms but the baseline at what the baseline has sampled."""

    def __call__(self, arm: Arm, seed: int, folder: Path) -> TrialResult:
        """Raises what training and playing raise; StageError for a budget that is not reached."""
        out = folder / RUN
        budget = self._budget(arm, folder)
        job = self._job(arm, seed, out, budget)
        report = train_rl(job)
        rows = [row for _, row in RunFolder(out).values(METRICS)]
        points = curve(rows, job.preset.group, self.comparison.curves)
        last = next(reversed(points.values()), None)
        if last is None or (budget is not None and last.tokens < budget):
            raise StageError(
                f"{arm.name!r} ended before it had sampled {budget} tokens: give more --steps"
            )
        final = self.play(Path(report.model), seed)
        played = self._played(out, points, seed)
        return TrialResult(
            points=(*points.values(), *played, _held_out(last, final)),
            final=final,
            threads=torch.get_num_threads(),
        )

    def check(self, arm: Arm) -> None:
        """Raise ConfigError for settings that no trial of this arm could begin with."""
        check_settings(of_arm(self.job, {**self.comparison.common, **arm.options}))

    def tidy(self, folder: Path) -> None:
        """Remove the checkpoints of a trial whose outcome is on record; they are heavy."""
        shutil.rmtree(folder / RUN / CHECKPOINTS, ignore_errors=True)

    def shared(self, **more: Json) -> dict[str, Json]:
        """What decides on the outcomes of all arms alike; `more`: how held-out tasks are played."""
        job = self.job
        preset: dict[str, Any] = asdict(job.preset)
        del preset["about"], preset["concurrency"]
        return {
            "arenas": job.arenas and str(job.arenas),
            "environment": job.environment and str(job.environment),
            "model": job.model,
            "credit": list(job.credit),
            "per_band": job.per_band,
            "common": dict(self.comparison.common),
            "evaluate_every": self.evaluate_every,
            "tokens": self.tokens,
            **preset,
            **more,
        }

    # --- parts -----------------------------------------------------------------------------

    def _budget(self, arm: Arm, folder: Path) -> int | None:
        if self.tokens is not None or not self.comparison.equal_tokens:
            return self.tokens
        if arm.name == self.comparison.baseline:
            return None
        path = folder.parent.parent / self.comparison.baseline / folder.name / OUTCOME
        try:
            return TrialOutcome.model_validate_json(path.read_bytes()).points[-1].tokens
        except (OSError, ValidationError, IndexError) as error:
            raise StageError(
                f"{str(path)!r} does not tell how many tokens {self.comparison.baseline!r} "
                f"sampled, which is where {arm.name!r} stops: that arm has to work first"
            ) from error

    def _job(self, arm: Arm, seed: int, out: Path, budget: int | None) -> RLJob:
        job = of_arm(self.job, {**self.comparison.common, **arm.options})
        trl: dict[str, Json] = {**job.preset.trl, "logging_steps": 1}
        if self.evaluate_every is not None:
            trl["save_steps"] = self.evaluate_every
        steps = job.preset.steps * (1 if budget is None else GENEROUS)
        return replace(
            job,
            out=out,
            seed=seed,
            preset=replace(job.preset, trl=trl, steps=steps),
            resume=(out / "config.toml").exists(),
            keep_states=1,
            keep_weights=None if self.evaluate_every is not None else 1,
            callbacks=_callbacks(out, budget),
        )

    def _played(
        self, out: Path, points: Mapping[int, MeasurementPoint], seed: int
    ) -> Iterator[MeasurementPoint]:
        """The model that all start from and the checkpoints, played; the final model is not."""
        if self.evaluate_every is None:
            return
        start = MeasurementPoint(rollouts=0, tokens=0, values={})
        yield _held_out(start, self.play(Path(self.job.model), seed))
        for checkpoint in checkpoints(out / CHECKPOINTS):
            step = step_of(checkpoint)
            if step in points and step != max(points):
                yield _held_out(points[step], self.play(checkpoint, seed))


def _held_out(at: MeasurementPoint, told: Mapping[str, float]) -> MeasurementPoint:
    return at.model_copy(update={"values": {HELD_OUT + name: v for name, v in told.items()}})


def of_arm(job: RLJob, options: Mapping[str, Json]) -> RLJob:
    """The job with an arm's options in it."""
    own: dict[str, Any] = {n: v for n, v in options.items() if not n.startswith("preset.")}
    if "credit" in own:
        # What was asked for all arms of ACPO comes first, for the arm's own wins.
        own["credit"] = (*job.credit, *own["credit"])
    else:
        own["credit"] = ()
    preset: dict[str, Any] = {
        name.removeprefix("preset."): value for name, value in options.items() if name not in own
    }
    return replace(job, **own, preset=replace(job.preset, **preset))


def curve(
    rows: Sequence[Mapping[str, Any]], group: int, names: Sequence[str]
) -> dict[int, MeasurementPoint]:
    """By step a point, from the rows of `metrics.jsonl`; `group`: rollouts of a prompt."""
    points: dict[int, MeasurementPoint] = {}
    rollouts = tokens = 0.0
    for row in rows:
        if GROUPS in row:
            rollouts += row[GROUPS] * group
            tokens += row[SAMPLED]
            values = {name: float(row[name]) for name in names if name in row}
            points[row[STEP]] = MeasurementPoint(
                rollouts=round(rollouts), tokens=round(tokens), values=values
            )
    return points


def _callbacks(out: Path, budget: int | None) -> tuple[Any, ...]:
    return () if budget is None else (TokenBudget(RunFolder(out), budget),)
