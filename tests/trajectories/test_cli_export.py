"""`astra trajectories export`, `stats` and `show`, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astra.cli.main import run
from tests.trajectories.rollouts import folder_of, rollout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [(rollout(i, server=f"s{i}", tools=(f"t{i}",), calls=(f"t{i}",)), 0.9) for i in range(4)]
    return folder_of(tmp_path / "run", [*rows, (rollout(9), None)]).path


def test_export_says_what_it_wrote(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "sft"
    command = ["trajectories", "export", str(folder), "--out", str(out), "--test-fraction", "0.25"]
    assert run([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == {"train": 3, "test": 1} and report["excluded"] == {"not_judged": 1}
    assert all((out / file).exists() for file in report["files"])
    assert run(command) == 0
    assert "3 train, 1 test rows" in capsys.readouterr().out
    assert run([*command, "--seed", "5"]) == 2
    assert "seed was 0 and is now 5" in capsys.readouterr().err


def test_a_share_that_can_not_be_met_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(rollout(i, server=f"s{i % 2}", tools=(f"t{i % 2}",)), 0.9) for i in range(20)]
    command = ["trajectories", "export", str(folder_of(tmp_path / "run", rows).path)]
    assert run([*command, "--out", str(tmp_path / "a"), "--test-fraction", "0.1"]) == 0
    said = capsys.readouterr().err
    assert "--test-fraction 0.1 can't be met: 10 of 20 rows (50.0%)" in said and "2 groups" in said
    assert run([*command, "--out", str(tmp_path / "b"), "--test-fraction", "0.5", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and json.loads(captured.out)["groups"] == 2


def test_stats_count_and_draw(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plots = folder.parent / "plots"
    assert run(["trajectories", "stats", str(folder), "--plots", str(plots), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["judged"], report["calls"]) == (5, 4, 1.0)
    drawn = {p.name: p.stat().st_size for p in plots.iterdir() if p.name != ".lock"}
    assert set(drawn) == {
        f"{name}.{kind}" for name in ("messages", "calls", "domains") for kind in ("png", "svg")
    }
    assert min(drawn.values()) > 1000


def test_nothing_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = folder_of(tmp_path / "run", []).path
    assert run(["trajectories", "stats", str(empty)]) == 2
    assert "holds no rollouts" in capsys.readouterr().err


@pytest.mark.parametrize("which", [[], ["3"]])
def test_a_damaged_row_is_told_by_show(
    folder: Path, which: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "rollouts.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": 3}\n')
    assert run(["trajectories", "show", str(folder), *which]) == 2
    said = capsys.readouterr().err
    assert "line 6" in said and "not a RecordedRollout" in said and "fault of ours" not in said
