"""Models that do not write one token after the other, each from those before it, are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    DiffusionGemmaConfig,
    Gemma3TextConfig,
    ModernBertConfig,
    PretrainedConfig,
    Qwen3Config,
    T5Config,
)

from astra.configs.plan import PlanTrainingConfig
from astra.configs.training import TrainRLConfig
from astra.engines.loading import load_engine, load_skeleton
from astra.errors import ConfigError
from astra.training.plan.plan import plan_training
from astra.training.rl.train import train_rl
from astra.training.sft.train import train_sft

from . import rl_given
from .sft_made import sft_config, tiny

SMALL: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
}
DECODER: dict[str, Any] = SMALL | {"num_key_value_heads": 1, "head_dim": 16}
REFUSED = {
    "diffusion": (DiffusionGemmaConfig(), "transformers has none of its type"),
    "encoder": (ModernBertConfig(**SMALL), "transformers has none of its type"),
    "encoder and decoder": (T5Config(), "it reads with an encoder"),
    "masked": (BertConfig(**SMALL), "is_decoder is not set"),
    "for embeddings": (
        Gemma3TextConfig(**DECODER, use_bidirectional_attention=True),
        "use_bidirectional_attention",
    ),
    "by its configuration": (Qwen3Config(**DECODER, is_causal=False), "is_causal is false"),
}
TAKEN = [
    BertConfig(**SMALL, is_decoder=True),
    Gemma3TextConfig(**DECODER),
    Qwen3Config(**DECODER),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    tiny(folder)
    rl_given.world(folder / "arenas")
    return folder


@pytest.mark.parametrize("kind", REFUSED)
def test_all_that_loads_a_model_refuses_one_that_is_not_causal(
    kind: str, made: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    model = folder / "nano"
    config, why = REFUSED[kind]
    config.save_pretrained(model)
    rl = TrainRLConfig(arenas=folder / "arenas", model=model, out=tmp_path / "rl", preset="nano")
    for load in (
        lambda: train_sft(sft_config(folder)),
        lambda: train_rl(rl),
        lambda: load_engine(str(model), device="cpu"),
        lambda: plan_training(PlanTrainingConfig(model=model)),
    ):
        with pytest.raises(ConfigError, match=f"no causal language model .*{why}"):
            load()


def sees_later_tokens(config: PretrainedConfig) -> bool:
    """Whether what a model says of its first tokens depends on the last one."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    with torch.no_grad():
        one, other = (model(torch.tensor([[1, 2, 3, last]])).logits[0, :3] for last in (4, 5))
    return not torch.equal(one, other)


def test_what_is_refused_sees_later_tokens_and_what_is_taken_does_not(tmp_path: Path) -> None:
    for kind in ("masked", "for embeddings", "by its configuration"):
        assert sees_later_tokens(REFUSED[kind][0]), kind
    for config in TAKEN:
        assert not sees_later_tokens(config), config.model_type
        config.save_pretrained(tmp_path)
        assert load_skeleton(str(tmp_path)).num_parameters() > 0
