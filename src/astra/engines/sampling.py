"""From logits to tokens: one draw per row, from a number that the row's own generator gave.

A token depends on its row's seed and logits only, never on which rows share the batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class SampledTokens(NamedTuple):
    """One token per row, B, with what is recorded of it."""

    tokens_B: Tensor
    logprobs_B: Tensor
    """Log-probability under softmax(logits / temperature); temperature 1 where it is 0."""
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

    Temperature 0 takes the most likely token. `top_p_B` and `top_k` narrow what is drawn from, but
    not what is recorded: trainers compare with the whole distribution.
    """
    greedy_B = temperature_B == 0
    scaled_BV = logits_BV.float() / torch.where(greedy_B, 1.0, temperature_B)[:, None]
    logprobs_BV = scaled_BV.log_softmax(-1)
    probs_BV = logprobs_BV.exp()
    # Where a logit is -inf, 0 · -inf is to be 0.
    entropies_B = -(probs_BV * logprobs_BV.clamp(min=torch.finfo(torch.float32).min)).sum(-1)
    kept_BV = _narrowed(probs_BV, top_p_B, top_k)
    edges_BV = kept_BV.cumsum(-1)
    at_B1 = uniform_B[:, None].to(edges_BV) * edges_BV[:, -1:]
    sampled_B = torch.searchsorted(edges_BV, at_B1, right=True)[:, 0]
    best_B = logits_BV.argmax(-1)
    # Rounding can put the number beyond the last edge, or on a token that was left out.
    last_B = logits_BV.shape[-1] - 1
    sampled_B = sampled_B.clamp(max=last_B)
    possible_B = kept_BV.gather(1, sampled_B[:, None])[:, 0] > 0
    tokens_B = torch.where(greedy_B | ~possible_B, best_B, sampled_B)
    return SampledTokens(tokens_B, logprobs_BV.gather(1, tokens_B[:, None])[:, 0], entropies_B)


def _narrowed(probs_BV: Tensor, top_p_B: Tensor | None, top_k: int | None) -> Tensor:
    """The probabilities with what `top_k` and `top_p_B` leave out set to 0; not normalised."""
    if top_k is not None and 0 < top_k < probs_BV.shape[-1]:
        least_B1 = probs_BV.topk(top_k, -1).values[:, -1:]
        probs_BV = torch.where(probs_BV >= least_B1, probs_BV, 0.0)
    if top_p_B is not None and bool((top_p_B < 1).any()):
        sorted_BV, order_BV = probs_BV.sort(-1, descending=True)
        before_BV = sorted_BV.cumsum(-1) - sorted_BV
        most_B1 = top_p_B.to(probs_BV)[:, None] * sorted_BV.sum(-1, keepdim=True)
        # The token that crosses the threshold is kept.
        sorted_BV = torch.where(before_BV < most_B1, sorted_BV, 0.0)
        probs_BV = torch.zeros_like(probs_BV).scatter(-1, order_BV, sorted_BV)
    return probs_BV
