"""Attention of a group packed as one sequence, without computing the pairs that its mask hides.

The group is a prompt and G continuations, each of which attends to the prompt and to itself. A mask
alone would compute all (P + ΣT)² pairs. Here only those within the prompt are computed, and per
continuation those with the prompt and with itself.
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
_UNSUPPORTED = ("softcap", "sliding_window", "s_aux", "position_bias")
"""Arguments of model families whose attention is more than a softmax over all earlier tokens."""


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
    """Like `sdpa_attention_forward`. `packed`: tokens of the prompt and of each continuation.

    Axes: 1, H heads, S tokens, D; the result has 1, S, H, D. The mask is a bool, 11SS: causal
    within the prompt, hiding each continuation from the others. Without `packed`, or with an
    unsupported argument, all pairs are computed under the mask.
    """
    if (
        packed is None
        or attention_mask is None
        or any(kwargs.get(name) is not None for name in _UNSUPPORTED)
    ):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    # Grouped-query attention: a key head serves several query heads.
    repeats = query.shape[1] // key.shape[1]
    queries, keys, values = (
        x.split(list(packed), dim=2)
        for x in (query, key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1))
    )
    options: dict[str, Any] = {"dropout_p": dropout, "scale": scaling}
    outputs = [
        F.scaled_dot_product_attention(queries[0], keys[0], values[0], is_causal=True, **options)
    ]  # of a prompt of one token, which stands before each continuation: empty
    start = packed[0]
    for i in range(1, len(packed)):
        rows_TS = attention_mask[:, :, start : start + packed[i]]
        visible_TK = torch.cat(
            [rows_TS[..., : packed[0]], rows_TS[..., start : start + packed[i]]], dim=-1
        )
        start += packed[i]
        outputs.append(
            F.scaled_dot_product_attention(
                queries[i],
                torch.cat([keys[0], keys[i]], dim=2),
                torch.cat([values[0], values[i]], dim=2),
                attn_mask=visible_TK,
                **options,
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(_NAME, packed_attention)


@contextmanager
def packing(model: Any, lengths: Sequence[int], visible_SS: Tensor) -> Generator[dict[str, Any]]:
    """Arguments for a forward pass inside the context: the mask and, for `sdpa`, `packed`."""
    bare = getattr(model, "module", model)
    config = getattr(bare, "config", None)
    name = getattr(config, "_attn_implementation", None)
    if name == "sdpa" and any(
        getattr(module, "gradient_checkpointing", False) for module in bare.modules()
    ):
        # The backward pass recomputes activations when this context is left already.
        yield {"attention_mask": visible_SS[None, None]}
        return
    if config is None or name != "sdpa":
        # Other implementations add the mask to the scores.
        dtype = next(model.parameters()).dtype
        bias_SS = torch.zeros_like(visible_SS, dtype=dtype)
        bias_SS = bias_SS.masked_fill(~visible_SS, torch.finfo(dtype).min)
        yield {"attention_mask": bias_SS[None, None]}
        return
    config._attn_implementation = _NAME
    try:
        yield {"attention_mask": visible_SS[None, None], "packed": lengths}
    finally:
        config._attn_implementation = name
