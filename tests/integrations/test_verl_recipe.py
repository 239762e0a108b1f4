"""The recipe for verl, by verl's own Python on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.conftest import ROOT, ReaderEnvironment

pytestmark = pytest.mark.integrations


def test_advantages_are_those_of_our_algorithms(verl: ReaderEnvironment, tmp_path: Path) -> None:
    script = str(Path(__file__).parent / "verl_recipe.py")
    printed = verl.run("python", script, str(ROOT), cwd=tmp_path)
    assert "checked: grpo gigpo hgpo graphgpo, refusals" in printed, printed[-3000:]
