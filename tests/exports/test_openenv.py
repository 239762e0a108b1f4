"""Arenas for OpenEnv and NeMo Gym: manifests, rows, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.errors import ConfigError, StoreError
from astra.exports.nemo_gym import NEMO_GYM
from astra.exports.openenv import OPENENV
from astra.exports.publish import publish
from astra.exports.published import PublishedArenas
from astra.rollouts.user_tool import USER_TOOL, has_user


@pytest.fixture(scope="module")
def openenv(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(arenas, tmp_path_factory.mktemp("openenv") / "out", "openenv", OPENENV).path


def test_the_manifest_states_what_was_certified(arenas: ArenaSet, openenv: Path) -> None:
    manifest = json.loads((openenv / "openenv.yaml").read_text())
    validation = manifest["validation"]
    assert validation["reward"] == {
        "range": [0.0, 1.0],
        "oracle_tolerance": 0.0,
        "floor_margin": 1.0,
    }
    assert (openenv / validation["capabilities"]["oracle"]["location"]).is_file()
    assert sum(validation["capabilities"]["declared_task_count"].values()) == len(arenas)
    certificates = manifest["certificates"]
    assert certificates["certified"] == len(arenas)
    assert certificates["checks_passed"]["gold"] == len(arenas)


def test_nothing_is_stated_without_certificates(arenas: ArenaSet, tmp_path: Path) -> None:
    bare = ArenaSet.of(list(arenas)[:1])
    with pytest.raises(ConfigError, match="no good certificate"):
        publish(bare, tmp_path / "out", "openenv", OPENENV, uncertified=True)


def test_a_changed_manifest_is_refused(openenv: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(openenv, tmp_path / "copy")
    PublishedArenas(copy)
    text = (copy / "openenv.yaml").read_text()
    (copy / "openenv.yaml").write_text(text.replace('"floor_margin": 1.0', '"floor_margin": 0.2'))
    with pytest.raises(StoreError, match="was changed"):
        PublishedArenas(copy)


def test_rows_of_nemo_gym_hold_the_id_alone(arenas: ArenaSet, tmp_path: Path) -> None:
    done = publish(arenas, tmp_path / "out", "nemo-gym", NEMO_GYM)
    bringing = [arena for arena in arenas if arena.state is not None and arena.state.withheld]
    assert bringing and sum(each.count for each in done.left_out) == len(bringing)
    lines = [
        line
        for path in sorted((done.path / "data").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    rows: list[Any] = [json.loads(line) for line in lines]
    assert len(rows) == done.arenas == len(arenas) - len(bringing)
    for row in rows:
        assert set(row) == {"responses_create_params", "verifier_metadata", "agent_ref"}
        assert set(row["verifier_metadata"]) == {"arena"}
        names = [tool["name"] for tool in row["responses_create_params"]["tools"]]
        assert names and all(isinstance(name, str) for name in names)
        arena = arenas[row["verifier_metadata"]["arena"]]
        assert (USER_TOOL.name in names) == has_user(arena)
