"""Inspect's own runner on published arenas: gates on its logs, for it exits with 0 anyway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.exports.inspect_ai import KEPT
from astra.models.policies import Policy
from tests.integrations.conftest import ReaderEnvironment, assert_nothing_is_told, exported
from tests.integrations.policy_server import PolicyServer

pytestmark = pytest.mark.integrations


@pytest.fixture(scope="module")
def folder(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(arenas, "inspect", tmp_path_factory.mktemp("inspect") / "published")


def evaluated(
    inspect: ReaderEnvironment, folder: Path, arenas: ArenaSet, name: Policy, logs: Path
) -> dict[str, Any]:
    with PolicyServer(name, arenas) as server:
        printed = inspect.run(
            *("inspect", "eval", "astra_inspect.py", "--model", "openai-api/local/scripted"),
            *("--log-dir", str(logs), "--log-format", "json", "--display", "plain"),
            cwd=folder,
            LOCAL_API_KEY="none",
            LOCAL_BASE_URL=server.url,
        )
    (log,) = logs.glob("*.json")
    found = json.loads(log.read_text("utf-8"))
    assert found["status"] == "success", printed[-3000:]
    return found


@pytest.mark.parametrize(("name", "reward"), [("gold", 1.0), ("null", 0.0)])
def test_known_policies_have_their_scores(
    arenas: ArenaSet,
    inspect: ReaderEnvironment,
    folder: Path,
    name: Policy,
    reward: float,
    tmp_path: Path,
) -> None:
    log = evaluated(inspect, folder, arenas, name, tmp_path / "logs")
    scores = [sample["scores"]["f1"]["value"] for sample in log["samples"]]
    assert scores == [reward] * len(arenas)
    if name == "null":
        assert_nothing_is_told(arenas, tmp_path / "logs")


def test_the_keywords_that_it_keeps_are_those_of_its_own_schema(
    inspect: ReaderEnvironment, tmp_path: Path
) -> None:
    code = "from inspect_ai.util import JSONSchema; print(*JSONSchema.model_fields)"
    assert set(inspect.run("python", "-c", code, cwd=tmp_path).split()) == KEPT


def test_a_tampered_export_is_an_error(
    arenas: ArenaSet, inspect: ReaderEnvironment, tmp_path: Path
) -> None:
    folder = exported(arenas, "inspect", tmp_path / "published")
    path = folder / "arenas/arenas.jsonl"
    path.write_bytes(path.read_bytes().replace(b"country", b"Country", 1))
    printed = inspect.run(
        *("inspect", "eval", "astra_inspect.py", "--model", "mockllm/model"),
        *("--log-dir", str(tmp_path / "logs"), "--display", "plain"),
        cwd=folder,
    )
    assert "was changed since it was exported" in printed
    assert not list((tmp_path / "logs").glob("*"))
