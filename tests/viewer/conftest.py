"""Run folders that all tests of the pages share: none of them writes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.viewer.made import Pages, write_all


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each kind."""
    path = tmp_path_factory.mktemp("viewed")
    write_all(path)
    return path


@pytest.fixture(scope="session")
def pages(runs: Path) -> Pages:
    """Their pages."""
    return Pages(runs)
