"""The recipe for verl, by verl's own Python on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.conftest import ROOT, ReaderEnvironment

pytestmark = pytest.mark.integrations


@pytest.mark.parametrize(
    ("script", "checked"),
    [
        ("verl_recipe.py", "grpo gigpo hgpo graphgpo, refusals"),
        ("verl_sampler.py", "filling, waiting, failures, checkpoint, refusals"),
        ("verl_settings.py", "astra qwen3_14b qwen3_4b, options, refusals"),
    ],
)
def test_parts(verl: ReaderEnvironment, script: str, checked: str, tmp_path: Path) -> None:
    path = str(Path(__file__).parent / script)
    arguments = [path, str(ROOT), str(tmp_path / "queue")]
    printed = verl.run("python", *arguments, cwd=tmp_path, RAY_AUTH_MODE="disabled")
    assert f"checked: {checked}" in printed, printed[-3000:]


def test_the_command_of_the_docs_composes_settings(verl: ReaderEnvironment, tmp_path: Path) -> None:
    command = ["-m", "verl.trainer.main_ppo", "--config-dir", str(ROOT / "recipes/verl/configs")]
    options = ["--config-name", "qwen3_14b", "data.train_files=rows.parquet", "--cfg", "job"]
    printed = verl.run(
        "python",
        *command,
        *options,
        cwd=tmp_path,
        PYTHONPATH=str(ROOT),
        VERL_USE_EXTERNAL_MODULES="recipes.verl.trainer",
    )
    assert "path: Qwen/Qwen3-14B" in printed, printed[-3000:]
    assert "trainer_mode: astra" in printed and "name: FillingBuffer" in printed
