"""Real runs of TRL's SFTTrainer on a tiny model: what they write, and how they go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, TrainerCallback
from trl.trainer.sft_config import SFTConfig

from astra.errors import ConfigError
from astra.training.checkpoints import checkpoints, to_resume
from astra.training.sft.encode import EncodedRow
from astra.training.sft.presets import PRESETS, parse_settings
from astra.training.sft.train import (
    SFTJob,
    accumulation,
    grouped,
    some_whole,
    train_sft,
    with_settings,
)

from .sft_made import preset, tiny

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def job(folder: Path, out: str = "sft", **options: Any) -> SFTJob:
    settings = options.pop("settings", {})
    return SFTJob(
        model=str(folder / "nano"),
        rows=folder / "rows.jsonl",
        out=folder / out,
        preset=options.pop("preset", preset(**settings)),
        quiet=True,
        **options,
    )


def logged(out: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(folder).named_parameters())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sft")
    tiny(made)
    return made


def test_a_run_learns_and_leaves_weights_and_two_states(folder: Path) -> None:
    report = train_sft(job(folder, settings={"learning_rate": 0.02}))
    assert (report.rows, report.steps, report.cut, report.dropped) == (24, 12, 0, 0)
    losses = [row["loss"] for row in logged(folder / "sft") if "loss" in row]
    assert len(losses) == 12
    assert losses[-1] < 0.7 * losses[0]
    before, after = weights(folder / "nano"), weights(Path(report.model))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    saved = checkpoints(folder / "sft/checkpoints")
    assert [path.name for path in saved] == [f"checkpoint-{n}" for n in range(1, 13)]
    assert all((path / "model.safetensors").exists() for path in saved)
    assert [(path / "optimizer.pt").exists() for path in saved] == [False] * 10 + [True] * 2
    sizes = [sum(f.stat().st_size for f in path.iterdir()) for path in saved]
    state = (saved[-1] / "optimizer.pt").stat().st_size
    assert sizes[0] < sizes[-1] - state
    assert state > 1.5 * (saved[-1] / "model.safetensors").stat().st_size


def test_loss_is_that_of_the_masked_tokens(folder: Path) -> None:
    """The first step's loss, computed again by hand from the rows' labels."""
    from transformers import AutoTokenizer

    from astra.chat.template import ChatTemplate
    from astra.training.sft.encode import encode_rows
    from astra.training.sft.rows import read_rows

    one = with_settings(preset(max_steps=1), {}, grouped=False, whole=0.0)
    done = job(folder, "once", preset=one, limit=4)
    train_sft(done)
    rows = encode_rows(
        ChatTemplate(AutoTokenizer.from_pretrained(done.model)),
        list(read_rows(done.rows))[:4],
        None,
    ).rows
    model = AutoModelForCausalLM.from_pretrained(done.model)
    total = count = 0.0
    for row in rows:
        logits = model(torch.tensor([row.input_ids])).logits[0, :-1]
        labels = torch.tensor(row.labels[1:])
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        total, count = total + loss.item(), count + (labels != -100).sum().item()
    assert logged(done.out)[0]["loss"] == pytest.approx(total / count, rel=1e-4)


class Stop(TrainerCallback):
    """Breaks the run off after a step, as a crash does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_a_stopped_run_goes_on_where_it_was(folder: Path) -> None:
    train_sft(job(folder, "whole"))
    with pytest.raises(KeyboardInterrupt):
        train_sft(job(folder, "parts", callbacks=(Stop(9),), settings={"save_steps": 4}))
    (folder / "parts/checkpoints/checkpoint-9").mkdir()  # as a kill while saving leaves it
    with pytest.raises(ConfigError, match="--resume"):
        train_sft(job(folder, "parts", settings={"save_steps": 4}))
    train_sft(job(folder, "parts", resume=True, settings={"save_steps": 4}))
    assert logged(folder / "parts") == logged(folder / "whole")
    one, other = weights(folder / "parts/final"), weights(folder / "whole/final")
    assert all(torch.equal(one[name], other[name]) for name in one)
    again = train_sft(job(folder, "parts", resume=True, settings={"save_steps": 4}))
    assert again.loss is None


def test_a_killed_run_goes_on_with_the_same_curve(folder: Path) -> None:
    """kill -9 in the middle of a run of the command itself."""
    command = [
        *(sys.executable, "-m", "astra", "train", "sft", "--rows", str(folder / "rows.jsonl")),
        *("--model", str(folder / "nano"), "--preset", "nano", "--batch", "4"),
        *("--rows-at-once", "2", "--set", "logging_steps=1", "--set", "save_steps=5"),
        *("--set", "num_train_epochs=40", "--json", "--out", str(folder / "killed")),
    ]
    metrics = folder / "killed/metrics.jsonl"
    with (folder / "killed.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + 240
        while not (metrics.exists() and metrics.read_bytes().count(b"\n") > 12):
            assert process.poll() is None, (folder / "killed.log").read_text("utf-8")
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    found = to_resume(folder / "killed/checkpoints")
    assert found is not None
    settings = {"save_steps": 5, "num_train_epochs": 40}
    train_sft(job(folder, "killed", resume=True, settings=settings))
    train_sft(job(folder, "unkilled", settings=settings))
    assert logged(folder / "killed") == logged(folder / "unkilled")


def test_lora_trains_an_adapter_and_writes_a_whole_model(folder: Path) -> None:
    lora = with_settings(preset(max_steps=2), {}, lora=2, vector_lr=0.0)
    report = train_sft(job(folder, "lora", preset=lora))
    assert (folder / "lora/adapter/adapter_config.json").exists()
    before, after = weights(folder / "nano"), weights(Path(report.model))
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed
    assert not any("embed" in name or "norm" in name for name in changed)


def test_what_stands_beside_the_matrices_can_have_a_rate_of_its_own(folder: Path) -> None:
    still = {"max_steps": 2, "learning_rate": 0.0}
    report = train_sft(job(folder, "vectors", settings=still))
    before, after = weights(folder / "nano"), weights(Path(report.model))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if before[name].ndim < 2 or "embed" in name}
    with pytest.raises(ConfigError, match="matches no trained parameter"):
        train_sft(job(folder, "frozen", preset=with_settings(preset(max_steps=2), {}, lora=2)))


def test_a_run_shorter_than_its_log_tells_its_loss(folder: Path) -> None:
    short = {"max_steps": 2, "logging_steps": 10, "logging_first_step": False}
    report = train_sft(job(folder, "short", settings=short))
    assert not any("loss" in row for row in logged(folder / "short"))
    assert report.loss is not None
    assert 0 < report.loss < 10


def test_other_options_are_refused_on_going_on(folder: Path, tmp_path: Path) -> None:
    tiny(tmp_path, 8)
    with pytest.raises(KeyboardInterrupt):
        train_sft(job(tmp_path, callbacks=(Stop(1),)))
    with pytest.raises(Exception, match="learning_rate"):
        train_sft(job(tmp_path, resume=True, settings={"learning_rate": 1.0}))


def test_weights_can_be_bounded_too(folder: Path) -> None:
    train_sft(job(folder, "few", keep_states=1, keep_weights=3, settings={"max_steps": 6}))
    saved = checkpoints(folder / "few/checkpoints")
    assert [path.name for path in saved] == ["checkpoint-4", "checkpoint-5", "checkpoint-6"]
    assert [(path / "optimizer.pt").exists() for path in saved] == [False, False, True]


def test_paper_presets_say_what_the_paper_says() -> None:
    small, large = PRESETS["paper-14b"], PRESETS["paper-32b"]
    for made, rate, parallel in ((small, 5e-6, 2), (large, 2e-6, 4)):
        assert (made.batch, made.context_parallel) == (32, parallel)
        wanted = {
            "learning_rate": rate,
            "num_train_epochs": 2,
            "max_length": 20_000,
            "packing": False,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.05,
        }
        assert {name: made.trl[name] for name in wanted} == wanted
    for name, made in PRESETS.items():
        SFTConfig(**{**made.trl, "bf16": False}, output_dir=name)  # TRL knows every option


def test_batches_are_made_of_processes_and_rows() -> None:
    assert accumulation(PRESETS["paper-14b"], 8) == 8
    assert accumulation(PRESETS["paper-32b"], 8) == 16
    with pytest.raises(ConfigError, match="accelerate launch"):
        accumulation(PRESETS["paper-14b"], 1)
    with pytest.raises(ConfigError, match="rows at once"):
        accumulation(with_settings(PRESETS["nano"], {}, batch=17), 1)


def test_settings_are_read_and_misspelt_ones_refused() -> None:
    given = parse_settings(["learning_rate=1e-5", "packing=true", "max-length=null"], SFTConfig)
    assert given == {"learning_rate": 1e-5, "packing": True, "max_length": None}
    for wrong, match in (
        ("learningrate=1", "learning_rate"),
        ("packing", "KEY=VALUE"),
        ("output_dir=x", "--out"),
        ("assistant_only_loss=false", "masked"),
    ):
        with pytest.raises(ConfigError, match=match):
            parse_settings([wrong], SFTConfig)


def test_a_share_of_the_rows_can_have_loss_on_every_token() -> None:
    rows = [EncodedRow([i, i, i], [-100, i, -100]) for i in range(10)]
    some = some_whole(rows, 0.3, seed=1)
    assert [r.input_ids for r in some] == [r.input_ids for r in rows]
    assert sum(r.labels == r.input_ids for r in some) == 3
    assert some_whole(rows, 0.0, seed=1) == rows


def test_grouped_rows_are_all_there_and_alike_in_length() -> None:
    rows = [EncodedRow([i] * (1 + i * 7 % 50), []) for i in range(203)]
    order = grouped(rows, 8, seed=1)
    assert sorted(r.input_ids for r in order) == sorted(r.input_ids for r in rows)
    assert order == grouped(rows, 8, seed=1)
    assert order != grouped(rows, 8, seed=2)

    def padding(of: list[EncodedRow]) -> int:
        batches = [of[i : i + 8] for i in range(0, len(of), 8)]
        return sum(max(len(r.input_ids) for r in b) * len(b) for b in batches)

    assert padding(order) < 0.75 * padding(rows)
