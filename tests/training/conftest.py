"""A toy model and toy arenas, for tests that train."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import rl_given


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that half knows how to play the toy arenas."""
    return rl_given.taught(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four arenas to train in and as many to be tested in."""
    return rl_given.world(tmp_path_factory.mktemp("world") / "run")
