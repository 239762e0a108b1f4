"""`astra train rl` and `astra evaluate arenas` on a folder of toy arenas, as they are typed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training.test_rl_trainer import CLOCKS

from astra.cli.main import run
from astra.training.rl import run as run_module
from astra.training.rl.presets import PRESETS
from astra.training.rl.run import RLJob


def train(world: Path, model: Path, out: Path, *more: str) -> int:
    small = ["--prompts", "2", "--group", "4", "--turns", "3", "--message-tokens", "20"]
    settings = [f"--set={s}" for s in ("save_steps=1", "learning_rate=1e-3", "warmup_steps=0")]
    where = ["--arenas", str(world), "--model", str(model), "--out", str(out)]
    steps = [] if "--steps" in more else ["--steps", "2"]
    return run(["train", "rl", *where, *small, *settings, *steps, "--json", *more])


def metrics(out: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    clocks = (*CLOCKS, "seconds", "acpo/credit/attribution_seconds")
    return [{k: v for k, v in row.items() if not k.startswith(clocks)} for row in rows]


def test_a_run_that_is_resumed_and_evaluated(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rl"
    assert train(world, model, out) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["steps"] == 2 and report["tasks"] == 4
    rows = metrics(out)
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[0].keys() >= {"f1", "turns", "calls", "filling/valid_share", "entropy"}
    weights = (out / "final" / "model.safetensors").read_bytes()

    # As a kill after the first checkpoint leaves it.
    shutil.rmtree(out / "final")
    shutil.rmtree(out / "checkpoints" / "checkpoint-2")
    assert train(world, model, out) == 2  # not without --resume
    assert train(world, model, out, "--resume") == 0
    assert metrics(out) == rows
    assert (out / "final" / "model.safetensors").read_bytes() == weights
    capsys.readouterr()

    command = ["evaluate", "arenas", str(world), "--turns", "3", "--max-tokens", "20", "--json"]
    models = ["--model", str(out / "final"), "--model", str(model)]
    assert run([*command, *models, "--samples", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    first, second = found["models"]
    assert first["greedy"]["episodes"] == 4 and first["sampled"]["episodes"] == 8
    assert set(first["sampled"]["pass_k"]) == {"1", "2"}
    difference = first["sampled"]["f1"]["mean"] - second["sampled"]["f1"]["mean"]
    assert found["comparison"]["f1"]["mean"] == pytest.approx(difference)
    assert found["comparison"]["arenas"] == 4
    # The same seed gives the same episodes, and a model does not differ from itself.
    kept = next(world.glob(f"episodes-*{out.name}-final-sampled.jsonl"))
    assert run([*command, *models[:2], "--samples", "2", "--against", str(kept)]) == 0
    again = json.loads(capsys.readouterr().out)["comparison"]
    assert again["f1"] == {"mean": 0, "low": 0, "high": 0, "groups": 4} and again["better"] == 0


def test_acpo_is_resumed_in_its_second_phase(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "acpo"
    options = ["--algorithm", "acpo", "--credit", "switch.after=1", "--steps", "3"]
    assert train(world, model, out, *options) == 0
    rows = metrics(out)
    assert [row["acpo/credit/phase"] for row in rows] == [0, 1, 1]
    assert rows[2]["kl"] > 0 and "kl" not in rows[0]
    weights = (out / "final" / "model.safetensors").read_bytes()
    credit = (out / "credit.jsonl").read_bytes()
    # As a kill after the second checkpoint leaves it: the reference is that of step 1.
    shutil.rmtree(out / "final")
    shutil.rmtree(out / "checkpoints" / "checkpoint-3")
    assert train(world, model, out, *options, "--resume") == 0
    assert metrics(out) == rows
    assert (out / "final" / "model.safetensors").read_bytes() == weights
    assert (out / "credit.jsonl").read_bytes() == credit
    capsys.readouterr()


def test_half_precision_is_of_the_passes_alone(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(world, model, tmp_path / "rl", "--set", "bf16=true", "--steps", "1") == 0
    (row,) = metrics(tmp_path / "rl")
    assert row["clip_ratio/region_mean"] < 0.2
    kept = load_file(tmp_path / "rl" / "final" / "model.safetensors")
    before = load_file(model / "model.safetensors")
    assert all(weight.dtype == torch.float32 for weight in kept.values())
    same = [n for n in kept if n in before and n != "model.norm.weight"]  # has a rate of its own
    moved = max((kept[n] - before[n]).abs().max() for n in same)
    assert 0 < float(moved) < 2e-3
    capsys.readouterr()


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # by PEFT
def test_an_adapter_is_trained_and_merged(world: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "rl"
    options = ["--lora", "4", "--steps", "1", "--distractors", "none", "--threshold", "0.01"]
    assert train(world, model, out, *options) == 0
    assert (out / "adapter" / "adapter_config.json").exists()
    merged = load_file(out / "final" / "model.safetensors")
    before = load_file(model / "model.safetensors")
    assert merged.keys() == before.keys()
    assert any(not torch.equal(merged[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "num_generations=3"], "use --group"),
        (["--set", "lerning_rate=3"], "did you mean learning_rate"),
        (["--rows-at-once", "5"], "can't be made of"),
        (["--set", "eval_strategy=steps", "--set", "eval_steps=1"], "has no effect"),
        (["--set", "scale_rewards=batch"], "'group' and 'none'"),
        (["--set", "scale_rewards=none", "--algorithm", "acpo"], "take grpo"),
        (["--set", "scale_rewards=false", "--algorithm", "acpo"], "take grpo"),
    ],
)
def test_what_can_not_be_is_said(
    world: Path, model: Path, tmp_path: Path, capsys: Any, options: list[str], said: str
) -> None:
    assert train(world, model, tmp_path / "rl", *options) == 2
    assert said in capsys.readouterr().err


def test_trls_correction_of_vllm_stays_off(world: Path, model: Path, tmp_path: Path) -> None:
    trl = {**PRESETS["nano"].trl, "use_vllm": True}
    job = RLJob(world, str(model), tmp_path, replace(PRESETS["nano"], trl=trl))
    assert not run_module._config(job).vllm_importance_sampling_correction
