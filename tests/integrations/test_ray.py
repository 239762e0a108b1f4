"""Arenas made on a cluster of several raylets: the same bytes as in one process, whoever is killed.

The raylets run on this machine, and are separate nodes to Ray: own worker processes, own memory.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.conftest import ROOT, ReaderEnvironment

pytestmark = pytest.mark.integrations
FILES = ("arenas", "candidates", "candidates.failed", "tools")


@pytest.fixture(scope="module")
def runs(ray: ReaderEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of runs, with what was told of them in `told.json`."""
    out, home = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("home")
    script = ROOT / "tests" / "integrations" / "ray_runs.py"
    # A busy machine takes longer than Ray's 30 s to start it.
    settings = {"RAY_AUTH_MODE": "disabled", "RAY_raylet_start_wait_time_s": "300"}
    printed = ray.run("python", str(script), str(out), cwd=out, HOME=str(home), **settings)
    assert (out / "told.json").exists(), printed[-5000:]
    return out


@pytest.fixture(scope="module")
def told(runs: Path) -> dict[str, Any]:
    return json.loads((runs / "told.json").read_text())


@pytest.mark.parametrize("name", ["local", "node", "driver"])
def test_the_bytes_are_those_of_one_process(runs: Path, told: dict[str, Any], name: str) -> None:
    assert told[name] == told["plain"] == 0
    for file in FILES:
        there, here = (runs / folder / f"{file}.jsonl" for folder in (name, "plain"))
        assert there.read_bytes() == here.read_bytes()
    assert len((runs / name / "arenas.jsonl").read_bytes().splitlines()) == 40


def test_they_were_killed_on_the_way(told: dict[str, Any]) -> None:
    assert told["killed driver"] == -9
    for victim in ("node was lost", "driver was killed"):
        assert 5 <= told[f"certified before the {victim}"] < 40
    assert 5 <= told["played before a player was lost"] < 80


def test_arenas_are_certified_again_on_the_cluster(told: dict[str, Any]) -> None:
    assert told["certify"] == 0


def test_an_evaluation_reports_the_same(runs: Path, told: dict[str, Any]) -> None:
    assert told["played here"] == told["played there"] == told["player"] == 0
    here = runs / "played-here" / "report.json"
    for name in ("played-there", "player"):
        assert (runs / name / "report.json").read_bytes() == here.read_bytes()
    assert json.loads(here.read_text())["episodes"] == 80


def test_an_address_where_nobody_listens_is_told(told: dict[str, Any]) -> None:
    assert "--ray '127.0.0.1:9': no cluster can be used there" in told["nobody listens"]
