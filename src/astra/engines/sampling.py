"""Sampling: logits to tokens, one per row, with a uniform number from the row's own generator.

A token depends on the seed and logits of its row only, never on the other rows of the batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class SampledTokens(NamedTuple):
    """One token per row (B), with its log-probability and entropy."""

    tokens_B: Tensor
    logprobs_B: Tensor
    """Under softmax(logits / temperature). A temperature of 0 counts as 1."""
    entropies_B: Tensor
    """Nats, of the same distribution."""


def draw(
    logits_BV: Tensor,
    uniform_B: Tensor,
    temperature_B: Tensor,
    *,
    top_p_B: Tensor | None = None,
    top_k: int | None = None,
) -> SampledTokens:
    """Draw a token per row by inverting the distribution function at `uniform_B`, in [0, 1).

    Temperature 0 takes the most likely token. `top_p_B` and `top_k` restrict what is drawn, but
    not what is recorded: trainers compare with the whole distribution.
    """
    greedy_B = temperature_B == 0
    scaled_BV = logits_BV.float() / torch.where(greedy_B, 1.0, temperature_B)[:, None]
    logprobs_BV = scaled_BV.log_softmax(-1)
    probs_BV = logprobs_BV.exp()
    # For a logit of -inf the product 0 · -inf must be 0.
    entropies_B = -(probs_BV * logprobs_BV.clamp(min=torch.finfo(torch.float32).min)).sum(-1)
    allowed_BV = _restricted(probs_BV, top_p_B, top_k)
    edges_BV = allowed_BV.cumsum(-1)
    at_B1 = uniform_B[:, None].to(edges_BV) * edges_BV[:, -1:]
    sampled_B = torch.searchsorted(edges_BV, at_B1, right=True)[:, 0]
    best_B = logits_BV.argmax(-1)
    # Rounding can put the number beyond the last edge, or on a token that was excluded.
    last_B = logits_BV.shape[-1] - 1
    sampled_B = sampled_B.clamp(max=last_B)
    allowed_B = allowed_BV.gather(1, sampled_B[:, None])[:, 0] > 0
    tokens_B = torch.where(greedy_B | ~allowed_B, best_B, sampled_B)
    return SampledTokens(tokens_B, logprobs_BV.gather(1, tokens_B[:, None])[:, 0], entropies_B)


def _restricted(probs_BV: Tensor, top_p_B: Tensor | None, top_k: int | None) -> Tensor:
    """Probabilities, not normalised; 0 for tokens that `top_k` or `top_p_B` exclude."""
    if top_k is not None and 0 < top_k < probs_BV.shape[-1]:
        smallest_B1 = probs_BV.topk(top_k, -1).values[:, -1:]
        probs_BV = torch.where(probs_BV >= smallest_B1, probs_BV, 0.0)
    if top_p_B is not None and bool((top_p_B < 1).any()):
        sorted_BV, order_BV = probs_BV.sort(-1, descending=True)
        before_BV = sorted_BV.cumsum(-1) - sorted_BV
        limit_B1 = top_p_B.to(probs_BV)[:, None] * sorted_BV.sum(-1, keepdim=True)
        # The token that crosses the threshold is kept.
        sorted_BV = torch.where(before_BV < limit_B1, sorted_BV, 0.0)
        probs_BV = torch.zeros_like(probs_BV).scatter(-1, order_BV, sorted_BV)
    return probs_BV
