"""The bare RL loop: short enough to read, and it learns."""

from __future__ import annotations

from pathlib import Path

import pytest

import astra
from recipes import rl_loop


def test_it_is_short() -> None:
    assert len(Path(rl_loop.__file__).read_text("utf-8").splitlines()) <= 200


def test_it_learns(world: Path, model: Path) -> None:
    rows: list[dict[str, float]] = []
    policy = astra.LocalModel(model, max_length=400)
    rl_loop.train(
        astra.load_arenas(world),
        policy,
        steps=7,
        batch_size=4,
        group_size=6,
        learning_rate=5e-4,
        max_turns=4,
        max_tokens=24,
        log=rows.append,
    )
    assert sum(row["reward"] for row in rows[-3:]) > sum(row["reward"] for row in rows[:3])
    assert all(0 <= row["rated"] <= 1 for row in rows)


def test_the_script_writes_a_model(
    world: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rl_loop, "train", lambda arenas, policy: None)
    monkeypatch.setattr("sys.argv", ["rl_loop", str(world), str(model), str(tmp_path / "out")])
    rl_loop.main()
    assert astra.LocalModel(tmp_path / "out").name.endswith("out")
