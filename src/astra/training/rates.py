"""Learning rates of their own for some of a model's weights.

One rate for all suits matrices, and the larger the model the smaller it must be. What stands beside
them (embeddings, norms, biases) bears and, in a small model, wants a far larger one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from astra.errors import ConfigError


def set_rate(optimizer: torch.optim.Optimizer, weights: Iterable[Tensor], lr: float) -> None:
    """Move weights of an optimiser into a group with this rate and no weight decay."""
    moved = {id(weight): weight for weight in weights}
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in moved]
    optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
    optimizer.add_param_group({"params": list(moved.values()), "lr": lr, "weight_decay": 0.0})


def besides_matrices(model: Any) -> list[Tensor]:
    """Embeddings, norms and biases of a model of transformers.

    ConfigError when they are not all trained.
    """
    embeddings = {
        id(module.weight)
        for module in (model.get_input_embeddings(), model.get_output_embeddings())
        if module is not None
    }
    found = [p for p in model.parameters() if p.ndim < 2 or id(p) in embeddings]
    if not all(weight.requires_grad for weight in found):
        raise ConfigError(
            "a learning rate of embeddings, norms and biases needs all weights to be trained, and "
            "LoRA freezes these: set --vector-lr 0"
        )
    return found


def last_norm(model: Any) -> Tensor:
    """The weights that scale all logits of a model of transformers; ConfigError if not trained."""
    base = getattr(model, "base_model", model)
    weight = getattr(getattr(base, "norm", None), "weight", None)
    if weight is None or not weight.requires_grad:
        raise ConfigError(
            f"a learning rate of the scale needs a last norm that is trained, which "
            f"{type(model).__name__} lacks: set --scale-lr 0"
        )
    return weight
