"""Learning rates of their own for some of a model's parameters.

One rate for all suits matrices, and the larger the model the smaller it must be. Embeddings, norms
and biases tolerate a far larger one, and in a small model they need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch

from astra.configs.spelling import option_name
from astra.errors import ConfigError


def set_parameter_lrs(
    optimizer: torch.optim.Optimizer, model: Any, learning_rates: Mapping[str, float]
) -> None:
    """Move parameters into groups with these learning rates and without weight decay.

    `learning_rates`: by pattern of the parameter's name, e.g. `*norm*`. The first pattern that
    matches a parameter decides. Raises ConfigError for a pattern that matches no trained parameter,
    unless it is marked as optional by a `?` at its end, as `*.bias?`: not every model has biases.
    """
    groups: dict[str, list[torch.nn.Parameter]] = {pattern: [] for pattern in learning_rates}
    unmatched = {pattern for pattern in learning_rates if not pattern.endswith("?")}
    for name, parameter in model.named_parameters():
        patterns = [
            pattern
            for pattern in learning_rates
            if parameter.requires_grad and fnmatchcase(name, pattern.removesuffix("?"))
        ]
        unmatched -= set(patterns)
        if patterns:
            groups[patterns[0]].append(parameter)
    for pattern, parameters in groups.items():
        if pattern in unmatched:
            raise ConfigError(
                f"{option_name('parameter_lrs')}: {pattern!r} matches no trained parameter (LoRA "
                "freezes all but its adapters): remove it, name others, or write "
                f"{pattern + '?'!r} if a model may lack them"
            )
        moved = {id(parameter) for parameter in parameters}
        for group in optimizer.param_groups:
            group["params"] = [p for p in group["params"] if id(p) not in moved]
    # A group left empty is removed: schedulers and checkpoints count groups.
    optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
    for pattern, parameters in groups.items():
        if parameters:
            rate = learning_rates[pattern]
            # No weight decay: it would pull norms and embeddings to zero, at these rates quickly.
            optimizer.add_param_group({"params": parameters, "lr": rate, "weight_decay": 0.0})
