"""Plans of a training: sizes that are exact, memory and time by their formulas, what is advised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from astra.cli.main import run
from astra.configs.plan import PlanTrainingConfig
from astra.errors import ConfigError
from astra.training.plan import plan as plan_module
from astra.training.plan.plan import FITS, plan_training
from astra.training.plan.sizes import layer_bytes, model_sizes

QWEN = {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936}
CHECKPOINTS = {
    # As `total_size` in the index of each checkpoint's weights says, which are in bfloat16.
    29_536_614_400: Qwen3Config(
        hidden_size=5120,
        intermediate_size=17_408,
        num_hidden_layers=40,
        num_attention_heads=40,
        tie_word_embeddings=False,
        **QWEN,
    ),
    61_064_245_248: Qwen3MoeConfig(
        hidden_size=2048,
        moe_intermediate_size=768,
        num_experts=128,
        num_experts_per_tok=8,
        num_hidden_layers=48,
        num_attention_heads=32,
        tie_word_embeddings=False,
        **(QWEN | {"num_key_value_heads": 4}),
    ),
    16_060_522_496: LlamaConfig(
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=128_256,
        tie_word_embeddings=False,
    ),
}
TINY = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 300,
    "tie_word_embeddings": False,
}


@pytest.fixture(scope="module")
def qwen14(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen")
    next(iter(CHECKPOINTS.values())).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("size", CHECKPOINTS)
def test_parameters_are_those_of_the_checkpoint(size: int, tmp_path: Path) -> None:
    CHECKPOINTS[size].save_pretrained(tmp_path)
    sizes, _ = model_sizes(str(tmp_path / "config.json"))
    assert 2 * sizes.parameters == size
    if "moe" in CHECKPOINTS[size].model_type:
        embedding = sizes.vocabulary * sizes.width
        assert round((sizes.active + embedding) / 1e9, 1) == 3.4  # "A3B": 3.3, rounded down


def test_what_a_layer_keeps_is_what_autograd_saves(tmp_path: Path) -> None:
    config = Qwen3Config(**TINY, num_hidden_layers=2)
    config.save_pretrained(tmp_path)
    model = Qwen3ForCausalLM(config)
    weights = {weight.data_ptr() for weight in model.parameters()}
    saved: list[dict[int, int]] = []

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and saved and tensor.shape[-2:] != (128, 128):
            saved[-1][storage.data_ptr()] = storage.nbytes()
        return tensor

    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.register_forward_pre_hook(lambda *_: saved.append({}))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        ids = torch.zeros(1, 128, dtype=torch.long)
        # A padded row, which needs a mask, as what is counted has one.
        output = model.model(
            input_ids=ids, attention_mask=torch.arange(128)[None].clamp(max=1), use_cache=False
        )
    assert output.last_hidden_state.requires_grad  # what was saved is still held
    counted = layer_bytes(model_sizes(str(tmp_path))[1], "fp32")
    assert counted == sum(saved[0].values()) / 128


def test_flops_are_those_that_torch_counts(tmp_path: Path) -> None:
    length = 96
    config = Qwen3Config(**TINY, num_hidden_layers=2)
    config.save_pretrained(tmp_path)
    model = Qwen3ForCausalLM._from_config(config, attn_implementation="eager")
    with FlopCounterMode(display=False) as counter:
        ids = torch.zeros(1, length, dtype=torch.long)
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    options: dict[str, Any] = {"max_length": length, "batch_size": 1, "gpu": "h100"}
    plan = plan_training(PlanTrainingConfig(model=tmp_path, **options))
    attention = 6 * plan.sizes.attention * length**2
    # Without a kernel that leaves them out, hidden pairs are computed, too: twice as many.
    assert counter.get_total_flops() == pytest.approx(plan.time.flops + attention, rel=0.01)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are not passed through, which takes a second."""
    bytes_of = {"fp32": 535_400.0, "autocast": 352_360.0, "bf16": 300_648.0}
    monkeypatch.setattr(plan_module, "layer_bytes", lambda _config, dtype: bytes_of[dtype])


def planned(folder: Path, **options: Any) -> Any:
    return plan_training(PlanTrainingConfig(model=folder, **options))


@pytest.mark.usefixtures("counted")
def test_memory_follows_what_it_depends_on(qwen14: Path) -> None:
    whole = planned(qwen14, max_length=4096)
    parameters = whole.sizes.parameters
    standing = whole.memory.weights + whole.memory.gradients + whole.memory.optimizer
    assert standing == 16 * parameters
    split = planned(qwen14, gpus=8, max_length=4096)
    assert split.memory.weights == parameters / 2
    assert split.memory.activations == 40 * 4096 * 5120 * 2  # in bfloat16; 4 bytes under autocast
    assert whole.memory.activations == 2 * split.memory.activations
    long = planned(qwen14, gpus=8, max_length=8192)
    assert long.memory.activations == 2 * split.memory.activations
    assert planned(qwen14, gpus=8, max_length=8192, context_parallel=2).memory.activations == (
        split.memory.activations
    )
    kept = planned(qwen14, gpus=8, max_length=4096, activation_checkpointing=False)
    assert kept.memory.activations > 10 * split.memory.activations
    adapters = planned(qwen14, max_length=4096, lora_rank=16)
    assert adapters.memory.optimizer < 0.01 * whole.memory.optimizer
    # 4 FLOPs instead of 6 a parameter; attention is the same.
    assert 0.66 < adapters.time.flops / whole.time.flops < 0.7
    assert split.time.training_seconds == whole.time.training_seconds / 8


@pytest.mark.usefixtures("counted")
def test_rollouts_hold_a_cache_and_take_time(qwen14: Path) -> None:
    few, many = (planned(qwen14, method="rl", concurrency=count) for count in (8, 16))
    per_episode = 2 * 40 * 8 * 128 * 2 * 16_384  # keys and values in bfloat16
    assert many.memory.rollouts - few.memory.rollouts == 8 * per_episode
    assert few.time.rollout_seconds > many.time.rollout_seconds
    assert planned(qwen14).time.rollout_seconds == 0
    shared = planned(qwen14, method="rl", gpus=8)
    assert shared.settings.vllm
    assert shared.memory.vllm_weights == 2 * shared.sizes.parameters


@pytest.mark.usefixtures("counted")
def test_sampling_ahead_takes_a_copy_of_what_is_trained(qwen14: Path) -> None:
    rank = 16
    # Of a layer: width and what q, k + v, o, gate + up and down have on their other side.
    adapters = 40 * rank * 5120 * 7 + 40 * rank * (5120 * 2 + 1024 * 2 + 17_408 * 3)
    for lora_rank, trained in ((0, 14_768_307_200), (rank, adapters)):
        turns = planned(qwen14, method="rl", lora_rank=lora_rank, max_staleness=0).memory
        ahead = planned(qwen14, method="rl", lora_rank=lora_rank, max_staleness=2).memory
        assert (turns.policy_copy, ahead.policy_copy) == (0, 4 * trained)
        # Passes and rollouts follow one another, or don't.
        before = turns.total - max(turns.gradients + turns.training, turns.rollouts)
        both = turns.gradients + turns.training + turns.rollouts
        assert ahead.total == before + both + 4 * trained
    assert planned(qwen14, method="rl").memory.policy_copy == 0
    plan = planned(qwen14, method="rl", max_staleness=1)
    assert "--max-staleness 0" in [change.option for change in plan.changes]


@pytest.mark.usefixtures("counted")
def test_partial_rollouts_hold_half_a_batch_more(qwen14: Path) -> None:
    more = {"method": "rl", "max_staleness": 2, "concurrency": 1000}
    whole = planned(qwen14, **more, partial_rollouts=False)
    partial = planned(qwen14, **more, partial_rollouts=True)
    assert 2 * partial.settings.episodes_at_once == 3 * whole.settings.episodes_at_once
    assert partial.memory.rollouts > whole.memory.rollouts
    # Where places are short, an episode waits for one, as before.
    few = planned(qwen14, **{**more, "concurrency": 8}, partial_rollouts=True)
    assert few.settings.episodes_at_once == 8


@pytest.mark.usefixtures("counted")
def test_what_to_change_ends_in_what_fits(qwen14: Path) -> None:
    plan = planned(qwen14, max_length=32_768)
    assert not plan.fits
    last = plan.changes[-1]
    assert last.fits
    assert last.total <= FITS * plan.gpu.memory
    gpus = int(last.option.split()[1])
    assert planned(qwen14, max_length=32_768, gpus=gpus).memory.total == last.total
    assert not planned(qwen14, max_length=32_768, gpus=gpus // 2).fits
    hopeless = planned(qwen14, gpu="rtx4090", preset="laptop")
    assert not any(change.fits for change in hopeless.changes)


@pytest.mark.usefixtures("counted")
def test_money_is_that_of_all_gpus(qwen14: Path) -> None:
    plan = planned(qwen14, gpus=8, steps=10, price=3.0, mean_length=5_000)
    assert plan.time.tokens == 32 * 5_000
    assert plan.hours == 10 * plan.time.seconds / 3600
    assert plan.money == pytest.approx(plan.hours * 24)
    assert planned(qwen14, gpus=8).money is None
    assert planned(qwen14, method="rl").steps == 300  # the preset's


@pytest.mark.usefixtures("counted")
def test_the_command_tells_whether_it_fits(
    qwen14: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "plan", "--model", str(qwen14)]
    assert run([*line, "--gpus", "8", "--max-length", "65536"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "14,768,307,200 parameters" in shown
    assert "It fits." in shown
    assert "the model was made for 32,768 tokens" in shown
    assert "6·active" in shown
    assert run([*line, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["fits"]
    assert told["memory"]["total"] > told["gpu"]["memory"]
    assert run([*line, "--method", "rl", "--lora-rank", "8", "--gpu", "b200", "--price", "2"]) == 1
    assert "--concurrency 32" in capsys.readouterr().out


def test_what_is_no_plan_is_an_error(qwen14: Path, tmp_path: Path) -> None:
    for options, said in (
        ({"concurrency": 8}, "concurrency"),
        ({"max_staleness": 1}, "is of rl"),
        ({"partial_rollouts": True}, "partial_rollouts is of rl"),
        ({"method": "rl", "partial_rollouts": True}, "max_staleness 2 or more"),
        ({"method": "rl", "max_staleness": 1, "gpus": 2}, "one process"),
        ({"method": "rl", "max_staleness": 1, "engine": "vllm"}, "the engine transformers"),
        ({"method": "rl", "context_parallel": 2}, "context_parallel"),
        ({"method": "rl", "engine": "transformers", "gpus": 2}, "sharded weights"),
        ({"preset": "paper-32b", "method": "rl"}, "paper-32b"),
    ):
        with pytest.raises(ConfigError, match=said):
            planned(qwen14, **options)
    (tmp_path / "config.json").write_text("{}")
    for model in (tmp_path, tmp_path / "nowhere", tmp_path / "config.json"):
        with pytest.raises(ConfigError, match="cannot load the model"):
            planned(model)
