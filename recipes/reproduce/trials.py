"""Runs every arm with every seed, once. What is done is on record and is not done again.

A trial is any function that trains and measures in a folder of its own; it resumes by itself. One
that breaks is recorded with its reason and tried again by the next run of the same command; it
never counts as a result. Trials may run side by side, each in a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import cast

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


class MeasurementPoint(Record):
    """Measurements at one time of a run."""

    rollouts: int
    """Sampled so far."""
    tokens: int
    """Sampled so far."""
    values: dict[str, float]


class TrialOutcome(Record):
    """What a trial came to."""

    arm: str
    seed: int
    options: str
    """`Arm.hash`: another arm of that name is another trial."""
    points: tuple[MeasurementPoint, ...]
    """In the order of time."""
    final: dict[str, float]
    """What is compared."""
    seconds: float = 0.0
    """Wall time, of the last attempt."""
    threads: int | None = None
    """That it was computed with; another number alters rounding."""


class TrialResult(Record):
    """What a trial returns."""

    points: tuple[MeasurementPoint, ...]
    final: dict[str, float]
    threads: int | None = None


Trial = Callable[[Arm, int, Path], TrialResult]


def run_trials(
    arms: Sequence[Arm],
    seeds: Sequence[int],
    folder: Path,
    trial: Trial,
    told: Callable[[str], None] = lambda _: None,
    tidy: Callable[[Path], None] = lambda _: None,
    side: SideBySide | None = None,
) -> list[TrialOutcome]:
    """The outcomes there are, by seed and then by arm; all of a seed's arms run before the next.

    So that a run that is stopped has whole pairs. `told`: is handed a line per trial. `tidy`: is
    handed the folder of a trial once its outcome is on record. Raises StoreError for an outcome of
    other options. Whatever a trial raises is on record as its reason; KeyboardInterrupt ends all.
    """
    jobs = [_Job(arm, seed, folder / arm.name / f"seed-{seed}") for seed in seeds for arm in arms]
    waiting = [job for job in jobs if _done(job.place, job.arm) is None]

    def ended(job: _Job) -> None:
        if _done(job.place, job.arm) is not None:
            tidy(job.place)
        elif (reason := _reason(job.place)) is not None:
            told(f"{job} broke: {reason['message']}")

    for job in jobs:
        job.place.mkdir(parents=True, exist_ok=True)
        if job not in waiting:
            ended(job)
    if side is None:
        for job in waiting:
            told(f"{job}")
            _attempt(job, trial)
            ended(job)
    else:
        side.run(waiting, trial, told, ended)
    found = (_done(job.place, job.arm) for job in jobs)
    return [outcome for outcome in found if outcome is not None]


@dataclass(frozen=True, slots=True)
class _Job:
    arm: Arm
    seed: int
    place: Path

    def __str__(self) -> str:
        return f"{self.arm.name}, seed {self.seed}"


def _attempt(job: _Job, trial: Trial) -> None:
    """Leaves an outcome, or the reason why there is none."""
    started = time.monotonic()
    try:
        measured = trial(job.arm, job.seed, job.place)
    except Exception as error:  # noqa: BLE001 - one trial's, and on record
        if not isinstance(error, AstraError):
            traceback.print_exc()
        _write(job.place / BROKEN, {"type": type(error).__name__, "message": str(error)})
        return
    outcome = TrialOutcome(
        arm=job.arm.name,
        seed=job.seed,
        options=job.arm.hash,
        points=measured.points,
        final=measured.final,
        seconds=round(time.monotonic() - started, 3),
        threads=measured.threads,
    )
    _write(job.place / OUTCOME, outcome.model_dump(mode="json"))
    (job.place / BROKEN).unlink(missing_ok=True)


def _reason(place: Path) -> dict[str, Json] | None:
    """Why a trial has no outcome, if it broke."""
    path = place / BROKEN
    if (place / OUTCOME).exists() or not path.exists():
        return None
    return json.loads(path.read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Trials at once, each in a process of its own: several with a core each beat one with all."""

    workers: int
    begin: Callable[[], None] | None = None
    """Is called first in each process, which is sent it and the trial (both have to pickle)."""
    first: str | None = None
    """The arm without whose outcome no other arm of its seed can start."""

    def run(
        self,
        jobs: Sequence[_Job],
        trial: Trial,
        told: Callable[[str], None],
        ended: Callable[[_Job], None],
    ) -> None:
        """Run the jobs in their order, as far as they don't wait for one."""
        waiting, running = list(jobs), dict[int, tuple[SpawnProcess, _Job]]()
        context = get_context("spawn")
        try:
            while waiting or running:
                while len(running) < self.workers and (job := self._next(waiting, running)):
                    waiting.remove(job)
                    told(f"{job}")
                    process = context.Process(target=_apart, args=(self.begin, job, trial))
                    process.start()
                    running[process.sentinel] = process, job
                for sentinel in cast("list[int]", wait(list(running))):
                    process, job = running.pop(sentinel)
                    process.join()
                    if process.exitcode:
                        message = f"its process ended with status {process.exitcode}"
                        _write(job.place / BROKEN, {"type": "StageError", "message": message})
                    ended(job)
        finally:
            for process, _ in running.values():
                process.terminate()
                process.join()

    def _next(
        self, waiting: Sequence[_Job], running: Mapping[int, tuple[SpawnProcess, _Job]]
    ) -> _Job | None:
        unfinished = {(job.arm.name, job.seed) for job in waiting}
        unfinished |= {(job.arm.name, job.seed) for _, job in running.values()}
        for job in waiting:
            if job.arm.name == self.first or (self.first, job.seed) not in unfinished:
                return job
        return None


def _apart(begin: Callable[[], None] | None, job: _Job, trial: Trial) -> None:
    """The process of a trial. It ends with the command, also when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the command ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin()
    _attempt(job, trial)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _done(place: Path, arm: Arm) -> TrialOutcome | None:
    """The outcome on record; StoreError when it is of other options, or can't be read."""
    path = place / OUTCOME
    if not path.exists():
        return None
    try:
        outcome = TrialOutcome.model_validate_json(path.read_bytes())
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
            reason = _reason(folder / arm.name / f"seed-{seed}")
            if reason is not None:
                yield {"arm": arm.name, "seed": seed, **reason}


def _write(path: Path, value: Json) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")
    os.replace(temporary, path)
