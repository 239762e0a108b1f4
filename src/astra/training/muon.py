"""Muon for the matrices of a model and AdamW for the rest, as one optimiser.

Small models from scratch learn to copy in far fewer steps with it, and copying names from question
to call is most of what a nano model has to learn. Muon is torch's own; it takes matrices only,
and embeddings are better off without it (https://kellerjordan.github.io/posts/muon/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class MuonAdamW(torch.optim.Optimizer):
    """Two optimisers whose groups a scheduler drives as one; the ratio of their rates stays."""

    def __init__(
        self,
        model: nn.Module,
        *,
        muon_rate: float,
        rate: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        """`muon_rate` is for the matrices of the layers, `rate` for everything else."""
        matrices, rest = split_parameters(model)
        self._parts: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(matrices, lr=muon_rate, weight_decay=weight_decay),
            torch.optim.AdamW(rest, lr=rate, betas=betas, eps=eps, weight_decay=weight_decay),
        )
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """The groups are the parts' own, so that a rate set here is set there."""
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both."""
        loss = None if closure is None else closure()
        for part in self._parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share()


def split_parameters(
    model: nn.Module,
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices of the layers, and everything else that is trained."""
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in _own(m)}
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim == 2 and id(p) not in tables]
    chosen = {id(p) for p in matrices}
    return matrices, [p for p in trained if id(p) not in chosen]


def _own(module: nn.Module) -> Iterable[nn.Parameter]:
    return module.parameters(recurse=False)
