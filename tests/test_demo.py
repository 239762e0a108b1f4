"""The demo: in short in the default suite, the whole loop in small when asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astra.arenas.sets import load_arenas
from astra.cli.main import run
from recipes.demo import main as train_demo

WORLD = Path(__file__).parents[1] / "examples" / "world"


def test_the_demo_tells_what_policies_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "--tables", str(WORLD), "--count", "6"]
    assert run([*command, "--out", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr().out
    assert "made 6 certified arenas" in said and "6 of 6 pass" in said
    scores = {name: line for line in said.splitlines() for name in ("gold", "null") if name in line}
    assert "1.000" in scores["gold"] and "1.000" not in scores["null"]


def test_tables_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["demo"]) == 2
    assert "'examples/world' does not exist" in capsys.readouterr().err


def asked_about(arenas: Path, split: str) -> set[tuple[str, str]]:
    """Entities that questions start from."""
    return {
        (name, value)
        for arena in load_arenas(arenas)
        if arena.split == split
        for goal in arena.goals
        if goal.call and not goal.depends_on
        for name, value in goal.call.arguments.items()
        if isinstance(value, str) and name not in ("attribute", "format")
    }


@pytest.mark.slow
@pytest.mark.parametrize("longer", [0, 40])
def test_the_whole_demo_goes_on_where_it_stopped(
    longer: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    options = [str(WORLD), "--count", "60", "--max-steps", "1", "--out", str(folder)]
    options += ["--longer", str(longer)]
    assert train_demo(options) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("base", "SFT", "RL", "minutes in all"))
    for way in ("greedy", "sampled"):
        assert f"RL minus SFT, {way}, paired by arena" in said
        report = json.loads((folder / f"evaluation/rl-{way}/report.json").read_text("utf-8"))
        assert report["arenas"] > 0
    kinds = [folder / "arenas"] + [folder / "longer"] * (longer > 0)
    trained, held_out = (
        set[tuple[str, str]]().union(*(asked_about(kind, split) for kind in kinds))
        for split in ("train", "test")
    )
    assert trained and held_out and not trained & held_out
    stamps = {path: path.stat().st_mtime for path in folder.rglob("*.safetensors")}
    assert train_demo(options) == 0
    assert {path: path.stat().st_mtime for path in folder.rglob("*.safetensors")} == stamps
