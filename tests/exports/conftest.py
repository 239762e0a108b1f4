"""Hand-made arenas of every kind, published once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from astra.arenas.folder import write_arenas
from astra.arenas.sets import ArenaSet
from astra.exports.publish import ExportFormat, publish
from astra.exports.published import PublishedArenas
from astra.runs.folder import RunFolder
from astra.types import Arena
from tests.support.arenas import branching_arena, good_arenas, stamped
from tests.support.desk import desk_arena
from tests.support.ruled_desk import ruled_desk
from tests.support.talking_desk import talking_desk

PLAIN = ExportFormat(title="a reader of everything", files=lambda _: {"README.md": b"read me\n"})


def all_kinds() -> list[Arena]:
    """Questions, changes, a conversation, rules."""
    return [good_arenas()["plain"], branching_arena(), desk_arena(), talking_desk(), ruled_desk()]


@pytest.fixture(scope="session")
def arenas(tmp_path_factory: pytest.TempPathFactory) -> ArenaSet:
    """A run folder whose arenas have certificates, not examined here."""
    some = all_kinds()
    path = tmp_path_factory.mktemp("arenas") / "run"
    write_arenas(RunFolder.create(path, {}), some, (), map(stamped, some))
    return ArenaSet(path)


@pytest.fixture(scope="session")
def original(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(arenas, tmp_path_factory.mktemp("published") / "out", "plain", PLAIN).path


@pytest.fixture
def published(original: Path, tmp_path: Path) -> PublishedArenas:
    """A copy that a test may change."""
    return PublishedArenas(shutil.copytree(original, tmp_path / "copy"))
