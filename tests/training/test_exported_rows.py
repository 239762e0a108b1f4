"""Rows of `astra trajectories export` in TRL's own SFTTrainer, with nothing of ours between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import load_dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from astra.configs.trajectories import ExportTrajectoriesConfig
from astra.training.sft.rows import read_rows
from astra.trajectories.export.dataset import export_dataset
from recipes.nano.model import make_nano
from tests.trajectories.rollouts import folder_of, rollout

from .sft_made import TINY

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_trl_trains_on_the_rows_as_they_are(tmp_path: Path, kind: str) -> None:
    arguments = ('{"city": "Oslo"}', '{"day": 4}')
    rows = [(rollout(i, arguments=arguments[i % 2]), 0.9) for i in range(4)]
    run = folder_of(tmp_path / "run", rows)
    export_dataset(
        ExportTrajectoriesConfig(run.path, out=tmp_path / "out", test_fraction=0, parquet=True)
    )
    make_nano(list(read_rows(tmp_path / "out/train.jsonl")), tmp_path / "nano", TINY)
    file = tmp_path / f"out/train.{'jsonl' if kind == 'json' else kind}"
    dataset = load_dataset(
        kind, data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
    )
    config = SFTConfig(
        output_dir=str(tmp_path / "sft"),
        max_steps=2,
        per_device_train_batch_size=2,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    trainer = SFTTrainer(str(tmp_path / "nano"), args=config, train_dataset=dataset)
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert trainer.state.global_step == 2 and len(losses) == 2
    texts = [trainer.processing_class.decode(row["input_ids"]) for row in trainer.train_dataset]
    for text, made in zip(texts, arguments, strict=False):
        assert "The weather of a city" in text and "12 degrees." in text
        assert json.dumps(json.loads(made), separators=(",", ":")) in text
