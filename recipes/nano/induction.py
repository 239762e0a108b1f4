"""A start for small models in which copying is laid out: the first two layers as induction heads.

To call a tool with a name that it has never seen, a model must copy: find where the tokens that it
has just written stood before, and write what came next there. Pretrained models have such
*induction heads* (Olsson et al. 2022, arXiv 2209.11895); learning them from scratch takes most of
the tokens that a nano model is given. So they are laid out, on random weights otherwise, and
trained on like everything else. What to copy, and when, is left to be learned.

How: the first layer's heads look one and two tokens back, by a constant in queries and keys that
rotary positions turn into a distance, and write what stood there into subspaces of its own. The
second layer's heads compare, in one product, the present token with what stood before each place
and the one before it with what stood two before, and write the token of the place they find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from astra.errors import ConfigError

if TYPE_CHECKING:
    from transformers import Qwen3ForCausalLM

_PAIRS = 3
"""Pairs of rotary dimensions that tell distances: the fastest turning ones."""
_LOOK_BACK, _COMPARE = 6.0, 4.0
"""Sharpness of attention in the two layers: weights of the queries' norms."""
_KEPT = 2.0
"""Size of what the first layer writes, in embeddings."""
_WRITTEN = 1.0
"""Size of what the second layer writes."""
_QUIET_MLP, _QUIET_ATTENTION = 0.05, 0.1
"""Factors for the other outputs, which would drown embeddings in noise at first."""


def lay_out_copying(model: Qwen3ForCausalLM) -> None:
    """Change the weights in place; reproducible under torch's seed.

    Raises ConfigError for a model without two layers, an even number of heads and biases.
    """
    config: Any = model.config
    heads, width = config.num_attention_heads, config.hidden_size
    if config.num_hidden_layers < 2 or heads % 2 or not config.attention_bias:
        raise ConfigError("copying is laid out in two layers with an even number of heads each")
    layers: Any = model.model.layers
    with torch.no_grad():
        for index, layer in enumerate(layers):
            layer.mlp.down_proj.weight.mul_(_QUIET_MLP)
            if index > 1:
                layer.self_attn.o_proj.weight.mul_(_QUIET_ATTENTION)
        seen = [_orthogonal(width // heads, width) for _ in range(heads // 2)]
        places = _orthogonal(width, width).split(width // heads, dim=1)
        _look_back(layers[0].self_attn, config, seen, places)
        _compare(layers[1].self_attn, seen, places, width)


def _look_back(
    attention: Any, config: Any, seen: list[torch.Tensor], places: tuple[torch.Tensor, ...]
) -> None:
    """Heads in pairs: the first of each looks one token back, the second two."""
    size = config.head_dim
    attention.q_proj.weight.mul_(_QUIET_ATTENTION)
    attention.k_proj.weight.mul_(_QUIET_ATTENTION)
    for head in range(len(places)):
        here = slice(head * size, (head + 1) * size)
        query, key = _distance(1 + head % 2, size, config.rope_parameters["rope_theta"])
        attention.q_proj.bias[here], attention.k_proj.bias[here] = query, key
        attention.v_proj.weight[here] = seen[head // 2]
        attention.o_proj.weight[:, here] = _KEPT * config.initializer_range * places[head]
    attention.q_norm.weight.fill_(_LOOK_BACK)


def _distance(back: int, size: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Constant query and key whose product, once rotated, is largest `back` tokens apart."""
    half = size // 2
    angle = back * theta ** (-torch.arange(half) / half)
    on = (torch.arange(half) < _PAIRS).float()
    query = torch.cat([on * (angle.cos() + angle.sin()), on * (angle.cos() - angle.sin())])
    return query, torch.cat([on, on])


def _compare(
    attention: Any, seen: list[torch.Tensor], places: tuple[torch.Tensor, ...], width: int
) -> None:
    """What the model reads now against what was read one and two before each place."""
    size = len(seen[0])
    for pair, here in enumerate(seen):
        before, earlier = places[2 * pair].T, places[2 * pair + 1].T
        for head, part in enumerate(_orthogonal(size, size).split(size // 2)):
            rows = slice((2 * pair + head) * size, (2 * pair + head + 1) * size)
            attention.q_proj.weight[rows] = torch.cat([part @ here, part @ before])
            attention.k_proj.weight[rows] = torch.cat([part @ before, part @ earlier])
    value = _orthogonal(width, width)
    attention.v_proj.weight.copy_(value)
    attention.o_proj.weight.copy_(_WRITTEN * value.T)
    attention.q_norm.weight.fill_(_COMPARE)


def _orthogonal(rows: int, columns: int) -> torch.Tensor:
    return torch.nn.init.orthogonal_(torch.empty(rows, columns))
