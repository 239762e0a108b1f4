"""`astra train rl` and `astra evaluate arenas` on a folder of toy arenas, as they are typed."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import astra
from astra.cli.main import run
from astra.configs.training import TrainRLConfig
from astra.errors import ConfigError
from astra.protocols import Sampling
from astra.rewards import score_trajectory
from astra.training import Credit, ScoredBatch
from astra.training.environment import RolloutOutcome
from astra.training.presets.resolve import resolve
from astra.training.rl.train import train_rl, trl_config
from astra.types import Message
from tests.training.test_rl_trainer import CLOCKS


def train(world: Path, model: Path, out: Path, *more: str) -> int:
    small = ["--batch-size", "2", "--group-size", "4", "--max-turns", "3", "--max-tokens", "20"]
    rate = ["--save-every", "1", "--learning-rate", "1e-3", "--warmup", "0"]
    where = ["--arenas", str(world), "--model", str(model), "--out", str(out), "--preset", "nano"]
    steps = [] if "--max-steps" in more else ["--max-steps", "2"]
    return run(["train", "rl", *where, *small, *rate, *steps, "--json", *more])


def metrics(out: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    clocks = (*CLOCKS, "seconds", "acpo/credit/attribution_seconds", "acpo/credit/seconds")
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
    assert train(world, model, out, "--if-exists", "fail") == 2
    assert train(world, model, out, "--learning-rate", "1e-4") == 2  # another run
    assert train(world, model, out) == 0
    assert metrics(out) == rows
    assert (out / "final" / "model.safetensors").read_bytes() == weights
    capsys.readouterr()

    command = ["evaluate", "arenas", str(world), "--max-turns", "3", "--max-tokens", "20", "--json"]
    folders: list[str] = []
    reports: list[Any] = []
    for name, path in (("after", out / "final"), ("before", model), ("again", out / "final")):
        folders.append(str(tmp_path / name))
        options = ["--model", str(path), "--samples", "2", "--out", folders[-1]]
        assert run([*command, *options]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0]["episodes"] == 8 and set(reports[0]["pass_k"]) == {"1", "2"}
    assert run(["evaluate", "compare", *folders[:2], "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    difference = reports[0]["f1"]["mean"] - reports[1]["f1"]["mean"]
    assert comparison["f1"]["mean"] == pytest.approx(difference) and comparison["arenas"] == 4
    # The same seed gives the same episodes, and a model does not differ from itself.
    assert run(["evaluate", "compare", folders[0], folders[2], "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert same["f1"] == {"mean": 0, "low": 0, "high": 0, "groups": 4} and same["better"] == 0


def test_acpo_is_resumed_in_its_second_phase(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "acpo"
    options = ["--algorithm", "acpo", "--credit-explore-steps", "1", "--max-steps", "3"]
    assert train(world, model, out, *options) == 0
    rows = metrics(out)
    assert [row["acpo/credit/phase"] for row in rows] == [0, 1, 1]
    assert rows[2]["kl"] > 0 and "kl" not in rows[0]
    weights = (out / "final" / "model.safetensors").read_bytes()
    credit = (out / "credit.jsonl").read_bytes()
    # As a kill after the second checkpoint leaves it: the reference is that of step 1.
    shutil.rmtree(out / "final")
    shutil.rmtree(out / "checkpoints" / "checkpoint-3")
    assert train(world, model, out, *options) == 0
    assert metrics(out) == rows
    assert (out / "final" / "model.safetensors").read_bytes() == weights
    assert (out / "credit.jsonl").read_bytes() == credit
    capsys.readouterr()


def test_half_precision_is_of_the_passes_alone(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(world, model, tmp_path / "rl", "--precision", "bf16", "--max-steps", "1") == 0
    (row,) = metrics(tmp_path / "rl")
    assert row["clip_ratio/region_mean"] < 0.2
    kept = load_file(tmp_path / "rl" / "final" / "model.safetensors")
    before = load_file(model / "model.safetensors")
    assert all(weight.dtype == torch.float32 for weight in kept.values())
    same = [n for n in kept if n in before and n != "model.norm.weight"]  # has a rate of its own
    moved = max((kept[n] - before[n]).abs().max() for n in same)
    assert 0 < float(moved) < 2e-3
    capsys.readouterr()


def test_an_adapter_is_trained_and_merged(world: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "rl"
    options = [
        "--lora-rank",
        "4",
        "--max-steps",
        "1",
        "--distractors",
        "none",
        "--min-reward-std",
        "0.01",
    ]
    assert train(world, model, out, *options) == 0
    assert (out / "adapter" / "adapter_config.json").exists()
    merged = load_file(out / "final" / "model.safetensors")
    before = load_file(model / "model.safetensors")
    assert merged.keys() == before.keys()
    assert any(not torch.equal(merged[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--trl", "num_generations=3"], "use group_size"),
        (["--trl", "lerning_rate=3"], "did you mean"),
        (["--micro-batch-size", "5"], "can't be made of"),
        (["--trl", "eval_strategy=steps,eval_steps=1"], "has no effect"),
        (["--trl", "scale_rewards=batch"], "'group' and 'none'"),
        (["--trl", "scale_rewards=none", "--algorithm", "acpo"], "take grpo"),
        (["--trl", "scale_rewards=false", "--algorithm", "acpo"], "take grpo"),
        (["--algorithm", "ppo"], "module:Class"),
        (["--reward", "f2"], "module:function"),
        (["--credit-options", "rows=1"], "only the algorithm acpo"),
    ],
)
def test_what_can_not_be_is_said(
    world: Path, model: Path, tmp_path: Path, capsys: Any, options: list[str], said: str
) -> None:
    assert train(world, model, tmp_path / "rl", *options) == 2
    assert said in capsys.readouterr().err


def test_trls_correction_of_vllm_stays_off(tmp_path: Path) -> None:
    empty = TrainRLConfig(model="m", arenas="a", out=tmp_path, preset="nano", engine="vllm")
    assert not trl_config(resolve(empty, "rl")[0], 1).vllm_importance_sampling_correction


def concise(arena: Any, trajectory: Any) -> float:
    return score_trajectory(arena, trajectory).f1 - 0.02 * len(trajectory.calls)


class LeaveOneOut:
    name = "rloo"

    def credit(self, batch: ScoredBatch, policy: Any) -> Credit:
        size_B = batch.group_size_B()
        others_B = (batch.group_mean_B(batch.rewards_B) * size_B - batch.rewards_B) / (size_B - 1)
        return Credit.per_episode(batch, batch.rewards_B - others_B)


def small(world: Path, model: Path, out: Path, **more: Any) -> TrainRLConfig:
    return TrainRLConfig(
        model=model,
        arenas=world,
        out=out,
        preset="nano",
        batch_size=2,
        max_turns=3,
        max_tokens=20,
        max_steps=1,
        progress=False,
        **more,
    )


def test_an_own_reward_and_an_own_algorithm(world: Path, model: Path, tmp_path: Path) -> None:
    result = astra.train_rl(
        arenas=world,
        model=model,
        out=tmp_path,
        reward=concise,
        algorithm=LeaveOneOut(),
        preset="nano",
        batch_size=2,
        max_turns=3,
        max_tokens=20,
        max_steps=1,
        progress=False,
    )
    assert result.steps == 1 and result.metrics["reward"] < result.metrics["f1"]
    stored = (tmp_path / "config.toml").read_text()
    assert f"{__name__}:concise@" in stored and f"{__name__}:LeaveOneOut@" in stored
    with pytest.raises(ConfigError, match="lambda"):
        train_rl(small(world, model, tmp_path / "b", reward=lambda arena, trajectory: 1.0))


async def test_training_inside_a_running_loop(world: Path, model: Path, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    assert train_rl(small(world, model, tmp_path)).steps == 1
    assert asyncio.get_running_loop() is loop
    await asyncio.sleep(0)


class Countdown:
    """An own environment: say anything of one token."""

    def tasks(self) -> list[str]:
        return ["one", "two"]

    async def play(self, task: str, model: Any, *, seed: int, epoch: int) -> RolloutOutcome:
        messages = [Message(role="user", content=task)]
        reply = await model.generate(messages, [], Sampling(max_tokens=3))
        return RolloutOutcome(float(len(reply.message.content) % 5))


def test_an_own_environment(model: Path, tmp_path: Path) -> None:
    config = small(Path(), model, tmp_path)
    result = train_rl(replace(config, arenas=Countdown()))
    assert result.metrics["tasks"] == 2 and result.steps == 1
