"""A local model on arenas, in one call. Only the summary is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from astra.engines.local import LocalModel
from astra.errors import StageError
from astra.evaluation.arenas import EvaluationSummary, tallied
from astra.evaluation.local import play_in_waves
from astra.protocols import Sandbox
from astra.rollouts.loop import RolloutLimits
from astra.types import Arena


@dataclass(frozen=True, slots=True)
class EvaluationSetup:
    """What is played, and how."""

    limits: RolloutLimits
    context: int | None
    """Most tokens of an episode."""
    samples: int
    """Episodes of an arena."""
    wave: int = 64
    """Episodes at once, about."""


async def examine(
    model: Path,
    arenas: Iterable[Arena],
    sandbox: Sandbox,
    exam: EvaluationSetup,
    seed: int,
) -> EvaluationSummary:
    """Play and report. Raises ConfigError for no model, StageError where nothing works."""
    episodes = play_in_waves(
        arenas,
        LocalModel(model, max_length=exam.context),
        sandbox,
        exam.limits,
        samples=exam.samples,
        seed=seed,
        wave=exam.wave,
    )
    return await tallied(episodes, seed)


MEASURES = ("recall", "precision", "solved", "answer_correct", "turns", "calls")


def figures(report: EvaluationSummary) -> dict[str, float]:
    """The means of a report by name. Raises StageError when no episode could be scored."""
    if report.f1 is None:
        raise StageError(f"no episode could be scored: {next(iter(report.errors), 'none played')}")
    means = {name: getattr(report, name) for name in MEASURES}
    return {"f1": report.f1.mean, **means, "failure_rate": report.failure_rate}
