"""Attention of a group packed as one sequence, without the pairs that its mask hides.

Of a prompt and G continuations, each sees the prompt and of itself what the mask says. Under the
mask alone all (P + ΣT)² pairs are worked out; here the prompt's, and per continuation those with
the prompt and with itself.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

_NAME = "astra_packed"
_OTHERWISE = ("softcap", "sliding_window", "s_aux", "position_bias")
"""Arguments of families whose attention is more than a softmax over everything before."""


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed: Sequence[int] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """As `sdpa_attention_forward`. `packed`: tokens of the prompt and of each continuation.

    Axes: 1, H heads, S tokens, D; out comes 1, S, H, D. The mask is a bool, 11SS: causal within the
    prompt, hiding each continuation from the others. Without `packed`, or where a family asks for
    more, the mask alone decides.
    """
    if (
        packed is None
        or attention_mask is None
        or any(kwargs.get(name) is not None for name in _OTHERWISE)
    ):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    repeats = query.shape[1] // key.shape[1]
    queries, keys, values = (
        x.split(list(packed), dim=2)
        for x in (query, key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1))
    )
    how: dict[str, Any] = {"dropout_p": dropout, "scale": scaling}
    found = [F.scaled_dot_product_attention(queries[0], keys[0], values[0], is_causal=True, **how)]
    start = packed[0]
    for own in range(1, len(packed)):
        rows_TS = attention_mask[:, :, start : start + packed[own]]
        seen_TK = torch.cat(
            [rows_TS[..., : packed[0]], rows_TS[..., start : start + packed[own]]], dim=-1
        )
        start += packed[own]
        found.append(
            F.scaled_dot_product_attention(
                queries[own],
                torch.cat([keys[0], keys[own]], dim=2),
                torch.cat([values[0], values[own]], dim=2),
                attn_mask=seen_TK,
                **how,
            )
        )
    return torch.cat(found, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(_NAME, packed_attention)


@contextmanager
def packing(model: Any, lengths: Sequence[int], seen_SS: Tensor) -> Generator[dict[str, Any]]:
    """Arguments for a forward pass inside: the mask and, for models of `sdpa`, `packed`."""
    bare = getattr(model, "module", model)
    config = getattr(bare, "config", None)
    name = getattr(config, "_attn_implementation", None)
    if name == "sdpa" and any(
        getattr(module, "gradient_checkpointing", False) for module in bare.modules()
    ):
        # The backward pass works activations out again, when this is over.
        yield {"attention_mask": seen_SS[None, None]}
        return
    if config is None or name != "sdpa":
        # Elsewhere a mask is added to the scores.
        dtype = next(model.parameters()).dtype
        added_SS = torch.zeros_like(seen_SS, dtype=dtype)
        added_SS = added_SS.masked_fill(~seen_SS, torch.finfo(dtype).min)
        yield {"attention_mask": added_SS[None, None]}
        return
    config._attn_implementation = _NAME
    try:
        yield {"attention_mask": seen_SS[None, None], "packed": lengths}
    finally:
        config._attn_implementation = name
