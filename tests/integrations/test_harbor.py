"""Harbor's own runner on published tasks: gates on result files, for it exits with 0 anyway.

There is no Docker here: the tasks run in an environment of ours (`harbor_environment`), and what
`harbor lint` asks Docker Compose for is not looked at.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from astra.arenas.sets import ArenaSet
from tests.integrations.conftest import (
    ReaderEnvironment,
    assert_nothing_is_told,
    exported,
    with_user_as_tool,
)

pytestmark = pytest.mark.integrations


@pytest.fixture(scope="module")
def folder(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(arenas, "harbor", tmp_path_factory.mktemp("harbor") / "published")


def rewards(harbor: ReaderEnvironment, tasks: Path, agent: str, jobs: Path) -> dict[str, float]:
    """Task -> its reward, of the trials that have one."""
    printed = harbor.run(
        *("harbor", "run", "--path", str(tasks), "--agent", agent, "--jobs-dir", str(jobs)),
        *("--env", "harbor_environment:LocalEnvironment"),
        *("--n-concurrent", "2", "--quiet", "--yes"),
        cwd=jobs.parent,
        PYTHONPATH=str(Path(__file__).parent),
        LITELLM_LOCAL_MODEL_COST_MAP="True",
    )
    found: dict[str, float] = {}
    for path in jobs.glob("*/*/result.json"):
        result = json.loads(path.read_text("utf-8"))
        if result["verifier_result"] is not None:
            name = result["task_name"].rpartition("/")[2]
            found[name] = result["verifier_result"]["rewards"]["reward"]
    assert found, printed[-3000:]
    return found


@pytest.mark.parametrize(("agent", "reward"), [("oracle", 1.0), ("nop", 0.0)])
def test_its_own_agents_have_their_rewards(
    arenas: ArenaSet,
    harbor: ReaderEnvironment,
    folder: Path,
    agent: str,
    reward: float,
    tmp_path: Path,
) -> None:
    found = rewards(harbor, folder / "tasks", agent, tmp_path / "jobs")
    assert found == dict.fromkeys(with_user_as_tool(arenas), reward)
    if agent == "nop":
        assert_nothing_is_told(arenas, tmp_path / "jobs")


def test_its_lint_finds_nothing(harbor: ReaderEnvironment, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder / "tasks", tmp_path / "tasks")
    for path in copy.glob("*/environment/docker-compose.yaml"):
        path.unlink()  # this part of lint needs Docker's programs
    names = sorted(os.listdir(copy))
    printed = harbor.run("harbor", "lint", *names, cwd=copy)
    assert not printed.strip() or "no issues" in printed.lower(), printed
    config = copy / names[0] / "task.toml"
    config.write_text(config.read_text("utf-8").replace("timeout_sec", "timeout_secs"), "utf-8")
    assert "timeout_secs" in harbor.run("harbor", "lint", names[0], cwd=copy)
