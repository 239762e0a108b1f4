"""Sizes of a model, from its configuration alone: nothing is downloaded but config.json.

Parameters are those of the model built without memory for its weights. What a layer keeps for the
backward pass is counted, not estimated: tensors without content (`FakeTensor`) are passed through
the first layers, and autograd tells what it saves.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers.modeling_layers import GradientCheckpointingLayer

from astra.engines.loading import load_skeleton, untrained_model
from astra.errors import ConfigError

PassDtype = Literal["fp32", "autocast", "bf16"]
"""autocast: weights in float32, matrix products in bfloat16. bf16: weights, too, as under FSDP."""
_LAYERS = 4
"""Layers that are passed through: more than one, for the first ones may differ."""
_LENGTHS = 131, 263
"""Primes, so that they are no size of a model's own."""


@dataclass(frozen=True)
class ModelSizes:
    """Numbers of a model, not bytes, unless they say so."""

    name: str
    parameters: int
    active: int
    """Parameters that take part in a token's matrix products: without the input embedding, and of
    experts those that a token is sent to."""
    layers: int
    width: int
    vocabulary: int
    attention: int
    """Heads × head size, over all layers."""
    cached: int
    """Numbers in the key-value cache per token, over all layers."""
    largest_layer: int
    """Parameters of the largest layer."""
    positions: int
    """Longest sequence that the model was made for. 0: not told."""
    linear: tuple[tuple[int, int], ...]
    """Inputs and outputs of the linear layers that LoRA adapts: all but the head."""

    def lora(self, rank: int) -> int:
        """Parameters of adapters on all linear layers but the head."""
        return rank * sum(map(sum, self.linear))


def model_sizes(name: str) -> tuple[ModelSizes, Any]:
    """The sizes of a model and its configuration. ConfigError if there is no such model."""
    model: Any = load_skeleton(name)
    config = model.config.get_text_config()
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if not layers or embedding is None or head is None:
        raise ConfigError(f"{name!r} is not a language model with layers that can be counted")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    experts = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
    active = parameters - experts + round(experts * _share_of_experts(config))
    if head.weight is not embedding.weight:
        active -= embedding.weight.numel()
    heads = int(config.num_attention_heads)
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    key_value_heads = getattr(config, "num_key_value_heads", None) or heads
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    sizes = ModelSizes(
        name=name,
        parameters=parameters,
        active=active,
        layers=len(layers),
        width=int(config.hidden_size),
        vocabulary=int(head.weight.shape[0]),
        attention=len(layers) * heads * size,
        cached=2 * len(layers) * key_value_heads * size,
        largest_layer=max(sum(p.numel() for p in layer.parameters()) for layer in layers),
        positions=int(getattr(config, "max_position_embeddings", 0) or 0),
        linear=tuple((m.in_features, m.out_features) for m in linear),
    )
    return sizes, model.config


def layer_bytes(config: Any, dtype: PassDtype) -> float:
    """Bytes per token that the most demanding layer keeps for its backward pass, with padding.

    ConfigError for a model whose passes can't be followed without content.
    """
    factor = 1
    if dtype != "bf16" and _share_of_experts(config.get_text_config()) < 1:
        # PyTorch follows products of grouped experts in bfloat16 alone: at most twice as much.
        dtype, factor = "bf16", 2
    first, second = (_saved(config, dtype, length) for length in _LENGTHS)
    # What does not grow with the length are copies of weights, which are counted elsewhere.
    return factor * max(second[i] - first[i] for i in second) / (_LENGTHS[1] - _LENGTHS[0])


def _saved(config: Any, dtype: PassDtype, length: int) -> Counter[int]:
    """Bytes saved for the backward pass, by layer, for one sequence."""
    short = copy.deepcopy(config)
    text = short.get_text_config()
    layers = min(_LAYERS, text.num_hidden_layers)
    for name, value in vars(text).items():
        if isinstance(value, list) and len(value) == text.num_hidden_layers:
            setattr(text, name, value[:layers])  # such as `layer_types`
    text.num_hidden_layers = layers
    saved: Counter[int] = Counter()
    current = [-1]
    seen: dict[int, Any] = {}

    def enter(index: int) -> None:
        current[0] = index

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        # Masks and scores of all pairs are counted elsewhere, and flash attention has none.
        of_pairs = tensor.shape[-2:] == (length, length)
        # Kept in `seen`, so that no later storage gets the same address.
        if storage._cdata not in seen and current[0] >= 0 and not of_pairs:
            saved[current[0]] += storage.nbytes()
        seen[storage._cdata] = storage
        return tensor

    try:
        with FakeTensorMode():
            model: Any = untrained_model(
                short,
                attn_implementation="sdpa",
                dtype=torch.bfloat16 if dtype == "bf16" else torch.float32,
            )
            model.train()
            for weight in (*model.parameters(), *model.buffers()):
                seen[weight.untyped_storage()._cdata] = weight
            found = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
            for index, layer in enumerate(found):
                layer.register_forward_pre_hook(lambda *_, index=index: enter(index))
                layer.register_forward_hook(lambda *_: enter(-1))
            with (
                torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
                torch.autocast("cpu", torch.bfloat16, enabled=dtype == "autocast"),
            ):
                ids = torch.zeros(1, length, dtype=torch.long)
                model.base_model(input_ids=ids, use_cache=False)
    except Exception as error:
        raise ConfigError(
            f"the passes of {config.model_type!r} can't be followed without its weights: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    return saved


def _share_of_experts(config: Any) -> float:
    """Fraction of the experts' parameters that a token is sent to."""
    chosen = getattr(config, "num_experts_per_tok", None)
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    experts = next((n for name in names if (n := getattr(config, name, None))), None)
    return chosen / experts if chosen and experts else 1.0
