"""A copy of the policy to sample with, so that training changes no weights under a rollout."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import PreTrainedModel


class PolicyCopy:
    """Samples with the weights that the policy had at the last `update`."""

    def __init__(self, model: PreTrainedModel) -> None:
        """`model`: before a trainer has it. What trainers wrap around its forward pass refers to
        the original, and would do so in a copy, too."""
        self.model: Any = copy.deepcopy(model).requires_grad_(False)

    def add_adapters(self, config: Any) -> None:
        """Add the adapters that the policy has."""
        from peft import get_peft_model

        # Numbers that the copy's adapters draw must not change those drawn later.
        with torch.random.fork_rng(devices=[]):
            self.model = get_peft_model(self.model, config).requires_grad_(False)

    def place(self, accelerator: Any) -> None:
        """Move it to the device of training, with the precision of training."""
        self.model.to(accelerator.device)
        self.model.forward = accelerator.autocast()(self.model.forward)

    @torch.no_grad()
    def update(self, policy: Any) -> None:
        """Take over the weights. Nothing may sample meanwhile."""
        weights = dict(policy.named_parameters())
        for name, parameter in self.model.named_parameters():
            if weights[name].requires_grad:
                parameter.copy_(weights[name])
            else:  # frozen ones never change: they need no memory of their own
                parameter.data = weights[name].data
