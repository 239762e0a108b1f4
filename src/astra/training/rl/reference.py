"""The reference policy: the weights at the time when a KL term was first computed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

FILE = "reference.safetensors"


class ReferenceWeights:
    """Weights on the CPU that replace the policy's inside a context."""

    def __init__(self) -> None:
        self._weights: dict[str, Tensor] | None = None

    @contextmanager
    def of(self, model: PreTrainedModel) -> Generator[None]:
        """Give the model the reference weights. The first time, its own become the reference."""
        if self._weights is None:
            self._weights = _copied(model)
        policy = _copied(model)
        _put(model, self._weights)
        try:
            yield
        finally:
            _put(model, policy)

    def save(self, folder: Path) -> None:
        """Write the reference, if there is one, into a checkpoint."""
        if self._weights is not None:
            save_file(self._weights, folder / FILE)

    def load(self, folder: Path) -> None:
        """Read the reference, if there is one, from a checkpoint."""
        path = folder / FILE
        self._weights = load_file(path) if path.exists() else None


def _copied(model: PreTrainedModel) -> dict[str, Tensor]:
    """The parameters by name, on the CPU. Tied ones once."""
    # `copy`: a model on the CPU would otherwise hand out the weights that training changes.
    return {name: p.detach().to("cpu", copy=True) for name, p in model.named_parameters()}


@torch.no_grad()
def _put(model: PreTrainedModel, weights: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
