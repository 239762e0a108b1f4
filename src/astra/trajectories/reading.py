"""Rollouts and judgements of a run folder, each once."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from astra.runs.folder import RunFolder
from astra.runs.repetitions import unique_rows
from astra.trajectories.records import Judgement, RecordedRollout

ROLLOUTS = "rollouts"
JUDGEMENTS = "judgements"


def read_rollouts(folder: RunFolder) -> Iterator[RecordedRollout]:
    """The rollouts in their order. Repeated lines are left out and told."""
    return unique_rows(folder, ROLLOUTS, RecordedRollout, attrgetter("id"))


def read_judgements(folder: RunFolder, name: str = JUDGEMENTS) -> Iterator[Judgement]:
    """The judgements of a file, as above."""
    return unique_rows(folder, name, Judgement, attrgetter("rollout"))
