"""The commands as torchrun starts them, in two processes on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run

from .sft_made import tiny

pytestmark = pytest.mark.slow


def in_two(*command: object) -> str:
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    made = subprocess.run(
        [*words, "-m", "astra", *map(str, command)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert made.returncode == 0, made.stderr[-4000:]
    return made.stdout


def metrics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text("utf-8").splitlines()]


def test_two_processes_share_the_rows_of_a_batch(tmp_path: Path) -> None:
    rows, model = tiny(tmp_path, 64)
    options = ("train", "sft", "--rows", rows, "--model", model, "--preset", "nano", "--seed", 3)
    more = ("--set", "logging_steps=1", "--set", "learning_rate=1e-3")
    assert run([*map(str, options), *more, "--out", str(tmp_path / "one")]) == 0
    printed = in_two(*options, *more, "--rows-at-once", 8, "--out", tmp_path / "two")
    assert printed.count("steps on") == 1
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    losses = [[row["loss"] for row in rows if "loss" in row] for rows in (one, two)]
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert [row["step"] for row in two] == [row["step"] for row in one]
    assert (tmp_path / "two/final/model.safetensors").exists()


def test_two_processes_play_and_learn_together(world: Path, model: Path, tmp_path: Path) -> None:
    options = ("train", "rl", "--arenas", world, "--model", model, "--preset", "nano", "--steps", 2)
    small = ("--prompts", 2, "--group", 4, "--rows-at-once", 4, "--turns", 3, "--sandbox", "unsafe")
    in_two(*options, *small, "--out", tmp_path / "rl")
    rows = [row for row in metrics(tmp_path / "rl") if "reward" in row]
    assert [row["step"] for row in rows] == [1, 2]
    assert (tmp_path / "rl/final/model.safetensors").exists()
    config = (tmp_path / "rl/config.toml").read_text("utf-8")
    assert "prompts = 2" in config
