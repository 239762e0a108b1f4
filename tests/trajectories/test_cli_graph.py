"""`astra tools graph`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astra.cli.main import run
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.teacher.prompts.chains import ProposedChain
from astra.trajectories.tasks.records import ChainProposal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pair = ProposedChain(task="Do.", chain=("a", "b", "a"))
    rows = [
        ChainProposal(key=f"{server}:1", server=server, name=name, pairs=(pair,))
        for server, name in (("s1", "calendar"), ("s2", "twin"), ("s3", "twin"))
    ]
    made = RunFolder.create(tmp_path / "run", {})
    made.replace("proposals.jsonl", map(to_line, rows))
    return made.path


def test_shown_and_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = folder.parent / "a.svg"
    assert run(["tools", "graph", str(folder), "calendar", "--out", str(picture), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["transitions"] == [
        {"from": "a", "to": "b", "weight": 1},
        {"from": "b", "to": "a", "weight": 1},
    ]
    assert picture.read_text().startswith("<svg")
    assert run(["tools", "graph", str(folder), "s2"]) == 0


@pytest.mark.parametrize(
    ("server", "told"), [("calender", "did you mean 'calendar'"), ("twin", "s2, s3")]
)
def test_a_server_that_is_not_told_apart(
    folder: Path, server: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tools", "graph", str(folder), server]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
