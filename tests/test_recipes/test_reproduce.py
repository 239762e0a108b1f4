"""The frame of comparisons: trials that resume, paired intervals, tables and curves."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from astra.errors import ModelUnavailable, StoreError
from astra.types import Json
from recipes.reproduce.summary import markdown, paired, summarize, write_summary
from recipes.reproduce.trials import (
    FAILURE,
    OUTCOME,
    Arm,
    MeasurementPoint,
    ParallelTrials,
    PlannedTrial,
    TrialResult,
    plan,
    run_trials,
)

ARMS = (Arm("grpo"), Arm("acpo", {"alpha": 0.5}))


def failures(trials: Sequence[PlannedTrial]) -> list[dict[str, Json]]:
    return [failure for trial in trials if (failure := trial.failure())]


class Trials:
    """A trial whose result is known; keeps what was run."""

    def __init__(self) -> None:
        self.run: list[tuple[str, int]] = []
        self.breaks: set[tuple[str, int]] = set()

    def __call__(self, arm: Arm, seed: int, folder: Path) -> TrialResult:
        assert folder.is_dir()
        self.run.append((arm.name, seed))
        if (arm.name, seed) in self.breaks:
            raise ModelUnavailable("gone")
        gain = 0.1 if arm.name == "acpo" else 0.0
        points = tuple(
            MeasurementPoint(
                rollouts=8 * step, tokens=80 * step, values={"reward": 0.1 * step + gain}
            )
            for step in range(3)
        )
        return TrialResult(points=points, final={"f1": 0.2 * seed + gain})


def test_every_arm_runs_with_every_seed_once(tmp_path: Path):
    trials = Trials()
    outcomes = run_trials(plan(ARMS, [0, 1], tmp_path), trials)
    assert trials.run == [("grpo", 0), ("acpo", 0), ("grpo", 1), ("acpo", 1)]
    again = run_trials(plan(ARMS, [0, 1], tmp_path), trials)
    assert again == outcomes
    assert len(trials.run) == 4
    run_trials(plan(ARMS, [0, 1, 2], tmp_path), trials)
    assert trials.run[4:] == [("grpo", 2), ("acpo", 2)]


def test_what_breaks_is_told_and_tried_again(tmp_path: Path):
    trials, said = Trials(), []
    trials.breaks = {("acpo", 0)}
    outcomes = run_trials(plan(ARMS, [0, 1], tmp_path), trials, report=said.append)
    assert [(o.arm, o.seed) for o in outcomes] == [("grpo", 0), ("grpo", 1), ("acpo", 1)]
    (failure,) = failures(plan(ARMS, [0, 1], tmp_path))
    assert failure == {"arm": "acpo", "seed": 0, "type": "ModelUnavailable", "message": "gone"}
    assert any("failed: gone" in line for line in said)
    shown = markdown(summarize(outcomes, "grpo", [failure]))
    assert "No outcome: acpo, seed 0" in shown
    trials.breaks = set()
    assert len(run_trials(plan(ARMS, [0, 1], tmp_path), trials)) == 4
    assert not failures(plan(ARMS, [0, 1], tmp_path))


def test_costs_are_kept_and_compared(tmp_path: Path):
    def trial(arm: Arm, seed: int, folder: Path) -> TrialResult:
        seconds = 3.0 if arm.name == "acpo" else 2.0
        return TrialResult(points=(), final={"f1": 0.5}, cost={"step_seconds": seconds})

    outcomes = run_trials(plan(ARMS, [0, 1], tmp_path), trial)
    rows = {(row.measure, row.arm): row for row in summarize(outcomes, "grpo").rows}
    assert rows["cost/step_seconds", "grpo"].value.mean == 2
    difference = rows["cost/step_seconds", "acpo"].difference
    assert difference is not None and difference.mean == 1


def test_other_options_are_another_trial(tmp_path: Path):
    run_trials(plan(ARMS, [0], tmp_path), Trials())
    with pytest.raises(StoreError, match="other options"):
        run_trials(plan([Arm("acpo", {"alpha": 0.1})], [0], tmp_path), Trials())
    (tmp_path / "grpo" / "seed-0" / OUTCOME).write_text("{}")
    with pytest.raises(StoreError, match="not an outcome"):
        run_trials(plan(ARMS, [0], tmp_path), Trials())


class SeparateTrial:
    """A trial that can be sent to a process of its own, and leaves marks of when it ran."""

    def __call__(self, arm: Arm, seed: int, folder: Path) -> TrialResult:
        if arm.name == "broken":
            raise ModelUnavailable("gone")
        if arm.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / "pid").write_text(str(os.getpid()))
        if arm.name == "acpo":
            assert (folder.parent.parent / "grpo" / folder.name / OUTCOME).exists()
        if arm.name == "meets":
            # Ends only when the trial of the other seed has begun.
            other = folder.parent / f"seed-{1 - seed}" / "pid"
            deadline = time.monotonic() + 60
            while not other.exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
        if arm.name == "sleeps":
            time.sleep(600)
        return TrialResult(points=(), final={"f1": float(seed)})


def test_side_by_side_each_in_a_process_of_its_own(tmp_path: Path):
    said: list[str] = []
    arms = [Arm("grpo"), Arm("acpo"), Arm("broken")]
    parallel = ParallelTrials(2, first_arm="grpo")
    outcomes = run_trials(
        plan(arms, [0, 1], tmp_path), SeparateTrial(), report=said.append, parallel=parallel
    )
    assert [(o.arm, o.seed) for o in outcomes] == [
        ("grpo", 0),
        ("acpo", 0),
        ("grpo", 1),
        ("acpo", 1),
    ]
    pids = {path.read_text() for path in tmp_path.glob("*/*/pid")}
    assert len(pids) == 4
    assert str(os.getpid()) not in pids
    assert said.count("broken, seed 0 failed: gone") == 1
    assert len(failures(plan(arms, [0, 1], tmp_path))) == 2


def test_side_by_side_is_at_once(tmp_path: Path):
    outcomes = run_trials(
        plan([Arm("meets")], [0, 1], tmp_path), SeparateTrial(), parallel=ParallelTrials(2)
    )
    assert [outcome.seed for outcome in outcomes] == [0, 1]


def test_side_by_side_says_whose_process_ended(tmp_path: Path):
    said: list[str] = []
    arms = [Arm("killed"), Arm("grpo")]
    outcomes = run_trials(
        plan(arms, [0], tmp_path), SeparateTrial(), report=said.append, parallel=ParallelTrials(2)
    )
    assert [outcome.arm for outcome in outcomes] == ["grpo"]
    assert "killed, seed 0 failed: its process ended with status -9" in said
    assert [failure["arm"] for failure in failures(plan(arms, [0], tmp_path))] == ["killed"]


def test_whatever_a_trial_raises_is_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tidied: list[Path] = []

    def trial(arm: Arm, seed: int, folder: Path) -> TrialResult:
        if seed == 0:
            raise ZeroDivisionError("by nought")
        assert len(tidied) == seed - 1
        return TrialResult(points=(), final={"f1": 1.0})

    outcomes = run_trials(plan([Arm("grpo")], [0, 1, 2], tmp_path), trial, clean_up=tidied.append)
    assert [outcome.seed for outcome in outcomes] == [1, 2]
    (failure,) = failures(plan([Arm("grpo")], [0, 1, 2], tmp_path))
    assert failure["type"] == "ZeroDivisionError"
    assert "by nought" in capsys.readouterr().err
    # A kill between the two writes leaves a reason beside an outcome.
    (tmp_path / "grpo/seed-1" / FAILURE).write_text(json.dumps(failure))
    assert len(failures(plan([Arm("grpo")], [0, 1, 2], tmp_path))) == 1


def test_trials_end_when_the_command_is_killed(tmp_path: Path):
    code = f"""
from pathlib import Path
from tests.test_recipes.test_reproduce import Arm, ParallelTrials, SeparateTrial, plan, run_trials
if __name__ == "__main__":
    trials = plan([Arm("sleeps")], [0], Path({str(tmp_path)!r}))
    run_trials(trials, SeparateTrial(), parallel=ParallelTrials(2))
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, str(script)], env=environment) as command:
        pid = tmp_path / "sleeps" / "seed-0" / "pid"
        try:
            _until(lambda: pid.exists() and bool(pid.read_text()))
        finally:
            command.kill()
    _until(lambda: not Path("/proc", pid.read_text()).exists())


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_differences_are_paired_by_seed(tmp_path: Path):
    trials = Trials()
    trials.breaks = {("grpo", 2)}
    summary = summarize(run_trials(plan(ARMS, range(4), tmp_path), trials), "grpo")
    grpo, acpo = summary.rows
    assert (grpo.arm, grpo.difference) == ("grpo", None)
    assert acpo.difference is not None
    # The seeds differ by far more than the arms do; the pairs all by the same.
    assert acpo.difference.mean == pytest.approx(0.1)
    assert acpo.difference.low == pytest.approx(0.1)
    assert acpo.difference.groups == 3
    assert acpo.value.groups == 4


def test_few_seeds_have_wide_intervals_and_little_power():
    interval, detectable = paired([0.01, 0.03, 0.05])
    # By hand: standard error 0.02/sqrt(3), t of 2 degrees of freedom 4.3027 and 1.0607.
    assert interval is not None
    assert (interval.mean, interval.groups) == (pytest.approx(0.03), 3)
    assert (interval.low, interval.high) == pytest.approx((-0.01968, 0.07968), abs=1e-5)
    assert detectable == pytest.approx(0.06193, abs=1e-5)
    assert paired([]) == (None, None)
    alone, no_power = paired([0.2])
    assert alone is not None
    assert (alone.low, alone.high, no_power) == (0.2, 0.2, None)


def test_what_is_written(tmp_path: Path):
    outcomes = run_trials(plan(ARMS, [0, 1], tmp_path), Trials())
    write_summary(outcomes, "grpo", tmp_path)
    table = (tmp_path / "summary.md").read_text()
    assert "| f1 | acpo | 0.200 [0.100, 0.300] | +0.100 [+0.100, +0.100] | 0.000 | 2 |" in table
    assert json.loads((tmp_path / "summary.json").read_text())["baseline"] == "grpo"
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[-1] == {
        "arm": "acpo",
        "seed": "1",
        "rollouts": "16",
        "tokens": "160",
        "measure": "reward",
        "value": repr(0.1 * 2 + 0.1),
    }
    first = (tmp_path / "reward.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    write_summary(outcomes, "grpo", tmp_path)
    assert (tmp_path / "reward.png").read_bytes() == first
