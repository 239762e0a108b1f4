"""NeMo Gym's own runner on published arenas: it starts the server, an agent and a model's server.

Gated on the file of rollouts. The servers run in the one environment of this reader, where NeMo
Gym would make an environment for each.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.models.policies import Policy
from tests.integrations.conftest import (
    ReaderEnvironment,
    assert_nothing_is_told,
    exported,
    with_user_as_tool,
)
from tests.integrations.policy_server import PolicyServer

pytestmark = pytest.mark.integrations
SERVERS = (
    "resources_servers/astra_arenas",
    "responses_api_agents/simple_agent",
    "responses_api_models/vllm_model",
)
CONFIGURED = ("--resources-server", "astra_arenas", "--model-type", "vllm_model")


@pytest.fixture(scope="module")
def folder(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(arenas, "nemo-gym", tmp_path_factory.mktemp("nemo-gym") / "published")


def collected(
    nemo_gym: ReaderEnvironment, folder: Path, arenas: ArenaSet, name: Policy, out: Path
) -> list[dict[str, Any]]:
    """The rollouts of both splits."""
    for server in SERVERS:
        (out / "environments" / server).mkdir(parents=True)
        (out / "environments" / server / ".venv").symlink_to(nemo_gym.folder)
    rollouts: list[dict[str, Any]] = []
    for split in sorted(path.stem for path in (folder / "data").glob("*.jsonl")):
        path = out / split / "rollouts.jsonl"
        with PolicyServer(name, arenas) as server:
            printed = nemo_gym.run(
                *("gym", "eval", "run", *CONFIGURED, "--split", split, "--output", str(path)),
                *("--model", "scripted", "--model-url", server.url, "--model-api-key", "none"),
                *("+skip_venv_if_present=true", f"+uv_venv_dir={out / 'environments'}"),
                cwd=folder,
                # A busy machine takes longer than Ray's 30 s to start it.
                RAY_raylet_start_wait_time_s="300",
            )
        assert path.is_file(), printed[-5000:]
        rollouts += map(json.loads, path.read_text("utf-8").splitlines())
        metrics = json.loads(path.with_name("rollouts_aggregate_metrics.json").read_text())
        assert metrics[0]["agent_metrics"]["mean/reward"] == {"gold": 1.0, "null": 0.0}[name]
    shutil.rmtree(out / "environments")
    return rollouts


@pytest.mark.parametrize(("name", "reward"), [("gold", 1.0), ("null", 0.0)])
def test_known_policies_have_their_rewards(
    arenas: ArenaSet,
    nemo_gym: ReaderEnvironment,
    folder: Path,
    name: Policy,
    reward: float,
    tmp_path: Path,
) -> None:
    rollouts = collected(nemo_gym, folder, arenas, name, tmp_path)
    rewards = {each["verifier_metadata"]["arena"]: each["reward"] for each in rollouts}
    assert rewards == dict.fromkeys(with_user_as_tool(arenas), reward)
    if name == "null":
        assert_nothing_is_told(arenas, tmp_path)


def test_its_validation_finds_what_is_wrong(
    nemo_gym: ReaderEnvironment, folder: Path, tmp_path: Path
) -> None:
    words = ("gym", "env", "validate", *CONFIGURED, "--model", "m", "--model-url", "http://x/v1")
    words += ("--model-api-key", "none")
    printed = nemo_gym.run(*words, cwd=folder)
    assert "Config is valid" in printed, printed
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "resources_servers/astra_arenas/configs/astra_arenas.yaml"
    path.write_text(path.read_text("utf-8").replace("domain: agent", ""), "utf-8")
    printed = nemo_gym.run(*words, cwd=copy)
    assert "domain" in printed and "Config is valid" not in printed


def test_its_server_does_not_start_with_changed_arenas(
    nemo_gym: ReaderEnvironment, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "arenas/arenas.jsonl"
    path.write_bytes(path.read_bytes().replace(b"country", b"Country", 1))
    server = copy / "resources_servers/astra_arenas/app.py"
    printed = nemo_gym.run("python", str(server), cwd=copy)
    assert "was changed since it was exported" in printed
