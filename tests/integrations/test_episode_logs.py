"""Logs of our episodes, read by the programs that they are for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import astra
from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.evaluation.evaluate import EvaluationReport
from tests.integrations.conftest import ReaderEnvironment

pytestmark = pytest.mark.integrations
INSPECT = """
import glob, json
from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries
(path,) = glob.glob("logs/*.eval")
log = read_eval_log(path)
rows = [
    {"id": s.id, "f1": s.scores["f1"].value, "messages": [m.text for m in s.messages],
     "asked": [len(e.input) for e in s.events if e.event == "model"],
     "tools": [t.name for t in s.events[0].tools]}
    for s in log.samples
]
metrics = {s.name: s.metrics["mean"].value for s in log.results.scores}
summaries = [s.id for s in read_eval_log_sample_summaries(path)]
print(json.dumps([log.status, metrics, summaries, rows]))
"""
HARBOR = """
import glob, json
from harbor.utils.trajectory_validator import TrajectoryValidator
validator = TrajectoryValidator()
paths = sorted(glob.glob("logs/*.json"))
print(json.dumps([len(paths), [validator.errors for p in paths if not validator.validate(p)]]))
"""


@pytest.fixture(scope="module")
def played(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation") / "run"
    astra.evaluate(arenas, policy="careless", split="all", out=out)
    return out


def read_by(reader: ReaderEnvironment, played: Path, name: str, code: str, cwd: Path) -> Any:
    words = ["evaluate", "export", str(played), "--format", name, "--out", str(cwd / "logs")]
    assert run(words) == 0
    printed = reader.run("python", "-c", code, cwd=cwd)
    return json.loads(printed.splitlines()[-1])


def test_inspect_reads_the_log(inspect: ReaderEnvironment, played: Path, tmp_path: Path) -> None:
    status, metrics, summaries, rows = read_by(inspect, played, "inspect", INSPECT, tmp_path)
    report = EvaluationReport.open(played)
    assert report.f1 is not None
    assert status == "success" and metrics["f1"] == pytest.approx(report.f1.mean)
    episodes = sorted(report.episodes, key=lambda episode: episode.trajectory.task)
    assert sorted(summaries) == [episode.trajectory.task for episode in episodes]
    for row, episode in zip(rows, episodes, strict=True):
        messages = episode.trajectory.messages
        assert episode.score is not None and row["tools"]
        assert (row["id"], row["f1"]) == (episode.trajectory.task, episode.score.f1)
        assert row["messages"] == [message.content for message in messages]
        # What the model was asked with is there, too, by reference.
        assert row["asked"] == [i for i, m in enumerate(messages) if m.role == "assistant"]


def test_harbor_finds_the_trajectories_valid(
    harbor: ReaderEnvironment, played: Path, tmp_path: Path
) -> None:
    assert read_by(harbor, played, "atif", HARBOR, tmp_path) == [50, []]
    path = next((tmp_path / "logs").glob("*.json"))
    path.write_text(path.read_text("utf-8").replace('"step_id": 2', '"step_id": 3'), "utf-8")
    printed = harbor.run("python", "-c", HARBOR, cwd=tmp_path)
    assert "expected 2" in printed
