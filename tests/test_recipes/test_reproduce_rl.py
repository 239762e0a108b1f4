"""`recipes.reproduce` on toy arenas: arms and seeds, stored outcomes, equal tokens, failures."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.configs.training import CreditConfig, TrainRLConfig
from astra.errors import ConfigError, StageError
from astra.evaluation.arenas import play
from astra.runs.folder import RunFolder
from astra.training.credit.options import acpo_settings
from recipes.reproduce import command as command_module
from recipes.reproduce import rl_trial
from recipes.reproduce.__main__ import main as reproduce_main
from recipes.reproduce.budget import TokenBudget
from recipes.reproduce.command import ReproduceConfig, arenas_and_model
from recipes.reproduce.comparisons import COMPARISONS, ArmComparison, of_problems
from recipes.reproduce.rl_trial import costs, curve, of_arm
from recipes.reproduce.trials import MeasurementPoint, ParallelTrials

CREDIT = COMPARISONS["credit"]


def reproduce(name: str, model: Path, out: Path, *more: str) -> int:
    small = ["--batch-size", "2", "--group-size", "4", "--limit", "2", "--samples", "1"]
    where = ["--model", str(model), "--out", str(out), "--json"]
    return reproduce_main([name, *where, *small, *more])


@pytest.mark.slow
def test_arms_by_seeds_and_what_is_on_record_is_not_run_again(
    world: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "reward"
    command = ("reward", model, out, "--arenas", str(world), "--arms", "recall", "--seeds", "0,1")
    often = ("--evaluate-every", "1", "--trained")
    seen: list[set[str]] = []

    def watched(arenas: Any, *args: Any, **options: Any) -> Any:
        seen.append({arena.split for arena in arenas})
        return play(arenas, *args, **options)

    monkeypatch.setattr(command_module, "play", watched)
    assert reproduce(*command, "--max-steps", "2", *often) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    measures = {row["measure"]: row["value"]["mean"] for row in found["rows"]}
    assert 0 <= measures["trained/f1"] <= 1 and 0 <= measures["greedy/f1"] <= 1
    assert seen[:3] == [{"test"}, {"train"}, {"test"}]
    assert {(row["arm"], row["value"]["groups"]) for row in found["rows"]} == {
        ("f1", 2),
        ("recall", 2),
    }
    assert "recall, seed 1" in said.err
    assert set(found["files"]) >= {"summary.md", "curves.csv", "turns.png", "held_out-f1.png"}
    assert not list(out.rglob("checkpoint*")) and len(list(out.rglob("final"))) == 4
    points = json.loads((out / "recall/seed-0/outcome.json").read_text())["points"]
    # Two steps; then what held-out arenas gave before, after the first step and at the end.
    assert [point["rollouts"] for point in points[2:]] == [0, *(p["rollouts"] for p in points[:2])]
    assert points[0]["rollouts"] % 8 == 0 and points[0]["values"].keys() >= {"turns", "calls"}

    monkeypatch.setattr(rl_trial, "train_rl", _must_not_run)
    assert reproduce(*command, "--max-steps", "2", *often) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert reproduce(*command, "--max-steps", "3", *often) == 2
    assert "other options" in capsys.readouterr().err


def _must_not_run(config: TrainRLConfig, **_: Any) -> Any:
    raise AssertionError(f"{config.out} is on record")


def test_filling_is_compared_at_equal_tokens(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "filling"
    where = ("--arenas", str(world), "--seeds", "0", "--max-steps", "2")
    assert reproduce("filling", model, out, *where) == 0
    outcomes = [
        json.loads((out / arm / "seed-0/outcome.json").read_text()) for arm in ("off", "on")
    ]
    assert all(0 <= outcome["final"]["greedy/f1"] <= 1 for outcome in outcomes)
    off, on = (outcome["points"][:-1] for outcome in outcomes)
    assert len(off) == 2
    assert outcomes[0]["cost"]["sampled_tokens"] == off[-1]["tokens"]
    spent = [0, *(point["tokens"] for point in on)]
    assert spent[-1] >= off[-1]["tokens"] > spent[-2]
    capsys.readouterr()


@pytest.mark.slow
def test_trials_side_by_side_come_to_the_same(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--arenas", str(world), "--seeds", "0", "--max-steps", "2")
    cores = str(len(os.sched_getaffinity(0)))  # a thread for each, as in these tests
    assert reproduce("filling", model, tmp_path / "alone", *where) == 0
    assert reproduce("filling", model, tmp_path / "both", *where, "--workers", cores) == 0
    capsys.readouterr()
    for arm in ("off", "on"):
        alone, both = (
            json.loads((tmp_path / out / arm / "seed-0/outcome.json").read_text())
            for out in ("alone", "both")
        )
        untimed: dict[str, Any] = {"seconds": 0, "cost": {}}
        assert {**alone, **untimed} == {**both, **untimed}


def test_trials_can_be_sent_to_processes_of_their_own(
    world: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []

    def run_none(side: ParallelTrials, jobs: Any, trial: Any, *_: Any) -> None:
        sent.append(pickle.loads(pickle.dumps((side, jobs, trial))))

    monkeypatch.setattr(ParallelTrials, "run", run_none)
    (tmp_path / "out").mkdir()
    where = ("--arenas", str(world), "--seeds", "0", "--workers", "3")
    assert reproduce("filling", model, tmp_path / "out", *where) == 0
    side, jobs, trial = sent[0]
    assert (side.workers, side.first_arm, [job.arm.name for job in jobs]) == (
        3,
        "off",
        ["off", "on"],
    )
    assert trial.comparison == COMPARISONS["filling"]
    assert json.loads(capsys.readouterr().out)["rows"] == []


@pytest.mark.parametrize(("name", "mode"), [("reward", "stored"), ("distractors", "banded")])
def test_what_is_played_has_the_distractors_that_were_trained_with(
    name: str,
    mode: str,
    world: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    draw = ArenaSet.with_distractors

    def watched(arenas: ArenaSet, mode: Any, **options: Any) -> ArenaSet:
        asked.append(mode)
        return draw(arenas, mode, **options)

    monkeypatch.setattr(ArenaSet, "with_distractors", watched)
    monkeypatch.setattr(ParallelTrials, "run", lambda *_: None)
    where = ("--arenas", str(world), "--seeds", "0", "--workers", "2", "--trained")
    assert reproduce(name, model, tmp_path, *where) == 0
    capsys.readouterr()
    assert asked == [mode, mode]


def test_what_breaks_is_told_and_ends_in_status_1(
    world: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(config: TrainRLConfig, **_: Any) -> Any:
        raise StageError("no rollout worked")

    monkeypatch.setattr(rl_trial, "train_rl", train)
    where = ("--arenas", str(world), "--seeds", "0")
    assert reproduce("filling", model, tmp_path / "out", *where) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == []
    off, on = told["failures"]
    assert off["message"] == "no rollout worked"
    assert "run that arm first" in on["message"]


def test_problems_stand_in_for_arenas(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"question": f"What is {i} + 1?", "answer": str(i + 1), "split": split}
        for i, split in enumerate(("train", "train", "train", "test"))
    ]
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    where = ("--problems", str(path), "--seeds", "0", "--max-steps", "1", "--arms", "grpo")
    assert reproduce("credit", model, tmp_path / "out", *where) == 0
    found = json.loads(capsys.readouterr().out)["rows"]
    assert {row["arm"] for row in found} == {"grpo"}
    assert [row["measure"] for row in found] == [
        *("solved", "tokens", "greedy/solved", "greedy/tokens"),
        *("cost/rollouts", "cost/sampled_tokens", "cost/step_seconds"),
    ]
    path.write_text(json.dumps(rows[0]) + "\n")
    assert reproduce("credit", model, tmp_path / "other", *where) == 2
    assert "no problems of split 'test'" in capsys.readouterr().err


def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reproduce_main(["reward"]) == 2
    said = capsys.readouterr().err
    assert "astra arenas make" in said and "astra train sft" in said


def test_arenas_and_model_of_the_demo_are_taken(
    world: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/loop/sft").mkdir(parents=True)
    Path("runs/loop/arenas").symlink_to(world)
    Path("runs/loop/sft/final").symlink_to(model)
    monkeypatch.setattr(rl_trial, "train_rl", _must_not_run)
    # 20 × 6 rollouts are no multiple of the preset's 64 rows at once.
    batch = ("--batch-size", "20", "--group-size", "6", "--seeds", "0")
    assert reproduce_main(["reward", "--limit", "2", *batch]) == 1
    said = capsys.readouterr()
    assert said.err.count("is on record") >= 3  # as far as training
    assert (tmp_path / "runs/reward/f1/seed-0/failure.json").exists()


def test_a_model_of_the_hub_goes_with_arenas_of_the_demo(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = ReproduceConfig("reward", model="Qwen/Qwen3-0.6B")
    with pytest.raises(ConfigError, match="make demo"):
        arenas_and_model(config)
    Path("runs/loop").mkdir(parents=True)
    Path("runs/loop/arenas").symlink_to(world)
    found = arenas_and_model(config)
    assert found == (Path("runs/loop/arenas"), "Qwen/Qwen3-0.6B")


def test_settings_are_looked_at_before_the_first_trial(
    world: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(rl_trial, "train_rl", _must_not_run)
    where = ("--arenas", str(world), "--seeds", "0", "--credit", "alpha=2")
    assert reproduce("credit", model, tmp_path / "out", *where) == 2
    assert "alpha" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out").exists()


# --- parts -----------------------------------------------------------------------------------


def _config() -> TrainRLConfig:
    credit = CreditConfig(explore_steps=40, options={"log_rollouts": 4})
    return TrainRLConfig(
        model="m", arenas="a", out="o", preset="nano", algorithm="acpo", credit=credit
    )


@pytest.mark.parametrize("compared", [*COMPARISONS.values(), of_problems(CREDIT)])
def test_every_arm_sets_what_there_is(compared: ArmComparison) -> None:
    arms = [*compared.arms, *compared.further, *compared.ablations]
    assert len({arm.name for arm in arms}) == len(arms)
    assert arms[0].name == compared.baseline
    configs = [of_arm(_config(), {**compared.common, **arm.options}) for arm in arms]
    assert len(set(map(repr, configs))) == len(configs)
    for config in configs:
        assert config.credit.explore_steps in (40, None)
        assert config.algorithm == "acpo" or not config.credit.options
        assert config.algorithm == "grpo" or compared.name == "credit"
        acpo_settings(config.credit)


def test_an_arm_wins_over_what_all_share() -> None:
    (arm,) = (a for a in CREDIT.ablations if a.name == "acpo-no-phases")
    switch = acpo_settings(of_arm(_config(), arm.options).credit).switch
    assert switch.after is None and switch.stalled is None
    full = acpo_settings(of_arm(_config(), CREDIT.arms[2].options).credit)
    assert full.switch.after == 40


def test_arms_are_chosen_with_what_they_are_compared_with() -> None:
    assert [a.name for a in CREDIT.chosen(["gigpo"], ablations=False)] == ["grpo", "gigpo"]
    assert [a.name for a in CREDIT.chosen(["hgpo"], ablations=False)] == ["grpo", "hgpo"]
    assert "hgpo" not in [a.name for a in CREDIT.chosen(None, ablations=True)]
    names = [a.name for a in CREDIT.chosen(["acpo-no-credit"], ablations=True)]
    assert names == ["grpo", "acpo-verified", "acpo-no-credit"]
    with pytest.raises(ConfigError, match="no arm 'gigo'"):
        CREDIT.chosen(["gigo"], ablations=False)
    with pytest.raises(ConfigError, match="no ablations"):
        COMPARISONS["reward"].chosen(None, ablations=True)


def test_a_curve_counts_all_that_was_sampled() -> None:
    row = {"filling/groups": 3.0, "tokens/sampled": 50.0, "f1": 0.5, "loss": 1.0}
    points = curve([{"step": 1, **row}, {"step": 2, **row}, {"step": 2, "x": 1.0}], 4, ("f1",))
    assert [(s, p.rollouts, p.tokens, p.values) for s, p in points.items()] == [
        (1, 12, 50, {"f1": 0.5}),
        (2, 24, 100, {"f1": 0.5}),
    ]


def test_what_a_run_took() -> None:
    rows = [
        {"step_time": 2.0, "time/rollouts": 1.0, "hgpo/credit/seconds": 0.25},
        {"step_time": 4.0, "hgpo/credit/seconds": 0.75},
        {"train_loss": 0.1},
    ]
    last = MeasurementPoint(rollouts=16, tokens=300, values={})
    assert costs(rows, last) == {
        "rollouts": 16,
        "sampled_tokens": 300,
        "step_seconds": 3.0,
        "credit_seconds": 0.5,
    }
    assert "credit_seconds" not in costs([{"step_time": 1.0}], last)


def test_a_budget_counts_what_was_sampled_before_a_stop(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {"a": 1})
    rows = [{"step": step, "tokens/sampled": 40.0} for step in (1, 2, 3)]
    with folder.lock(), folder.append("metrics") as log:
        log.append([json.dumps(row).encode() + b"\n" for row in rows])
    budget, control = TokenBudget(folder, 100), TrainerControl()
    args = TrainingArguments(output_dir=str(tmp_path / "t"), use_cpu=True)
    # Resumed after step 2: the third row is of a part that is done again.
    budget.on_train_begin(args, TrainerState(global_step=2), control)
    assert budget.spent == 80
    budget.on_log(args, TrainerState(global_step=3), control, {"tokens/sampled": 19.0})
    assert not control.should_training_stop
    budget.on_log(args, TrainerState(global_step=4), control, {"tokens/sampled": 1.0})
    assert control.should_training_stop


def test_agreement_of_attributions_with_the_counterfactual(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agreement.json"
    options = ["--min-episodes", "10", "--group-size", "2", "--max-turns", "4"]
    options += ["--max-tokens", "24"]
    where = [str(world), "--model", str(model), "--max-length", "400", "--out", str(path)]
    assert run(["credit", "agreement", *where, *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(path.read_text())
    assert found["trajectories"] == 10
    told = found["with_counterfactual"]
    assert set(told) == {"likelihood", "entropy", "verified"}
    assert all(each["trajectories"] <= 10 for each in told.values())
    right = told["verified"]["correlation"]
    assert right is not None and -1 <= right["low"] <= right["mean"] <= right["high"] <= 1
