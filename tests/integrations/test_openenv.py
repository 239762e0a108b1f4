"""OpenEnv: its validation, its server and its in-process sessions on published arenas."""

from __future__ import annotations

import json
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from astra.arenas.sets import ArenaSet
from astra.errors import StoreError
from astra.exports.published import PublishedArenas
from tests.integrations.conftest import (
    ReaderEnvironment,
    assert_nothing_is_told,
    exported,
    with_a_user,
)
from tests.support.hidden_values import hidden_values

pytestmark = pytest.mark.integrations
CLIENT = Path(__file__).parent / "openenv_client.py"


@pytest.fixture(scope="module")
def folder(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(arenas, "openenv", tmp_path_factory.mktemp("openenv") / "published")


def verdict(openenv: ReaderEnvironment, folder: Path, out: Path) -> str:
    """That of OpenEnv's static validation."""
    words = ("validate", str(folder), "--level", "static", "--output", str(out))
    printed = openenv.run("openenv", *words, cwd=out.parent)
    assert out.is_file(), printed
    return json.loads(out.read_text())["verdict"].lower()


@contextmanager
def served(openenv: ReaderEnvironment, folder: Path) -> Iterator[str]:
    """The address of OpenEnv's own server of the folder."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    words = ("-m", "uvicorn", "server.app:app", "--port", str(port), "--log-level", "error")
    with openenv.running("python", *words, cwd=folder) as server:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"


def test_known_policies_have_their_rewards(
    arenas: ArenaSet, openenv: ReaderEnvironment, folder: Path, tmp_path: Path
) -> None:
    with served(openenv, folder) as url:
        printed = openenv.run("python", str(CLIENT), str(folder), url, cwd=tmp_path)
    assert (tmp_path / "rewards.json").is_file(), printed[-3000:]
    rewards = json.loads((tmp_path / "rewards.json").read_text())
    expected = {"gold": 1.0, "null": 0.0}
    both = expected | {f"{name}, in process": value for name, value in expected.items()}
    talking = with_a_user(arenas)
    assert len(talking) == 12
    assert rewards == {key: expected if key in talking else both for key in arenas.ids}
    # What the client was told (steps, metadata, states): nothing hidden, unless it was found out.
    told = json.loads((tmp_path / "told.json").read_text("utf-8"))
    found = json.dumps(told.pop("gold"), ensure_ascii=False)
    assert any(value in found for arena in arenas for value in hidden_values(arena))
    (tmp_path / "null").mkdir()
    (tmp_path / "null/told.json").write_text(json.dumps(told, ensure_ascii=False), "utf-8")
    assert_nothing_is_told(arenas, tmp_path / "null")


def test_its_oracle_agrees(openenv: ReaderEnvironment, folder: Path, tmp_path: Path) -> None:
    openenv.run("python", str(folder / "oracle.py"), cwd=tmp_path)
    rewards = json.loads((tmp_path / "oracle.json").read_text())
    assert len(rewards) == 50
    assert all(each == {"gold": 1.0, "null": 0.0} for each in rewards.values())


def test_a_tampered_export_fails_both_validations(
    openenv: ReaderEnvironment, folder: Path, tmp_path: Path
) -> None:
    """A manifest that promises less than it must."""
    assert verdict(openenv, folder, tmp_path / "good.json") == "pass"
    copy = shutil.copytree(folder, tmp_path / "copy")
    PublishedArenas(copy)
    text = (copy / "openenv.yaml").read_text()
    (copy / "openenv.yaml").write_text(text.replace('"floor_margin": 1.0', '"floor_margin": 0'))
    assert verdict(openenv, copy, tmp_path / "tampered.json") == "fail"
    with pytest.raises(StoreError, match="was changed"):
        PublishedArenas(copy)


def test_its_server_does_not_start_with_changed_arenas(
    openenv: ReaderEnvironment, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "arenas/arenas.jsonl"
    path.write_bytes(path.read_bytes().replace(b"country", b"Country", 1))
    printed = openenv.run("python", "-c", "import server.app", cwd=copy)
    assert "was changed since it was exported" in printed
