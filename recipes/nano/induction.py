"""First weights that can copy: the first two layers as induction heads.

To call a tool with a name that it has never seen, a model must copy: find the earlier position of
the tokens that it has just written, and write what came next there. Pretrained models have such
*induction heads* (Olsson et al. 2022, arXiv 2209.11895). Learning them from random weights takes
most of the tokens that a nano model trains on, so they are set by hand here. They are trained on
like all other weights, and what to copy and when has to be learned.

Layer 1 looks back: a constant in queries and keys, which rotary positions turn into a distance,
makes the heads attend one and two tokens back. They write these tokens into subspaces of their own.
Layer 2 compares: one product matches the present token with the token before each position, and
the previous token with the one two before it. The heads write the token of the best match.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from astra.errors import ConfigError

if TYPE_CHECKING:
    from transformers import Qwen3ForCausalLM

_DISTANCE_PAIRS = 3
"""Pairs of rotary dimensions that encode distance: those with the highest frequency."""
_LOOK_BACK_SHARPNESS, _COMPARE_SHARPNESS = 6.0, 4.0
"""Sharpness of attention in the two layers: the weights of the norms of queries."""
_LOOK_BACK_SCALE, _COPY_SCALE = 2.0, 1.0
"""Size of what the two layers write; of the first in units of an embedding's."""
_MLP_DAMPING, _ATTENTION_DAMPING = 0.05, 0.1
"""Factors on the random outputs, which would bury the embeddings in noise at first."""


def set_induction_heads(model: Qwen3ForCausalLM) -> None:
    """Change the weights in place; reproducible under torch's seed.

    Raises ConfigError for a model without two layers, an even number of heads and biases.
    """
    config: Any = model.config
    heads, width, size = config.num_attention_heads, config.hidden_size, config.head_dim
    if config.num_hidden_layers < 2 or heads % 2 or not config.attention_bias:
        raise ConfigError(
            f"copying needs two layers and an even number of heads: this model has "
            f"{config.num_hidden_layers!r} and {heads!r}"
        )
    layers: Any = model.model.layers
    with torch.no_grad():
        for index, layer in enumerate(layers):
            layer.mlp.down_proj.weight.mul_(_MLP_DAMPING)
            if index > 1:
                layer.self_attn.o_proj.weight.mul_(_ATTENTION_DAMPING)
        # Heads work in pairs: the first of a pair looks one token back, the second two.
        # `readers[pair]` projects a token; `subspaces[head]` is where a head writes it.
        readers = [_orthogonal(width // heads, width) for _ in range(heads // 2)]
        subspaces = _orthogonal(width, width).split(width // heads, dim=1)

        look_back = layers[0].self_attn
        look_back.q_proj.weight.mul_(_ATTENTION_DAMPING)
        look_back.k_proj.weight.mul_(_ATTENTION_DAMPING)
        for head, subspace in enumerate(subspaces):
            rows = slice(head * size, (head + 1) * size)
            query, key = _attend_back(1 + head % 2, size, config.rope_parameters["rope_theta"])
            look_back.q_proj.bias[rows], look_back.k_proj.bias[rows] = query, key
            look_back.v_proj.weight[rows] = readers[head // 2]
            scale = _LOOK_BACK_SCALE * config.initializer_range
            look_back.o_proj.weight[:, rows] = scale * subspace
        look_back.q_norm.weight.fill_(_LOOK_BACK_SHARPNESS)

        compare = layers[1].self_attn
        for pair, reader in enumerate(readers):
            one_back, two_back = subspaces[2 * pair].T, subspaces[2 * pair + 1].T
            for head, half in enumerate(_orthogonal(size, size).split(size // 2)):
                rows = slice((2 * pair + head) * size, (2 * pair + head + 1) * size)
                compare.q_proj.weight[rows] = torch.cat([half @ reader, half @ one_back])
                compare.k_proj.weight[rows] = torch.cat([half @ one_back, half @ two_back])
        value = _orthogonal(width, width)
        compare.v_proj.weight.copy_(value)
        # The transpose of an orthogonal matrix undoes it: the token itself is written.
        compare.o_proj.weight.copy_(_COPY_SCALE * value.T)
        compare.q_norm.weight.fill_(_COMPARE_SHARPNESS)


def _attend_back(distance: int, size: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Constant query and key whose product, once rotated, is largest `distance` tokens apart."""
    half = size // 2
    angle = distance * theta ** (-torch.arange(half) / half)
    used = (torch.arange(half) < _DISTANCE_PAIRS).float()
    query = torch.cat([used * (angle.cos() + angle.sin()), used * (angle.cos() - angle.sin())])
    return query, torch.cat([used, used])


def _orthogonal(rows: int, columns: int) -> torch.Tensor:
    return torch.nn.init.orthogonal_(torch.empty(rows, columns))
