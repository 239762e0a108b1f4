"""Runs every arm with every seed, once. What is done is on record and is not done again.

A trial is any function that trains and measures in a folder of its own; it resumes by itself. One
that breaks is recorded with its reason and tried again by the next run of the same command; it
never counts as a result.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from astra.errors import AstraError, StoreError
from astra.types import Json, Record, content_hash

OUTCOME = "outcome.json"
BROKEN = "broken.json"


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train, and how it differs from the others."""

    name: str
    """Also the name of its folder."""
    options: Mapping[str, Json] = field(default_factory=dict[str, Json])
    shared: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """What all arms of the comparison have in common, as far as it decides on the outcome."""

    @property
    def hash(self) -> str:
        """Of everything that decides on the outcome, but the seed."""
        shared = {"shared": dict(self.shared)} if self.shared else {}
        return content_hash({**self.options, **shared})


class Point(Record):
    """Measurements at one time of a run."""

    rollouts: int
    """Sampled so far."""
    tokens: int
    """Sampled so far."""
    values: dict[str, float]


class Outcome(Record):
    """What a trial came to."""

    arm: str
    seed: int
    options: str
    """`Arm.hash`: another arm of that name is another trial."""
    points: tuple[Point, ...]
    """In the order of time."""
    final: dict[str, float]
    """What is compared."""
    seconds: float = 0.0
    """Wall time, of the last attempt."""


class Measured(Record):
    """What a trial returns."""

    points: tuple[Point, ...]
    final: dict[str, float]


Trial = Callable[[Arm, int, Path], Measured]


def run_trials(
    arms: Sequence[Arm],
    seeds: Sequence[int],
    folder: Path,
    trial: Trial,
    told: Callable[[str], None] = lambda _: None,
    tidy: Callable[[Path], None] = lambda _: None,
) -> list[Outcome]:
    """The outcomes there are, by seed and then by arm; all of a seed's arms run before the next.

    So that a run that is stopped has whole pairs. `told`: is handed a line per trial. `tidy`: is
    handed the folder of a trial once its outcome is on record.
    """
    found: list[Outcome] = []
    for seed in seeds:
        for arm in arms:
            place = folder / arm.name / f"seed-{seed}"
            outcome = _done(place, arm)
            if outcome is None:
                told(f"{arm.name}, seed {seed}")
                outcome = _attempt(arm, seed, place, trial, told)
            if outcome is not None:
                tidy(place)
                found.append(outcome)
    return found


def _attempt(
    arm: Arm, seed: int, place: Path, trial: Trial, told: Callable[[str], None]
) -> Outcome | None:
    place.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    try:
        measured = trial(arm, seed, place)
    except AstraError as error:
        _write(place / BROKEN, {"type": type(error).__name__, "message": str(error)})
        told(f"{arm.name}, seed {seed} broke: {error}")
        return None
    outcome = Outcome(
        arm=arm.name,
        seed=seed,
        options=arm.hash,
        points=measured.points,
        final=measured.final,
        seconds=round(time.monotonic() - started, 3),
    )
    _write(place / OUTCOME, outcome.model_dump(mode="json"))
    (place / BROKEN).unlink(missing_ok=True)
    return outcome


def _done(place: Path, arm: Arm) -> Outcome | None:
    """The outcome on record; StoreError when it is of other options, or can't be read."""
    path = place / OUTCOME
    if not path.exists():
        return None
    try:
        outcome = Outcome.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise StoreError(f"{str(path)!r} is no outcome: {error}") from error
    if outcome.options != arm.hash:
        raise StoreError(
            f"{str(path)!r} was measured with other options of arm {arm.name!r}: type what was "
            "typed then, give another --out, or remove that folder"
        )
    return outcome


def broken(arms: Sequence[Arm], seeds: Sequence[int], folder: Path) -> Iterator[dict[str, Json]]:
    """The trials that broke and have no outcome, each with its reason."""
    for seed in seeds:
        for arm in arms:
            path = folder / arm.name / f"seed-{seed}" / BROKEN
            if path.exists():
                yield {"arm": arm.name, "seed": seed, **json.loads(path.read_text("utf-8"))}


def _write(path: Path, value: Json) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")
    os.replace(temporary, path)
