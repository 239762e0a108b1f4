"""verifiers: its own runners on published arenas, gated on result files, for they exit with 0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.models.policies import Policy
from tests.integrations.conftest import ReaderEnvironment, assert_nothing_is_told, exported
from tests.integrations.policy_server import PolicyServer

pytestmark = pytest.mark.integrations


@pytest.fixture(scope="module")
def taskset(
    arenas: ArenaSet, verifiers: ReaderEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = exported(arenas, "verifiers", tmp_path_factory.mktemp("verifiers") / "published")
    verifiers.pip("--no-deps", "--no-build-isolation", "--force-reinstall", str(folder))
    return folder


def evaluated(
    verifiers: ReaderEnvironment, arenas: ArenaSet, name: Policy, out: Path
) -> list[dict[str, Any]]:
    with PolicyServer(name, arenas) as server:
        printed = verifiers.run(
            *("vf-eval", "astra-taskset", "--model", "scripted", "--client.base-url", server.url),
            *("--no-push", "--no-rich", "--max-concurrent", "8", "-o", str(out)),
            cwd=out.parent,
            OPENAI_API_KEY="none",
        )
    (traces,) = out.rglob("traces.jsonl")
    rows = [json.loads(line) for line in traces.read_text("utf-8").splitlines()]
    flat = [trace for row in rows for trace in row.get("traces", [row])]
    assert len(flat) == len(arenas), printed[-3000:]
    return flat


@pytest.mark.parametrize(("name", "reward"), [("gold", 1.0), ("null", 0.0)])
def test_known_policies_have_their_rewards(
    arenas: ArenaSet,
    verifiers: ReaderEnvironment,
    taskset: Path,
    name: Policy,
    reward: float,
    tmp_path: Path,
) -> None:
    traces = evaluated(verifiers, arenas, name, tmp_path / "out")
    assert [trace["rewards"]["f1"]["score"] for trace in traces] == [reward] * len(arenas)
    assert not [trace["errors"] for trace in traces if trace["errors"]]
    if name == "null":
        assert_nothing_is_told(arenas, tmp_path / "out")


def test_every_task_is_valid(
    arenas: ArenaSet, verifiers: ReaderEnvironment, taskset: Path, tmp_path: Path
) -> None:
    printed = verifiers.run(
        *("vf-validate", "astra-taskset", "--runtime.type", "subprocess", "-o", "out"),
        cwd=tmp_path,
    )
    (summary,) = tmp_path.rglob("summary.json")
    found = json.loads(summary.read_text())
    assert found["checks"]["gold"]["valid"] == len(arenas), printed[-3000:]
    assert found["checks"]["noop"]["valid"] == len(arenas)
    assert_nothing_is_told(arenas, tmp_path / "out")
