"""Runs every arm of a comparison with every seed, each once.

A trial is a function that trains and measures in a folder of its own, and resumes by itself. A
trial that raises is recorded with its reason, never counts as a result, and is run again by the
next call. Trials run one after the other, or in parallel with a process for each.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from astra.core.files import write_file
from astra.errors import AstraError, StoreError
from astra.types import Json, Record, content_hash

OUTCOME = "outcome.json"
FAILURE = "failure.json"


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train."""

    name: str
    """Also the name of its folder."""
    options: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """The options that set this arm apart."""
    shared: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Options of all arms, as far as the outcome depends on them."""

    @property
    def hash(self) -> str:
        """Hash of everything that the outcome depends on, except the seed."""
        shared = {"shared": dict(self.shared)} if self.shared else {}
        return content_hash({**self.options, **shared})


class MeasurementPoint(Record):
    """Measurements at one time of a run."""

    rollouts: int
    """Rollouts sampled so far."""
    tokens: int
    """Tokens sampled so far."""
    values: dict[str, float]


class TrialResult(Record):
    """What a trial returns."""

    points: tuple[MeasurementPoint, ...]
    """In the order of time."""
    final: dict[str, float]
    """The measurements that arms are compared by."""
    cost: dict[str, float] = {}
    """What the run took: seconds depend on the machine and on what else it does."""
    threads: int | None = None
    """Threads of the computation. Another number changes rounding."""


class TrialOutcome(TrialResult):
    """A result as it is stored."""

    arm: str
    seed: int
    options: str
    """`Arm.hash`: an arm of the same name with other options is another trial."""
    seconds: float = 0.0
    """Wall time of the last attempt."""


Trial = Callable[[Arm, int, Path], TrialResult]
"""Called with the arm, the seed and the trial's folder."""


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """An arm with a seed, and the folder of both."""

    arm: Arm
    seed: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.arm.name}, seed {self.seed}"

    def outcome(self) -> TrialOutcome | None:
        """The stored outcome. Raises StoreError if it has other options or can't be read."""
        path = self.folder / OUTCOME
        if not path.exists():
            return None
        try:
            outcome = TrialOutcome.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise StoreError(f"{str(path)!r} is not an outcome: {error}") from error
        if outcome.options != self.arm.hash:
            raise StoreError(
                f"{str(path)!r} was measured with other options of arm {self.arm.name!r}: repeat "
                "those, give another --out, or remove that folder"
            )
        return outcome

    def failure(self) -> dict[str, Json] | None:
        """Why the trial has no outcome. None if it has one, or was not run."""
        path = self.folder / FAILURE
        # A kill between the two writes of `attempt` leaves a reason beside an outcome.
        if (self.folder / OUTCOME).exists() or not path.exists():
            return None
        return {"arm": self.arm.name, "seed": self.seed, **json.loads(path.read_text("utf-8"))}

    def fail(self, kind: str, message: str) -> None:
        """Record why there is no outcome."""
        _write(self.folder / FAILURE, {"type": kind, "message": message})

    def attempt(self, trial: Trial) -> None:
        """Run the trial and store its outcome, or why there is none."""
        start = time.monotonic()
        try:
            result = trial(self.arm, self.seed, self.folder)
        except Exception as error:  # noqa: BLE001 - recorded as the reason of this trial
            if not isinstance(error, AstraError):
                traceback.print_exc()
            self.fail(type(error).__name__, str(error))
            return
        outcome = TrialOutcome(
            arm=self.arm.name,
            seed=self.seed,
            options=self.arm.hash,
            points=result.points,
            final=result.final,
            cost=result.cost,
            seconds=round(time.monotonic() - start, 3),
            threads=result.threads,
        )
        _write(self.folder / OUTCOME, outcome.model_dump(mode="json"))
        (self.folder / FAILURE).unlink(missing_ok=True)


def plan(arms: Sequence[Arm], seeds: Sequence[int], folder: Path) -> list[PlannedTrial]:
    """All arms of a seed before the next seed: a run that is stopped has complete pairs."""
    return [
        PlannedTrial(arm, seed, folder / arm.name / f"seed-{seed}")
        for seed in seeds
        for arm in arms
    ]


def run_trials(
    trials: Sequence[PlannedTrial],
    trial: Trial,
    *,
    report: Callable[[str], None] = lambda _: None,
    clean_up: Callable[[Path], None] = lambda _: None,
    parallel: ParallelTrials | None = None,
) -> list[TrialOutcome]:
    """Run the trials that have no outcome; returns the outcomes there are, in their order.

    `report` gets a line per trial, `clean_up` the folder of a trial with an outcome. Raises
    StoreError for an outcome of other options. What a trial raises is recorded as its reason, but
    KeyboardInterrupt ends all.
    """
    pending = [planned for planned in trials if planned.outcome() is None]

    def finish(planned: PlannedTrial) -> None:
        if planned.outcome() is not None:
            clean_up(planned.folder)
        elif (failure := planned.failure()) is not None:
            report(f"{planned} failed: {failure['message']}")

    for planned in trials:
        planned.folder.mkdir(parents=True, exist_ok=True)
        if planned not in pending:
            finish(planned)
    if parallel is None:
        for planned in pending:
            report(str(planned))
            planned.attempt(trial)
            finish(planned)
    else:
        parallel.run(pending, trial, report, finish)
    outcomes = (planned.outcome() for planned in trials)
    return [outcome for outcome in outcomes if outcome is not None]


@dataclass(frozen=True, slots=True)
class ParallelTrials:
    """Runs trials in parallel processes: small models with a core each beat one with all cores."""

    workers: int
    initialize: Callable[[], None] | None = None
    """Called first in each process. It and the trial must pickle."""
    first_arm: str | None = None
    """The arm whose outcome the other arms of the same seed need."""

    def run(
        self,
        trials: Sequence[PlannedTrial],
        trial: Trial,
        report: Callable[[str], None],
        finish: Callable[[PlannedTrial], None],
    ) -> None:
        """Run the trials in order, except that those that wait for an outcome are overtaken."""
        pending = list(trials)
        running: dict[int, tuple[SpawnProcess, PlannedTrial]] = {}
        context = get_context("spawn")
        try:
            while pending or running:
                while len(running) < self.workers and (
                    planned := self._next(pending, [job for _, job in running.values()])
                ):
                    pending.remove(planned)
                    report(str(planned))
                    arguments = (self.initialize, planned, trial)
                    process = context.Process(target=_run_in_process, args=arguments)
                    process.start()
                    running[process.sentinel] = process, planned
                for sentinel in cast("list[int]", wait(list(running))):
                    process, planned = running.pop(sentinel)
                    process.join()
                    if process.exitcode:
                        planned.fail(
                            "StageError", f"its process ended with status {process.exitcode}"
                        )
                    finish(planned)
        finally:
            for process, _ in running.values():
                process.terminate()
                process.join()

    def _next(
        self, pending: Sequence[PlannedTrial], running: Sequence[PlannedTrial]
    ) -> PlannedTrial | None:
        unfinished = {(planned.arm.name, planned.seed) for planned in (*pending, *running)}
        for planned in pending:
            if planned.arm.name == self.first_arm:
                return planned
            if (self.first_arm, planned.seed) not in unfinished:
                return planned
        return None


def _run_in_process(
    initialize: Callable[[], None] | None, planned: PlannedTrial, trial: Trial
) -> None:
    # A terminal sends Ctrl-C to every process of the group; the parent ends its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    if initialize is not None:
        initialize()
    planned.attempt(trial)


def _exit_with_parent() -> None:
    """Wait for the parent to end, however it ends, and end this process."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _write(path: Path, value: Json) -> None:
    write_file(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
