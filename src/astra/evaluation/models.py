"""A model of this machine on a folder's arenas, in one call; nothing is kept but the report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from astra.arenas.showing import Distractors, Show
from astra.engines.loading import load_engine
from astra.errors import ConfigError, StageError
from astra.evaluation.arenas import Report, Shown, Tally
from astra.evaluation.local import play_in_waves
from astra.models.embed_tfidf import TfidfEmbedder
from astra.ports import Sandbox
from astra.rollout import RolloutLimits


@dataclass(frozen=True, slots=True)
class Exam:
    """What is played, and how."""

    limits: RolloutLimits
    context: int | None
    """Most tokens of an episode."""
    samples: int
    """Episodes of an arena."""
    wave: int = 64
    """Episodes at once, about."""


async def shown_arenas(
    run: Path,
    distractors: Distractors,
    *,
    split: Literal["train", "test"] = "test",
    limit: int | None = None,
    per_band: int | None = None,
    seed: int = 0,
) -> list[Shown]:
    """The first arenas of a split, with the distractors that each is shown with.

    Raises ConfigError where there are none.
    """
    show = await Show.of_folder(
        run, split, distractors, TfidfEmbedder(), seed=seed, per_band=per_band
    )
    shown = [show.at(name, 0) for name in islice(show.arenas, limit)]
    if not shown:
        raise ConfigError(f"{str(run)!r} holds no arenas of split {split!r}: make some")
    return shown


async def examine(
    model: Path, shown: Sequence[Shown], sandbox: Sandbox, exam: Exam, seed: int
) -> Report:
    """Play and report. Raises ConfigError for no model, StageError where nothing works."""
    engine = load_engine(str(model), context=exam.context)
    tally = Tally()
    episodes = play_in_waves(
        shown,
        engine,
        sandbox,
        exam.limits,
        samples=exam.samples,
        seed=seed,
        wave=exam.wave,
    )
    async with aclosing(episodes):
        async for arena, episode in episodes:
            if tally.hopeless:
                raise StageError(f"stopped: no episode worked; {tally.error}")
            tally.add(arena, episode)
    return tally.report(seed)


MEASURES = ("recall", "precision", "solved", "answer_correct", "turns", "calls")


def figures(report: Report) -> dict[str, float]:
    """The means of a report by name. Raises StageError when no episode could be scored."""
    if report.f1 is None:
        raise StageError(f"no episode could be scored: {next(iter(report.errors), 'none played')}")
    means = {name: getattr(report, name) for name in MEASURES}
    return {"f1": report.f1.mean, **means, "failure_rate": report.failure_rate}
