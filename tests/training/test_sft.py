"""Real runs of TRL's SFTTrainer on a tiny model: what they write, and how they go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen3Config, TrainerCallback
from trl.trainer.sft_config import SFTConfig

import astra.training.presets
from astra.configs.training import TrainSFTConfig
from astra.errors import ConfigError
from astra.training.checkpoints import checkpoints, to_resume
from astra.training.parameter_lrs import set_parameter_lrs
from astra.training.presets.resolve import require_known, resolve, with_fitting_micro_batch
from astra.training.sft.encode import EncodedRow
from astra.training.sft.train import (
    accumulation_steps,
    grouped_by_length,
    train_sft,
    with_full_loss,
)

from .sft_made import sft_config, tiny

PRESET_FOLDER = Path(astra.training.presets.__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


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
    report = train_sft(sft_config(folder, learning_rate=0.02))
    counts = [report.metrics[name] for name in ("rows", "cut", "dropped")]
    assert (report.steps, counts) == (12, [24, 0, 0])
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

    done = sft_config(
        folder, "once", limit=4, trl={"max_steps": 1}, group_by_length=False, full_loss_fraction=0
    )
    train_sft(done)
    rows = encode_rows(
        ChatTemplate(AutoTokenizer.from_pretrained(str(done.model))),
        list(read_rows(Path(done.dataset)))[:4],
        None,
    ).rows
    model = AutoModelForCausalLM.from_pretrained(str(done.model))
    total = count = 0.0
    for row in rows:
        logits = model(torch.tensor([row.input_ids])).logits[0, :-1]
        labels = torch.tensor(row.labels[1:])
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        total, count = total + loss.item(), count + (labels != -100).sum().item()
    assert logged(Path(done.out))[0]["loss"] == pytest.approx(total / count, rel=1e-4)


class Stop(TrainerCallback):
    """Breaks the run off after a step, as a crash does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_a_stopped_run_is_resumed_where_it_was(folder: Path) -> None:
    train_sft(sft_config(folder, "whole"))
    config = sft_config(folder, "parts", save_every=4)
    with pytest.raises(KeyboardInterrupt):
        train_sft(config, callbacks=(Stop(9),))
    (folder / "parts/checkpoints/checkpoint-9").mkdir()  # as a kill while saving leaves it
    result = train_sft(config)
    assert logged(folder / "parts") == logged(folder / "whole")
    one, other = weights(folder / "parts/final"), weights(folder / "whole/final")
    assert all(torch.equal(one[name], other[name]) for name in one)
    # A finished run is returned as it is.
    assert train_sft(config).steps == result.steps == 12
    with pytest.raises(ConfigError, match="exists"):
        train_sft(replace(config, if_exists="fail"))


def test_a_killed_run_goes_on_with_the_same_curve(folder: Path) -> None:
    """kill -9 in the middle of a run of the command itself."""
    command = [
        *(sys.executable, "-m", "astra", "train", "sft"),
        *("--dataset", str(folder / "rows.jsonl"), "--save-every", "3", "--epochs", "4"),
        *("--model", str(folder / "nano"), "--preset", "nano", "--batch-size", "4"),
        *("--micro-batch-size", "2", "--trl", "logging_steps=1"),
        *("--json", "--out", str(folder / "killed")),
    ]
    metrics = folder / "killed/metrics.jsonl"
    with (folder / "killed.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + 240
        while not (metrics.exists() and metrics.read_bytes().count(b"\n") > 6):
            assert process.poll() is None, (folder / "killed.log").read_text("utf-8")
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    found = to_resume(folder / "killed/checkpoints")
    assert found is not None
    train_sft(sft_config(folder, "killed", save_every=3, epochs=4))
    train_sft(sft_config(folder, "unkilled", save_every=3, epochs=4))
    assert logged(folder / "killed") == logged(folder / "unkilled")


def test_lora_trains_an_adapter_and_writes_a_whole_model(folder: Path) -> None:
    report = train_sft(sft_config(folder, "lora", lora_rank=2, trl={"max_steps": 2}))
    assert (folder / "lora/adapter/adapter_config.json").exists()
    before, after = weights(folder / "nano"), weights(Path(report.model))
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed
    assert not any("embed" in name or "norm" in name for name in changed)


def test_what_stands_beside_the_matrices_can_have_a_rate_of_its_own(folder: Path) -> None:
    report = train_sft(sft_config(folder, "vectors", learning_rate=0.0, trl={"max_steps": 2}))
    before, after = weights(folder / "nano"), weights(Path(report.model))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if before[name].ndim < 2 or "embed" in name}
    with pytest.raises(ConfigError, match="matches no trained parameter"):
        train_sft(sft_config(folder, "frozen", lora_rank=2, parameter_lrs={"*norm*": 0.1}))


@pytest.mark.parametrize("kind", ["sft", "rl"])
def test_the_nano_preset_fits_models_with_and_without_biases(kind: str) -> None:
    preset = tomllib.loads((PRESET_FOLDER / kind / "nano.toml").read_text())["parameter_lrs"]
    sizes = {"vocab_size": 20, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1}
    for family in (Qwen2Config, Qwen3Config):
        model = AutoModelForCausalLM.from_config(family(**sizes, **heads))
        names = {name: id(parameter) for name, parameter in model.named_parameters()}
        assert any("bias" in name for name in names) == (family is Qwen2Config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
        set_parameter_lrs(optimizer, model, preset)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        moved = {name for name in names if rates[names[name]] != 0.5}
        own = {name for name in names if name == "model.norm.weight"}
        if kind == "sft":
            own |= {n for n in names if "norm" in n or "embed" in n or n.endswith(".bias")}
        assert moved == own and rates.keys() == set(names.values())
        with pytest.raises(ConfigError, match=r"'\*\.bais' matches no trained parameter"):
            set_parameter_lrs(optimizer, model, {**preset, "*.bais": 0.1})


def test_a_run_shorter_than_its_log_tells_its_loss(folder: Path) -> None:
    short = {"max_steps": 2, "logging_steps": 10, "logging_first_step": False}
    report = train_sft(sft_config(folder, "short", trl=short))
    assert not any("loss" in row for row in logged(folder / "short"))
    assert 0 < report.metrics["loss"] < 10


def test_other_options_are_refused_on_going_on(folder: Path, tmp_path: Path) -> None:
    tiny(tmp_path, 8)
    with pytest.raises(KeyboardInterrupt):
        train_sft(sft_config(tmp_path), callbacks=(Stop(1),))
    with pytest.raises(ConfigError, match="learning_rate"):
        train_sft(sft_config(tmp_path, learning_rate=1.0))


def test_weights_can_be_bounded_too(folder: Path) -> None:
    few = {"keep_resumable": 1, "keep_checkpoints": 3, "trl": {"max_steps": 6}}
    train_sft(sft_config(folder, "few", **few))
    saved = checkpoints(folder / "few/checkpoints")
    assert [path.name for path in saved] == ["checkpoint-4", "checkpoint-5", "checkpoint-6"]
    assert [(path / "optimizer.pt").exists() for path in saved] == [False, False, True]


def resolved(preset: str, **options: Any) -> TrainSFTConfig:
    empty = TrainSFTConfig(model="m", dataset="d", out="o", preset=preset, **options)
    return resolve(empty, "sft")[0]


def test_paper_presets_hold_the_papers_settings() -> None:
    for name, rate, parallel in (("paper-14b", 5e-6, 2), ("paper-32b", 2e-6, 4)):
        config = resolved(name)
        assert (config.batch_size, config.context_parallel) == (32, parallel)
        assert (config.learning_rate, config.epochs, config.max_length) == (rate, 2, 20_000)
        assert (config.lr_schedule, config.warmup) == ("cosine", 0.05)


def test_batches_are_made_of_processes_and_rows() -> None:
    assert accumulation_steps(resolved("paper-14b"), 8) == 8
    assert accumulation_steps(resolved("paper-32b"), 8) == 16
    with pytest.raises(ConfigError, match="accelerate launch"):
        accumulation_steps(resolved("paper-14b"), 1)
    with pytest.raises(ConfigError, match="can't be made"):
        accumulation_steps(resolved("nano", batch_size=17), 1)
    fitting = with_fitting_micro_batch(resolved("nano", batch_size=18), 1)
    assert (fitting.micro_batch_size, accumulation_steps(fitting, 1)) == (9, 2)


def test_what_is_typed_wins_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text((PRESET_FOLDER / "sft" / "nano.toml").read_text().replace("epochs = 1", ""))
    assert resolved(str(file), epochs=3, learning_rate=0.5).learning_rate == 0.5
    with pytest.raises(ConfigError, match="'epochs'"):
        resolved(str(file))
    with pytest.raises(ConfigError, match="nowhere"):
        resolved("nowhere.toml")
    file.write_text("epoch = 1")
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        resolved(str(file))


def test_auto_chooses_by_the_size_of_the_model(folder: Path) -> None:
    config, title = resolve(TrainSFTConfig(model=folder / "nano", dataset="d", out="o"), "sft")
    assert config.preset == "nano" and "by model and device" in title
    for name, why in (("none", "there is no such folder"), ("run", "that of the run is '.*final'")):
        if name == "run":
            (folder / "run" / "final").mkdir(parents=True)
            (folder / "run" / "final" / "config.json").write_text("{}")
        with pytest.raises(ConfigError, match=f"cannot load the model .*: .*{why}"):
            resolve(TrainSFTConfig(model=folder / name, dataset="d", out="o"), "sft")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("adam_beta", "adam_beta"),
        ("output_dir", "use out"),
        ("learning_rate", "use learning_rate"),
        ("assistant_only_loss", "masked"),
    ],
)
def test_options_of_trl_that_do_not_pass(name: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        require_known({name: 1}, SFTConfig)
    require_known({"adam_beta2": 0.9}, SFTConfig)


def test_a_share_of_the_rows_can_have_loss_on_every_token() -> None:
    rows = [EncodedRow([i, i, i], [-100, i, -100]) for i in range(10)]
    some = with_full_loss(rows, 0.3, seed=1)
    assert [r.input_ids for r in some] == [r.input_ids for r in rows]
    assert sum(r.labels == r.input_ids for r in some) == 3
    assert with_full_loss(rows, 0.0, seed=1) == rows
    mistaken = [EncodedRow([1, 2, 3], [-100, -100, 3], frozenset({1}))]
    assert with_full_loss(mistaken, 1.0, seed=1)[0].labels == [1, -100, 3]


def test_grouped_rows_are_all_there_and_alike_in_length() -> None:
    rows = [EncodedRow([i] * (1 + i * 7 % 50), []) for i in range(203)]
    order = grouped_by_length(rows, 8, seed=1)
    assert sorted(r.input_ids for r in order) == sorted(r.input_ids for r in rows)
    assert order == grouped_by_length(rows, 8, seed=1)
    assert order != grouped_by_length(rows, 8, seed=2)

    def padding(of: list[EncodedRow]) -> int:
        batches = [of[i : i + 8] for i in range(0, len(of), 8)]
        return sum(max(len(r.input_ids) for r in b) * len(b) for b in batches)

    assert padding(order) < 0.75 * padding(rows)
