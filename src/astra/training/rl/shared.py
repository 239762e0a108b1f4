"""Log-probabilities of rollouts that compute each group's common prompt once.

The rollouts of a group begin with the same tokens. TRL feeds each rollout separately and pads all
to the longest. Here a group is one sequence: its prompt, then all its completions, whose tokens
attend to the prompt and to their own completion. The results are those of separate rows up to
rounding. A group's mask is dense, so this is for sequences of a few thousand tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from astra.training.attention import packing


@dataclass(frozen=True, slots=True)
class _PackedGroup:
    """A group as one sequence of S tokens."""

    ids_S: Tensor
    positions_S: Tensor
    lengths: list[int]
    """Tokens of the prompt and of each non-empty completion."""
    row_S: Tensor
    """Which rollout of the group a token belongs to. -1: the prompt."""
    source_N: Tensor
    """Positions whose next token is in a completion. N: tokens of all completions."""
    target_N: Tensor
    """Those next tokens."""


def shared_logprobs(
    model: Any,
    ids_BT: Tensor,
    mask_BT: Tensor,
    width: int,
    *,
    temperature: float,
    zero_advantage_rows_B: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities_BW and entropies_BW of the last `width` tokens. 0 where the mask is 0.

    `ids_BT`: prompts padded left, then completions padded right, W wide. Rows with the same prompt
    are a group. Both results have a gradient, except for groups whose rows are all in
    `zero_advantage_rows_B`: their gradient is known to be 0 and is not computed.
    """
    logprobs = torch.zeros(len(ids_BT), width, device=ids_BT.device)
    entropies = torch.zeros_like(logprobs)
    completions_BW = mask_BT[:, -width:].bool()
    # By prompt, not by position: TRL shuffles the rows of a batch.
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for row, (ids, mask) in enumerate(zip(ids_BT[:, :-width], mask_BT[:, :-width], strict=True)):
        rows_of.setdefault(tuple(ids[mask.bool()].tolist()), []).append(row)
    for prompt, rows in rows_of.items():
        group = _pack(prompt, ids_BT, mask_BT, rows, width)
        members_BW = torch.zeros_like(completions_BW)
        members_BW[rows] = completions_BW[rows]
        visible_SS = (group.row_S[:, None] == group.row_S) | (group.row_S == -1)
        skip = zero_advantage_rows_B is not None and bool(zero_advantage_rows_B[rows].all())
        with (
            torch.set_grad_enabled(torch.is_grad_enabled() and not skip),
            packing(model, group.lengths, visible_SS.tril()) as arguments,
        ):
            logits_1NV = model(
                input_ids=group.ids_S[None],
                position_ids=group.positions_S[None],
                logits_to_keep=group.source_N,
                use_cache=False,
                **arguments,
            ).logits
            logp_NV = (logits_1NV[0].float() / temperature).log_softmax(-1)
            entropy_N = -(logp_NV.exp() * logp_NV).sum(-1)
            logp_N = logp_NV.gather(1, group.target_N[:, None])[:, 0]
        logprobs = logprobs.masked_scatter(members_BW, logp_N)
        entropies = entropies.masked_scatter(members_BW, entropy_N)
    return logprobs, entropies


def zero_advantage_rows_B(advantages_BT: Tensor) -> Tensor | None:
    """Rows that the policy term has no gradient for. None if that holds for all: `backward` needs
    one."""
    rows_B = (advantages_BT == 0).flatten(1).all(1)
    return None if bool(rows_B.all()) else rows_B


def _pack(
    prompt: tuple[int, ...], ids_BT: Tensor, mask_BT: Tensor, rows: list[int], width: int
) -> _PackedGroup:
    pieces = [
        ids[mask.bool()]
        for ids, mask in zip(ids_BT[rows, -width:], mask_BT[rows, -width:], strict=True)
    ]
    device = ids_BT.device
    lengths = torch.tensor([len(piece) for piece in pieces])
    offsets = [torch.arange(len(piece)) for piece in pieces]
    starts = len(prompt) + lengths.cumsum(0) - lengths
    # A completion's first token is predicted at the end of the prompt, each later one at the
    # token before it.
    sources = [
        torch.cat([torch.tensor([len(prompt) - 1]), start + offset[:-1]])[: len(offset)]
        for start, offset in zip(starts.tolist(), offsets, strict=True)
    ]
    return _PackedGroup(
        ids_S=torch.cat([torch.tensor(prompt, device=device), *pieces]),
        positions_S=torch.cat([torch.arange(len(prompt)), *(len(prompt) + p for p in offsets)]).to(
            device
        ),
        lengths=[len(prompt), *(n for n in lengths.tolist() if n)],
        row_S=torch.cat(
            [torch.full((len(prompt),), -1), torch.arange(len(pieces)).repeat_interleave(lengths)]
        ).to(device),
        source_N=torch.cat(sources).to(device),
        target_N=torch.cat(pieces),
    )
