"""A trial of RL: a run from the model that all trials share, then an evaluation on held-out tasks.

Points of the curve come from the run's metrics, and from checkpoints with `evaluate_every`. The
final measurements come from the final model. All sampled rollouts and tokens are counted, also
those that were not trained on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from astra.configs.base import identity
from astra.configs.training import CreditConfig, TrainRLConfig
from astra.errors import StageError
from astra.runs.folder import RunFolder
from astra.training.checkpoints import checkpoints, step_of
from astra.training.credit.options import acpo_settings
from astra.training.final_model import CHECKPOINTS
from astra.training.metrics import METRICS, STEP
from astra.training.rl.train import train_rl, trl_config
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
"""The run folder, in the trial's folder."""
GROUPS = "filling/groups"
"""Metric: number of groups sampled in a step."""
HELD_OUT = "held_out/"
"""Prefix of measurements on held-out tasks."""
BUDGET_STEPS = 4
"""Steps that a run with a budget of tokens may take, in multiples of the baseline's."""

Play = Callable[[Path, int], dict[str, float]]
"""Evaluates a model folder on held-out tasks with a seed. Returns measurements by name."""


@dataclass(frozen=True, slots=True)
class RLTrial:
    """A `Trial` that trains an arm and measures it. Resumes a stopped run."""

    comparison: ArmComparison
    config: TrainRLConfig
    """Resolved options that all arms share. Folder, seed and the arm's options are added."""
    play: Play
    evaluate_every: int | None = None
    """Steps between checkpoints that are evaluated, too. None: only the final model is."""
    tokens: int | None = None
    """Sampled tokens at which every arm stops. None: arms stop at `max_steps`, but with
    `equal_tokens` all except the baseline stop at the baseline's sampled tokens."""

    def __call__(self, arm: Arm, seed: int, folder: Path) -> TrialResult:
        """Raises errors of training and evaluation, and StageError if the budget is not reached."""
        out = folder / RUN
        budget = self._budget(arm, folder)
        config = self._trial_config(arm, seed, out, budget)
        limits = [] if budget is None else [TokenBudget(RunFolder(out), budget)]
        result = train_rl(config, callbacks=limits)
        rows = [row for _, row in RunFolder(out).values(METRICS)]
        points = curve(rows, config.group_size or 1, self.comparison.curves)
        last = next(reversed(points.values()), None)
        if last is None or (budget is not None and last.tokens < budget):
            raise StageError(
                f"{arm.name!r} ended before it had sampled {budget} tokens: give more --steps"
            )
        final = self.play(result.model, seed)
        played = self._played(out, points, seed)
        return TrialResult(
            points=(*points.values(), *played, _held_out(last, final)),
            final=final,
            cost=costs(rows, last),
            threads=torch.get_num_threads(),
        )

    def check(self, arm: Arm) -> None:
        """Raise ConfigError if this arm's options can't be trained with."""
        config = of_arm(self.config, {**self.comparison.common, **arm.options})
        trl_config(config, 1)
        if config.algorithm == "acpo":
            acpo_settings(config.credit)

    def tidy(self, folder: Path) -> None:
        """Remove the checkpoints of a trial with an outcome, to save space."""
        shutil.rmtree(folder / RUN / CHECKPOINTS, ignore_errors=True)

    def shared(self, **more: Json) -> dict[str, Json]:
        """Options that the outcomes of all arms depend on. `more`: those of the evaluation."""
        shared = identity(self.config)
        # The arms and the seed set these.
        for name in ("seed", "algorithm", "reward", "distractors"):
            del shared[name]
        return {
            **shared,
            "common": dict(self.comparison.common),
            "evaluate_every": self.evaluate_every,
            "tokens": self.tokens,
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
                f"{str(path)!r} does not hold the number of tokens that "
                f"{self.comparison.baseline!r} sampled, at which {arm.name!r} stops: run that arm "
                "first"
            ) from error

    def _trial_config(self, arm: Arm, seed: int, out: Path, budget: int | None) -> TrainRLConfig:
        config = of_arm(self.config, {**self.comparison.common, **arm.options})
        steps = (config.max_steps or 1) * (1 if budget is None else BUDGET_STEPS)
        return replace(
            config,
            out=out,
            seed=seed,
            max_steps=steps,
            save_every=self.evaluate_every or config.save_every,
            trl={**config.trl, "logging_steps": 1},
            keep_resumable=1,
            keep_checkpoints=None if self.evaluate_every is not None else 1,
        )

    def _played(
        self, out: Path, points: Mapping[int, MeasurementPoint], seed: int
    ) -> Iterator[MeasurementPoint]:
        """Evaluations of the start model and of the checkpoints, without the final model."""
        if self.evaluate_every is None:
            return
        start = MeasurementPoint(rollouts=0, tokens=0, values={})
        yield _held_out(start, self.play(Path(str(self.config.model)), seed))
        for checkpoint in checkpoints(out / CHECKPOINTS):
            step = step_of(checkpoint)
            if step in points and step != max(points):
                yield _held_out(points[step], self.play(checkpoint, seed))


def _held_out(at: MeasurementPoint, means: Mapping[str, float]) -> MeasurementPoint:
    return at.model_copy(update={"values": {HELD_OUT + name: v for name, v in means.items()}})


def of_arm(config: TrainRLConfig, options: Mapping[str, Json]) -> TrainRLConfig:
    """The options of a run, with those of an arm. An arm that names no algorithm has GRPO."""
    own: dict[str, Any] = {"algorithm": "grpo", **options}
    # Options that all arms share hold for those that have them; the arm's own win.
    shared: dict[str, Any] = {f.name: getattr(config.credit, f.name) for f in fields(config.credit)}
    nested: Any = own.pop("credit", {})
    merged = {**shared["options"], **nested.get("options", {})}
    further = merged if own["algorithm"] == "acpo" else {}
    credit: dict[str, Any] = {**shared, **nested, "options": further}
    return replace(config, **own, credit=CreditConfig(**credit))


def curve(
    rows: Sequence[Mapping[str, Any]], group: int, names: Sequence[str]
) -> dict[int, MeasurementPoint]:
    """A point per step, from the rows of `metrics.jsonl`. `group`: rollouts per prompt."""
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


def costs(rows: Sequence[Mapping[str, Any]], last: MeasurementPoint) -> dict[str, float]:
    """What a run took, from the rows of `metrics.jsonl` and its last point.

    All that was sampled; wall time of a step and, of algorithms that log it, of its credit.
    """
    found = {"rollouts": float(last.rollouts), "sampled_tokens": float(last.tokens)}
    for name, metric in (("step_seconds", "step_time"), ("credit_seconds", "/credit/seconds")):
        logged = [value for row in rows for key, value in row.items() if key.endswith(metric)]
        if logged:
            found[name] = sum(logged) / len(logged)
    return found
